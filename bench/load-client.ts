/**
 * The load client is a process of its own (`client/`), so that what it takes is no
 * server's and not ours. One serves a whole run: its code is warm by the time that
 * anything counts, where a new one would spend the first part of each load on that.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { DeliveryPlan } from "./client/delivery.ts";
import type { Order, Outcome } from "./client/main.ts";
import type { RequestPlan } from "./client/requests.ts";
import type { ResumePlan } from "./client/resume.ts";
import type { Sample } from "./measure.ts";

let client: ChildProcess | undefined;

export function requests(plan: RequestPlan): Promise<Sample> {
  return run({ kind: "requests", plan });
}

export function delivery(plan: DeliveryPlan): Promise<Sample> {
  return run({ kind: "delivery", plan });
}

export function resumptions(plan: ResumePlan): Promise<Sample> {
  return run({ kind: "resumptions", plan });
}

/** One load at a time: were two under way, each would be in the other's figures. */
async function run(order: Order): Promise<Sample> {
  const child = (client ??= start());
  const over = new AbortController();
  const ended = once(child, "exit", { signal: over.signal }).then(() => {
    throw new Error(`the load client ended with ${child.exitCode ?? child.signalCode}`);
  });
  const answered = once(child, "message", { signal: over.signal });
  hold(child);
  child.send(order);
  try {
    const [outcome] = (await Promise.race([answered, ended])) as [Outcome];
    if ("failure" in outcome) throw new Error(outcome.failure);
    return outcome.sample;
  } finally {
    over.abort();
    await Promise.allSettled([answered, ended]);
    release(child);
  }
}

/** It ends with us, when its channel closes. */
function start(): ChildProcess {
  const started = fork(join(import.meta.dirname, "client", "main.ts"));
  started.once("exit", () => (client = undefined));
  return started;
}

/** Only one that is at work keeps us from ending. */
function hold(child: ChildProcess): void {
  child.ref();
  child.channel?.ref();
}

function release(child: ChildProcess): void {
  child.unref();
  child.channel?.unref();
}
