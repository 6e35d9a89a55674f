/** What a soak is told on its command line. */
import { parseArgs } from "node:util";
import { OptionError } from "../../bench/options.ts";

/** Times a second, over all who do it. */
export interface Rates {
  readonly publish: number;
  readonly create: number;
  readonly write: number;
  readonly delete: number;
  readonly redis: number;
  readonly call: number;
}

/** Seconds from one fault of a kind to the next, on average; 0 is never. */
export interface FaultIntervals {
  readonly kill: number;
  readonly abort: number;
  readonly cut: number;
  readonly silence: number;
  readonly redis: number;
}

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Sessions that are published to and followed all the time, and subscribers of each. */
  readonly sessions: number;
  readonly subscribers: number;
  /** Events that the service retains of each session. */
  readonly retain: number;
  readonly rates: Rates;
  readonly faults: FaultIntervals;
  /** Whether its results are kept although it is short. */
  readonly keep: boolean;
}

export const DEFAULTS: SoakOptions = {
  seconds: 300,
  seed: 1,
  sessions: 6,
  subscribers: 3,
  retain: 1000,
  rates: { publish: 100, create: 6, write: 12, delete: 4, redis: 60, call: 1 },
  faults: { kill: 25, abort: 5, cut: 9, silence: 40, redis: 20 },
  keep: false,
};

export const USAGE = `npm run soak -- [options]
  --minutes N | --seconds N   how long (5 minutes)
  --seed N                    chooses times and targets of faults (${DEFAULTS.seed})
  --sessions N                sessions that are followed all the time (${DEFAULTS.sessions})
  --subscribers N             subscribers of each (${DEFAULTS.subscribers})
  --retain N                  LOG_MAX_EVENTS of the service (${DEFAULTS.retain})
  --rates NAME=N,…            times a second (${listed(DEFAULTS.rates)})
  --faults NAME=N,…           seconds between two of a kind, 0 for none (${listed(DEFAULTS.faults)})
  --keep                      keeps the results of a soak that is shorter than ${DEFAULTS.seconds / 60} minutes, too`;

/** Whether a soak's results take the place of those in bench/results: a short trial's say less. */
export function isKept({ seconds, keep }: SoakOptions): boolean {
  return keep || seconds >= DEFAULTS.seconds;
}

/** Reads the options. Throws an OptionError for the first that is wrong. */
export function readOptions(args: readonly string[]): SoakOptions {
  const text = { type: "string" } as const;
  const names = { minutes: text, seconds: text, seed: text, sessions: text, subscribers: text };
  const more = { retain: text, rates: text, faults: text, keep: { type: "boolean" } } as const;
  const { values } = parse([...args], { ...names, ...more });
  if (values.minutes !== undefined && values.seconds !== undefined) {
    throw new OptionError("give --minutes or --seconds, not both");
  }
  const whole = (name: "seed" | "sessions" | "subscribers" | "retain", least: number) =>
    number(`--${name}`, values[name], DEFAULTS[name], least, true);
  const minutes = number("--minutes", values.minutes, DEFAULTS.seconds / 60, 0.1);
  return {
    seconds: number("--seconds", values.seconds, minutes * 60, 5),
    seed: whole("seed", 0),
    sessions: whole("sessions", 1),
    subscribers: whole("subscribers", 1),
    retain: whole("retain", 1),
    rates: settings("--rates", values.rates, DEFAULTS.rates),
    faults: settings("--faults", values.faults, DEFAULTS.faults),
    keep: values.keep ?? DEFAULTS.keep,
  };
}

function parse<T extends Readonly<Record<string, { readonly type: "string" | "boolean" }>>>(
  args: string[],
  options: T,
) {
  try {
    return parseArgs({ args, options });
  } catch (failure) {
    throw new OptionError(failure instanceof Error ? failure.message : String(failure));
  }
}

function number(
  name: string,
  value: string | undefined,
  fallback: number,
  least: number,
  whole = false,
): number {
  if (value === undefined) return fallback;
  const read = /^\d+(\.\d+)?$/.test(value) ? Number(value) : NaN;
  if (read >= least && (!whole || Number.isInteger(read))) return read;
  throw new OptionError(
    `${name} must be a ${whole ? "whole " : ""}number of at least ${least}, not "${value}"`,
  );
}

function settings<T extends object>(name: string, value: string | undefined, defaults: T): T {
  const known = Object.keys(defaults);
  const given = (value ?? "").split(",").filter((part) => part !== "");
  const read = given.map((part): [string, number] => {
    const at = part.includes("=") ? part.indexOf("=") : part.length;
    const [key, amount] = [part.slice(0, at), part.slice(at + 1)];
    if (known.includes(key)) return [key, number(`${name} ${key}`, amount, 0, 0)];
    throw new OptionError(`${name} has no "${key}"; it has ${known.join(", ")}`);
  });
  return { ...defaults, ...Object.fromEntries(read) };
}

function listed(settings: object): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
}
