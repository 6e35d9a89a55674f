/** The command line of `npm run attack`. */
import { named, OptionError, parseOptions, readNumber } from "../../scripts/command-line.ts";

export interface AttackOptions {
  /** Names of kinds. */
  readonly kinds: readonly string[];
  /** Requests of the fuzzer; 0: it does not run. */
  readonly requests: number;
  readonly seed: number;
  /** Whether all kinds run, so that the result is kept. */
  readonly whole: boolean;
}

export const FUZZ_REQUESTS = 200_000;

export const usage = (names: readonly string[]) => `npm run attack -- [options]
  --kind NAME,…   these kinds alone: ${names.join(", ")}
  --fuzz          the fuzzer alone
  --requests N    requests of the fuzzer (${FUZZ_REQUESTS})
  --seed N        chooses them (1)`;

const OPTIONS = {
  kind: { type: "string" },
  fuzz: { type: "boolean" },
  requests: { type: "string" },
  seed: { type: "string" },
} as const;

/** Throws an OptionError for the first argument that is wrong. `names` are those of all kinds. */
export function readOptions(args: readonly string[], names: readonly string[]): AttackOptions {
  const { values } = parseOptions(args, OPTIONS);
  const { kind, fuzz = false } = values;
  if (fuzz && kind !== undefined) throw new OptionError("give --kind or --fuzz, not both");
  for (const given of [values.requests, values.seed]) {
    if (given !== undefined && !fuzz) throw new OptionError("--requests and --seed are for --fuzz");
  }
  const all = Object.fromEntries(names.map((name) => [name, name]));
  const chosen = kind?.split(",").map((name) => named("kind", name, all));
  const requests = readNumber("--requests", values.requests, { least: 1, whole: true });
  return {
    kinds: fuzz ? [] : (chosen ?? names),
    requests: fuzz ? (requests ?? FUZZ_REQUESTS) : 0,
    seed: readNumber("--seed", values.seed, { least: 0, whole: true }) ?? 1,
    whole: !fuzz && chosen === undefined,
  };
}
