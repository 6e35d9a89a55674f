/**
 * The load client is a process of its own (`client/`), so that what it takes is no
 * server's and not ours. One serves a whole run: its code is warm by the time that
 * anything counts, where a new one would spend the first part of each load on that.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
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

/** Seconds that a load may take longer than it was asked to, for opening its streams and for what is late. */
const GRACE_S = 60;

let busy = false;

/** One load at a time: were two under way, each would be in the other's figures. */
async function run(order: Order): Promise<Sample> {
  if (busy) throw new Error("a load is under way");
  busy = true;
  const child = (client ??= start());
  hold(child);
  try {
    child.send(order);
    return await answerOf(child, (order.plan.seconds + GRACE_S) * 1000);
  } catch (failure) {
    // What it had open goes with it, and the next load gets a new one.
    child.kill("SIGKILL");
    client = undefined;
    throw failure;
  } finally {
    release(child);
    busy = false;
  }
}

async function answerOf(child: ChildProcess, withinMs: number): Promise<Sample> {
  const over = new AbortController();
  const { signal } = over;
  try {
    const outcome = await Promise.race([
      once(child, "message", { signal }).then(([message]) => message as Outcome),
      once(child, "exit", { signal }).then((): Outcome => {
        return { failure: `the load client ended with ${child.exitCode ?? child.signalCode}` };
      }),
      delay(withinMs, { failure: "the load does not end" } satisfies Outcome, { signal }),
    ]);
    if ("failure" in outcome) throw new Error(outcome.failure);
    return outcome.sample;
  } finally {
    over.abort();
  }
}

/** It ends with us, when its channel closes. */
function start(): ChildProcess {
  const started = fork(join(import.meta.dirname, "client", "main.ts"));
  started.once("exit", () => {
    if (client === started) client = undefined;
  });
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
