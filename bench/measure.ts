/** Runs load clients as processes, alternates what is compared, and reduces rounds to medians. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { PROJECT } from "../scripts/bundle.ts";
import type { DeliveryPlan, DeliveryResult } from "./client/delivery.ts";
import type { RequestPlan, RequestResult } from "./client/requests.ts";

/** Runs a load client, a script under bench/, as a process. */
export async function runClient<Result>(script: string, plan: object): Promise<Result> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(PROJECT, "bench", script), JSON.stringify(plan)],
    {
      maxBuffer: 1024 * 1024,
    },
  );
  return JSON.parse(stdout) as Result;
}

export function requests(plan: RequestPlan): Promise<RequestResult> {
  return runClient("client/requests.ts", plan);
}

export function delivery(plan: DeliveryPlan): Promise<DeliveryResult> {
  return runClient("client/delivery.ts", plan);
}

/** How much a suite does. */
export interface Effort {
  readonly rounds: number;
  /** Of one run of one contender. */
  readonly seconds: number;
}

export interface Sample {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
}

export interface Summary {
  readonly name: string;
  readonly rounds: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
  /** (largest − smallest) ÷ median of the rounds' throughput. */
  readonly spread: number;
}

export interface Contender {
  readonly name: string;
  run(): Promise<Sample>;
}

/** Runs the contenders in turn, A B A B, so that the machine's moods fall on all alike. The first round warms up and does not count. */
export async function alternate(
  contenders: readonly Contender[],
  rounds: number,
): Promise<Summary[]> {
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const { name, run } of contenders) {
      const sample = await run();
      if (round > 0) samples.get(name)?.push(sample);
      progress(
        `${round === 0 ? "warm-up" : `round ${round}/${rounds}`}: ${name} ${sample.perSecond.toFixed(0)}/s, p50 ${sample.p50.toFixed(2)} ms`,
      );
    }
  }
  return [...samples].map(([name, list]) => summarise(name, list));
}

function summarise(name: string, samples: readonly Sample[]): Summary {
  const rates = samples.map(({ perSecond }) => perSecond);
  return {
    name,
    rounds: samples.length,
    perSecond: median(rates),
    p50: median(samples.map(({ p50 }) => p50)),
    p99: median(samples.map(({ p99 }) => p99)),
    errors: samples.reduce((sum, { errors }) => sum + errors, 0),
    spread: (Math.max(...rates) - Math.min(...rates)) / median(rates),
  };
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
