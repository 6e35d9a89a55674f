/** Alternates what is compared, and reduces rounds to medians. */
import { readFile } from "node:fs/promises";

/** Linux counts in hundredths of a second, whatever the kernel's own tick. */
const TICKS_PER_SECOND = 100;

/** Seconds of CPU that a process has used, all its threads; NaN where there is no /proc. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name stands in brackets and may hold spaces; utime and stime are the 14th and 15th field.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Memory that a process keeps resident. */
export async function residentKiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
}

/** How much a suite does. */
export interface Effort {
  readonly rounds: number;
  /** Of one run of one contender; one that warms up takes half as long. */
  readonly seconds: number;
}

export interface Sample {
  /** What the run did: requests answered, events delivered or streams resumed. */
  readonly count: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
}

export interface Contender {
  readonly name: string;
  /** The server's process, whose CPU time is counted. */
  readonly pid: number;
  readonly run: Load;
}

/** A load of so many seconds, which can be repeated. */
export type Load = (seconds: number) => Promise<Sample>;

/** Several servers that each take the same load. */
export function contend<Of extends Pick<Contender, "name" | "pid">>(
  all: readonly Of[],
  load: (of: Of) => Load,
): Contender[] {
  return all.map((of) => ({ name: of.name, pid: of.pid, run: load(of) }));
}

export interface Round extends Sample {
  /** The server's CPU time in this round, divided by what it did. */
  readonly cpuMicros: number;
}

/** All rounds of a contender that count, in order. */
export interface Measured {
  readonly name: string;
  readonly rounds: readonly Round[];
}

/** Runs the contenders in turn, A B A B, so that the machine's moods fall on all alike. The first round warms up and does not count. */
export async function alternate(
  contenders: readonly Contender[],
  { rounds, seconds }: Effort,
): Promise<Measured[]> {
  const measured = contenders.map(({ name }) => ({ name, rounds: [] as Round[] }));
  for (let round = 0; round <= rounds; round++) {
    for (const [n, { name, pid, run }] of contenders.entries()) {
      const before = await cpuSeconds(pid);
      const sample = await run(round === 0 ? seconds / 2 : seconds);
      if (sample.count === 0) throw new Error(`${name} did nothing: ${sample.errors} errors`);
      const cpuMicros = (((await cpuSeconds(pid)) - before) * 1e6) / sample.count;
      if (round > 0) measured[n]?.rounds.push({ ...sample, cpuMicros });
      progress(
        `${round === 0 ? "warm-up" : `round ${round}/${rounds}`}: ${name} ${sample.perSecond.toFixed(0)}/s, p50 ${sample.p50.toFixed(2)} ms`,
      );
    }
  }
  return measured;
}

export interface Summary {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
  /** (largest − smallest) ÷ median of the rounds' throughput. */
  readonly spread: number;
  readonly cpuMicros: number;
}

/** Medians of rounds. */
export function summarise({ rounds }: Measured): Summary {
  const of = (key: keyof Round) => rounds.map((round) => round[key]);
  const rates = of("perSecond");
  return {
    perSecond: median(rates),
    p50: median(of("p50")),
    p99: median(of("p99")),
    errors: of("errors").reduce((sum, errors) => sum + errors, 0),
    spread: (Math.max(...rates) - Math.min(...rates)) / median(rates),
    cpuMicros: median(of("cpuMicros")),
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = NaN, high = NaN] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 ? high : (low + high) / 2;
}

/** Says what is going on, beside the results. */
export function progress(text: string): void {
  process.stderr.write(`  ${text}\n`);
}
