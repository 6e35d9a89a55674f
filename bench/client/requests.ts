/** A load of requests: N connections, each with one under way at a time, for a set number of seconds. */
import { setTimeout as pause } from "node:timers/promises";
import type { Sample } from "../measure.ts";
import { Connections, keepBusy, sampleOf } from "./load.ts";

export interface RequestPlan {
  readonly url: string;
  readonly method: string;
  /** Paths to take in turn. */
  readonly paths: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Headers to take in turn, with the paths. */
  readonly headersInTurn?: readonly Readonly<Record<string, string>>[];
  /** Where it holds `$n`, the number of the request stands. */
  readonly body?: string;
  /** What an answer's body must hold; one without it counts as an error. */
  readonly answerHolds?: string;
  readonly connections: number;
  readonly seconds: number;
  /** Milliseconds that a connection rests after each answer; none where absent. */
  readonly pauseMs?: number;
}

/** Latencies are of the answers that were what was wanted. */
export async function runRequests(plan: RequestPlan): Promise<Sample> {
  const connections = new Connections(plan.url, plan.connections);
  const latencies: number[] = [];
  let errors = 0;
  let next = 0;
  const once = async (): Promise<void> => {
    const number = next++;
    const sent = performance.now();
    const fine = await connections.send({
      method: plan.method,
      path: plan.paths[number % plan.paths.length] ?? "/",
      headers: { ...plan.headers, ...plan.headersInTurn?.[number % plan.headersInTurn.length] },
      body: plan.body?.replace("$n", String(number)),
      answerHolds: plan.answerHolds,
    });
    if (fine) latencies.push(performance.now() - sent);
    else errors++;
    if (plan.pauseMs !== undefined) await pause(plan.pauseMs);
  };
  const started = performance.now();
  await keepBusy(plan.connections, plan.seconds, once);
  const took = performance.now() - started;
  connections.close();
  return sampleOf(latencies, errors, took);
}
