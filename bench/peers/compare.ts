/** Runs Holdfast and its peers in turn, and makes rows of what they did and what it cost them. */
import { readFile } from "node:fs/promises";
import {
  alternate,
  median,
  type Contender,
  type Effort,
  type Sample,
  type Summary,
} from "../measure.ts";
import type { Row } from "../report.ts";

export interface Peer extends Contender {
  /** The server's process, whose CPU time is counted. */
  readonly pid: number;
  /** What a run did: requests answered, or events delivered. */
  run(): Promise<Sample & { readonly count: number }>;
}

export interface Comparison {
  readonly job: string;
  /** Holdfast's throughput over a peer's that is wanted at least. */
  readonly target?: number;
  /** Columns of one contender's own. */
  readonly more?: (summary: Summary, all: readonly Summary[]) => Row;
}

/** What a suite of peers does unless told otherwise. */
export const PEERS_EFFORT: Effort = { rounds: 3, seconds: 1 };

/** The contender that the others are compared with. */
export const OURS = "holdfast";

export async function compare(
  { job, target, more }: Comparison,
  peers: readonly Peer[],
  rounds: number,
): Promise<Row[]> {
  process.stderr.write(`${job}\n`);
  const cpu = new Map<string, number[]>(peers.map(({ name }) => [name, []]));
  const summaries = await alternate(
    peers.map(({ name, pid, run }) => ({
      name,
      async run() {
        const before = await cpuSeconds(pid);
        const sample = await run();
        cpu.get(name)?.push((((await cpuSeconds(pid)) - before) * 1e6) / sample.count);
        return sample;
      },
    })),
    rounds,
  );
  const ours = summaries.find(({ name }) => name === OURS);
  return summaries.map((summary) => {
    const { name, rounds: _, ...figures } = summary;
    // The first round warmed up, as in `alternate`.
    const micros = median((cpu.get(name) ?? []).slice(1));
    return {
      job,
      server: name,
      ...figures,
      "server CPU µs each": Math.round(micros),
      ...more?.(summary, summaries),
      ...(ours && name !== OURS && { "Holdfast ÷ it": ours.perSecond / figures.perSecond }),
      ...(target !== undefined && name !== OURS && { target }),
    };
  });
}

/** Linux counts in hundredths of a second, whatever the kernel's own tick. */
const TICKS_PER_SECOND = 100;

/** CPU time that a process has used, all its threads; NaN where there is no /proc. */
async function cpuSeconds(pid: number): Promise<number> {
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
