/** What the benchmarks are told on their command line. */
import { parseArgs } from "node:util";
import type { Effort } from "./measure.ts";

/** The suites that there are. */
export interface Known {
  readonly suites: readonly string[];
  /** Those that count and compare nothing in rounds, so that an effort means nothing to them. */
  readonly counting: readonly string[];
  /** Names for several at once. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
}

export interface BenchOptions {
  /** What is to be run, in the order in which they are known; all unless some are named. */
  readonly suites: readonly string[];
  /** What was given, in place of each suite's own default. */
  readonly effort: Partial<Effort>;
  /** Whether results are kept, and quoted in the README. */
  readonly keep: boolean;
  /** Only the README is written anew. */
  readonly quote: boolean;
  /** The options as they were given, to be recorded with what is kept. */
  readonly given: readonly string[];
}

export const USAGE = `npm run bench -- [NAME…] [options]   NAME is a suite, or peers; all where there is none
  --rounds N    rounds of each comparison, in place of the suite's own default
  --seconds N   seconds of each contender in a round, likewise
  --keep        keep the results, and quote them in README.md, although --rounds or --seconds is given
  --quote       run nothing, only write README.md's section from the results that are kept
  --help        print this`;

/** A bad argument; the message names it. */
export class OptionError extends Error {
  override readonly name = "OptionError";
}

/** A load that takes longer than this was not meant. */
const MOST_SECONDS = 3600;
const MOST_ROUNDS = 1000;

/** Reads the arguments. Throws an OptionError for the first that is wrong. */
export function readOptions(args: readonly string[], known: Known): BenchOptions {
  const { values, positionals } = parse(args);
  const rounds = readRounds(values.rounds);
  const seconds = readSeconds(values.seconds, "--seconds");
  const effort = { ...(rounds && { rounds }), ...(seconds && { seconds }) };
  const limited = Object.keys(effort).length > 0;
  const { keep = false, quote = false } = values;
  if (quote && (limited || keep || positionals.length > 0)) {
    throw new OptionError("--quote runs nothing, so it goes with nothing else");
  }
  const named = positionals.flatMap((name) => suitesOf(name, known));
  const counting = named.find((name) => known.counting.includes(name));
  if (limited && counting !== undefined) {
    throw new OptionError(`${counting} counts, and takes no --rounds or --seconds`);
  }
  return {
    suites: known.suites.filter((name) => named.length === 0 || named.includes(name)),
    effort,
    keep: keep || !limited,
    quote,
    given: limited ? [...said(effort), ...(keep ? ["--keep"] : [])] : [],
  };
}

/** Seconds of a load; undefined where none were given. Throws an OptionError that names the argument. */
export function readSeconds(text: string | undefined, name: string): number | undefined {
  const seconds = decimal(text);
  if (seconds === undefined || (seconds > 0 && seconds <= MOST_SECONDS)) return seconds;
  throw new OptionError(
    `${name} must be a number more than 0 and at most ${MOST_SECONDS}, not "${text}"`,
  );
}

function readRounds(text: string | undefined): number | undefined {
  const rounds = decimal(text);
  if (rounds === undefined) return undefined;
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= MOST_ROUNDS) return rounds;
  throw new OptionError(`--rounds must be a whole number from 1 to ${MOST_ROUNDS}, not "${text}"`);
}

function decimal(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
}

function suitesOf(name: string, { suites, groups }: Known): readonly string[] {
  if (suites.includes(name)) return [name];
  const group = Object.hasOwn(groups, name) ? groups[name] : undefined;
  if (group) return group;
  const all = [...suites, ...Object.keys(groups)].join(", ");
  throw new OptionError(`no suite "${name}"; there are ${all}`);
}

const said = (effort: Partial<Effort>): string[] =>
  Object.entries(effort).map(([name, value]) => `--${name} ${value}`);

const OPTIONS = {
  rounds: { type: "string" },
  seconds: { type: "string" },
  keep: { type: "boolean" },
  quote: { type: "boolean" },
} as const;

function parse(args: readonly string[]) {
  // What is strict about parseArgs answers "--seconds -1" with advice of three lines; so it is strict here.
  const { tokens } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const values: { rounds?: string; seconds?: string; keep?: true; quote?: true } = {};
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value } = token;
    if (name === "rounds" || name === "seconds") {
      if (value === undefined) throw new OptionError(`${rawName} needs a number`);
      values[name] = value;
    } else if (name === "keep" || name === "quote") {
      if (value !== undefined) throw new OptionError(`${rawName} takes no value`);
      values[name] = true;
    } else {
      throw new OptionError(`no option ${rawName}`);
    }
  }
  return { values, positionals };
}
