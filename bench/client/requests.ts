/** A load of requests: each connection sends its next request when the last is answered. */
import { setTimeout as pause } from "node:timers/promises";
import type { Sample } from "../measure.ts";
import { Connections, keepBusy, sampleOf } from "./load.ts";

export interface RequestPlan {
  readonly url: string;
  readonly method: string;
  /** Requests take these in turn. */
  readonly paths: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Requests take these in turn, too. */
  readonly headersInTurn?: readonly Readonly<Record<string, string>>[];
  /** `$n` in it stands for the number of the request. */
  readonly body?: string;
  /** A text that each answer must hold. An answer without it counts as an error. */
  readonly answerHolds?: string;
  readonly connections: number;
  readonly seconds: number;
  /** Milliseconds that a connection rests after each answer. */
  readonly pauseMs?: number;
}

/** Latencies are those of good answers. */
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
