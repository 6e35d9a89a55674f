/** The arguments of `npm run bench`, `bench/compare.ts` and `bench/profile.ts`. */
import { access } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Effort } from "./measure.ts";
import {
  named,
  OptionError,
  parseOptions,
  readNumber,
  type Bounds,
} from "../scripts/command-line.ts";

const EFFORT_OPTIONS = { rounds: { type: "string" }, seconds: { type: "string" } } as const;

/** A longer load is a mistake. */
const LOAD_SECONDS: Bounds = { least: 0.01, most: 3600 };

function readEffort(values: { rounds?: string; seconds?: string }): Partial<Effort> {
  const rounds = readNumber("--rounds", values.rounds, { least: 1, most: 1000, whole: true });
  const seconds = readNumber("--seconds", values.seconds, LOAD_SECONDS);
  return { ...(rounds && { rounds }), ...(seconds && { seconds }) };
}

export interface Known {
  readonly suites: readonly string[];
  /** Suites that count instead of measuring, and so take no effort. */
  readonly counting: readonly string[];
  /** Names that stand for several suites. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
}

export type BenchOptions = ReturnType<typeof readBench>;

export const BENCH_USAGE = `npm run bench -- [NAME…] [options]   NAME is a suite, or peers; all where there is none
  --rounds N    rounds of each comparison, in place of the suite's own default
  --seconds N   seconds of each contender in a round, likewise
  --keep        keep the results although --rounds or --seconds is given
  --print       run nothing, print all tables of the results that are kept
  --quote       run nothing, write the kept results into docs/performance.md
  --help        print this`;

const BENCH_OPTIONS = {
  ...EFFORT_OPTIONS,
  keep: { type: "boolean" },
  print: { type: "boolean" },
  quote: { type: "boolean" },
} as const;

/** Throws an OptionError for the first argument that is wrong. */
export function readBench(args: readonly string[], known: Known) {
  const { values, positionals } = parseOptions(args, BENCH_OPTIONS, true);
  const { keep = false, print = false, quote = false } = values;
  const effort = readEffort(values);
  const limited = Object.keys(effort).length > 0;
  const single = Object.fromEntries(known.suites.map((name) => [name, [name]]));
  const names = { ...single, ...known.groups };
  const chosen = positionals.flatMap((name) => named("suite", name, names));
  const instead = quote ? "quote" : print ? "print" : undefined;
  if (instead && (limited || keep || (quote && (print || chosen.length > 0)))) {
    const partner = quote ? "nothing else" : "names of suites alone";
    throw new OptionError(`--${instead} runs nothing, so it goes with ${partner}`);
  }
  const counting = chosen.find((name) => known.counting.includes(name));
  if (limited && counting !== undefined) {
    throw new OptionError(`${counting} counts, and takes no --rounds or --seconds`);
  }
  const said = Object.entries(effort).map(([name, value]) => `--${name} ${value}`);
  return {
    suites: known.suites.filter((name) => chosen.length === 0 || chosen.includes(name)),
    effort,
    keep: keep || !limited,
    /** Shows the kept results and runs nothing. */
    instead,
    /** The options as the caller wrote them; a kept result records them. */
    given: limited ? [...said, ...(keep ? ["--keep"] : [])] : [],
  };
}

/** Keyed by the names that exist. */
type Kinds = Readonly<Record<string, unknown>>;

export type CompareOptions = Awaited<ReturnType<typeof readCompare>>;

const COMPARE_KINDS = ["read", "create", "publish", "gateway"];
const COMPARE_EFFORT: Effort = { rounds: 10, seconds: 2 };

export const compareUsage = (kinds: Kinds) => `node bench/compare.ts PATH [KIND…] [options]
  PATH          another checkout, with its node_modules
  KIND          ${Object.keys(kinds).join(", ")} (${COMPARE_KINDS.join(" ")})
  --rounds N    rounds of each comparison (${COMPARE_EFFORT.rounds})
  --seconds N   seconds of each checkout in a round (${COMPARE_EFFORT.seconds})
  --memory      storage in memory, where the disk's speed would hide the code's
  --help        print this`;

/** Throws an OptionError for the first argument that is wrong. */
export async function readCompare(args: readonly string[], known: Kinds) {
  const options = { ...EFFORT_OPTIONS, memory: { type: "boolean" } } as const;
  const { values, positionals } = parseOptions(args, options, true);
  const [path, ...kinds] = positionals;
  if (path === undefined) throw new OptionError("PATH is missing: the checkout to compare with");
  for (const kind of kinds) named("kind", kind, known);
  const effort = { ...COMPARE_EFFORT, ...readEffort(values) };
  const other = resolve(path);
  await access(join(other, "wrangler.toml")).catch(() => {
    throw new OptionError(`PATH has no wrangler.toml: ${other}`);
  });
  const memory = values.memory ?? false;
  return { other, kinds: kinds.length > 0 ? kinds : COMPARE_KINDS, effort, memory };
}

export type ProfileOptions = ReturnType<typeof readProfile>;

export const profileUsage = (kinds: Kinds) => `node bench/profile.ts [KIND] [seconds] [options]
  KIND          ${Object.keys(kinds).join(", ")} (read)
  seconds       of load (5)
  --help        print this`;

/** Throws an OptionError for the first argument that is wrong. */
export function readProfile(args: readonly string[], known: Kinds) {
  const [kind = "read", seconds, ...more] = parseOptions(args, {}, true).positionals;
  named("kind", kind, known);
  if (more.length > 0) throw new OptionError(`nothing comes after seconds, not "${more[0]}"`);
  return { kind, seconds: readNumber("seconds", seconds, LOAD_SECONDS) ?? 5 };
}
