/** The command line of `npm run soak`. */
import { OptionError, parseOptions, readNumber } from "../../scripts/command-line.ts";

/** Operations a second, over all workers. */
export interface Rates {
  readonly publish: number;
  readonly create: number;
  readonly write: number;
  readonly delete: number;
  readonly redis: number;
  readonly call: number;
  readonly answer: number;
}

/** Mean seconds from one fault of a kind to the next; 0 means never. */
export interface FaultIntervals {
  readonly kill: number;
  readonly abort: number;
  readonly cut: number;
  readonly silence: number;
  readonly redis: number;
  /** The disk is full for three seconds. Only a soak with a small disk has one that can be filled. */
  readonly disk: number;
}

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Sessions that are published to and followed all the time, and subscribers of each. */
  readonly sessions: number;
  readonly subscribers: number;
  /** Events that the service retains of each session. */
  readonly retain: number;
  /** MiB of a disk of its own for the service's storage; 0: it has none. */
  readonly disk: number;
  /** How many files the service's process may have open; 0: as many as the soak may. */
  readonly openFiles: number;
  readonly rates: Rates;
  readonly faults: FaultIntervals;
  /** Whether the results are kept even if the soak is short. */
  readonly keep: boolean;
}

export const DEFAULTS: SoakOptions = {
  seconds: 300,
  seed: 1,
  sessions: 6,
  subscribers: 3,
  retain: 250,
  disk: 0,
  openFiles: 0,
  rates: { publish: 100, create: 6, write: 12, delete: 4, redis: 60, call: 1, answer: 1 },
  faults: { kill: 25, abort: 5, cut: 9, silence: 40, redis: 20, disk: 30 },
  keep: false,
};

export const USAGE = `npm run soak -- [options]
  --minutes N | --seconds N   how long (5 minutes)
  --seed N                    chooses times and targets of faults (${DEFAULTS.seed})
  --sessions N                sessions that are followed all the time (${DEFAULTS.sessions})
  --subscribers N             subscribers of each (${DEFAULTS.subscribers})
  --retain N                  LOG_MAX_EVENTS of the service (${DEFAULTS.retain})
  --disk N                    MiB of a disk of its own for the storage, which fills and empties:
                              needs unshare, and root or user namespaces (no such disk)
  --open-files N              files that the service's process may have open (no limit of its own)
  --rates NAME=N,…            times a second (${listed(DEFAULTS.rates)})
  --faults NAME=N,…           seconds between two of a kind, 0 for none (${listed(DEFAULTS.faults)})
  --keep                      keeps the results of a soak that is shorter than ${DEFAULTS.seconds / 60} minutes, too`;

const OPTIONS = {
  minutes: { type: "string" },
  seconds: { type: "string" },
  seed: { type: "string" },
  sessions: { type: "string" },
  subscribers: { type: "string" },
  retain: { type: "string" },
  disk: { type: "string" },
  "open-files": { type: "string" },
  rates: { type: "string" },
  faults: { type: "string" },
  keep: { type: "boolean" },
} as const;

/** Whether the results replace those in bench/results. A short soak says less than a long one. */
export function isKept({ seconds, keep }: SoakOptions): boolean {
  return keep || seconds >= DEFAULTS.seconds;
}

/** Throws an OptionError for the first argument that is wrong. */
export function readOptions(args: readonly string[]): SoakOptions {
  const { values } = parseOptions(args, OPTIONS);
  if (values.minutes !== undefined && values.seconds !== undefined) {
    throw new OptionError("give --minutes or --seconds, not both");
  }
  const whole = (name: "seed" | "sessions" | "subscribers" | "retain" | "disk", least: number) =>
    readNumber(`--${name}`, values[name], { least, whole: true }) ?? DEFAULTS[name];
  const minutes = readNumber("--minutes", values.minutes, { least: 0.1 }) ?? DEFAULTS.seconds / 60;
  return {
    seconds: readNumber("--seconds", values.seconds, { least: 5 }) ?? minutes * 60,
    seed: whole("seed", 0),
    sessions: whole("sessions", 1),
    subscribers: whole("subscribers", 1),
    retain: whole("retain", 1),
    disk: whole("disk", 0),
    openFiles:
      readNumber("--open-files", values["open-files"], { least: 0, whole: true }) ??
      DEFAULTS.openFiles,
    rates: settings("--rates", values.rates, DEFAULTS.rates),
    faults: settings("--faults", values.faults, DEFAULTS.faults),
    keep: values.keep ?? DEFAULTS.keep,
  };
}

function settings<T extends object>(name: string, value: string | undefined, defaults: T): T {
  const known = Object.keys(defaults);
  const given = (value ?? "").split(",").filter((part) => part !== "");
  const read = given.map((part): [string, number] => {
    const at = part.includes("=") ? part.indexOf("=") : part.length;
    const [key, amount] = [part.slice(0, at), part.slice(at + 1)];
    const read = known.includes(key) && readNumber(`${name} ${key}`, amount, { least: 0 });
    if (typeof read === "number") return [key, read];
    throw new OptionError(`${name} has no "${key}"; it has ${known.join(", ")}`);
  });
  return { ...defaults, ...Object.fromEntries(read) };
}

function listed(settings: object): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
}
