/** The figures of a load and of a process. */
import { readFile } from "node:fs/promises";

/** Linux reports CPU time in hundredths of a second, whatever the kernel's own tick is. */
const TICKS_PER_SECOND = 100;

/** Seconds of CPU that all threads of a process have used; NaN if there is no /proc. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name is in brackets and may hold spaces. utime and stime are the 14th and 15th field.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export async function residentKiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
}

export interface Effort {
  readonly rounds: number;
  /** Of one run of one contender. The warm-up takes half of it. */
  readonly seconds: number;
}

export interface Sample {
  /** Requests answered, events delivered or streams resumed. */
  readonly count: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
}

export interface Contender {
  readonly name: string;
  /** The process whose CPU time is counted. */
  readonly pid: number;
  readonly run: Load;
}

/** Puts load on a server for so many seconds. */
export type Load = (seconds: number) => Promise<Sample>;

/** Contenders that take the same load. */
export function contend<Of extends Pick<Contender, "name" | "pid">>(
  all: readonly Of[],
  load: (of: Of) => Load,
): Contender[] {
  return all.map((of) => ({ name: of.name, pid: of.pid, run: load(of) }));
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = NaN, high = NaN] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 ? high : (low + high) / 2;
}

export function progress(text: string): void {
  process.stderr.write(`  ${text}\n`);
}
