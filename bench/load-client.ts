/**
 * Loads run in a process of their own (`client/`), so that their CPU time is not counted with a
 * server's. One process serves a whole run: a new one would spend the start of each load on
 * compiling its code.
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

export const requests = (plan: RequestPlan) => run({ kind: "requests", plan });
export const delivery = (plan: DeliveryPlan) => run({ kind: "delivery", plan });
export const resumptions = (plan: ResumePlan) => run({ kind: "resumptions", plan });

/** Seconds that a load may take beyond its own, to open its streams and to wait for late events. */
const GRACE_S = 60;

let busy = false;

/** Refuses a second load beside one: each would disturb the other's figures. */
async function run(order: Order): Promise<Sample> {
  if (busy) throw new Error("a load is under way");
  busy = true;
  const child = (client ??= start());
  const over = new AbortController();
  const { signal } = over;
  try {
    child.send(order);
    const outcome = await Promise.race([
      once(child, "message", { signal }).then(([message]) => message as Outcome),
      once(child, "exit", { signal }).then((): Outcome => {
        return { failure: `the load client ended with ${child.exitCode ?? child.signalCode}` };
      }),
      delay((order.plan.seconds + GRACE_S) * 1000, LATE, { signal }),
    ]);
    if ("failure" in outcome) throw new Error(outcome.failure);
    return outcome.sample;
  } catch (failure) {
    // The client's connections close with it, and the next load starts a new client.
    child.kill("SIGKILL");
    client = undefined;
    throw failure;
  } finally {
    over.abort();
    busy = false;
  }
}

const LATE: Outcome = { failure: "the load does not end" };

/** The client ends when its channel closes. It does not keep this process from ending. */
function start(): ChildProcess {
  const started = fork(join(import.meta.dirname, "client", "main.ts"));
  started.unref();
  started.channel?.unref();
  started.once("exit", () => {
    if (client === started) client = undefined;
  });
  return started;
}
