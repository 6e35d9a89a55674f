/**
 * A load of events: opens subscribers, publishes with so many requests under way, and
 * times each event from the start of its publish to its receipt by every subscriber.
 * Each event carries its number.
 */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Sample } from "../measure.ts";
import { Connections, keepBusy, sampleOf } from "./load.ts";
import { openStream, readNumbers } from "./streams.ts";

export interface DeliveryPlan {
  readonly url: string;
  readonly followPath: string;
  readonly publishPath: string;
  /** The body of a publish; `$` stands for the event's text. */
  readonly body: string;
  readonly subscribers: number;
  /** Publishes under way at a time. 1 measures latency, more measure throughput. */
  readonly publishers: number;
  readonly seconds: number;
  /** Characters that each event carries besides its number. */
  readonly padding: number;
  /** Events that are still missing so many milliseconds after the last publish will not come; 5,000 unless given. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 5000;

/**
 * Counts events received, over all subscribers. Errors are publishes that failed, and each
 * receipt of an acknowledged event that a subscriber waited for in vain. Rejects where a
 * stream breaks off.
 */
export async function runDelivery(plan: DeliveryPlan): Promise<Sample> {
  const connections = new Connections(plan.url, plan.publishers);
  const padding = "x".repeat(plan.padding);
  const startedAt: number[] = [];
  const latencies: number[] = [];
  /** Receipts that each event still wants, and all of them together; of one whose publish failed none. */
  const wanted: number[] = [];
  let outstanding = 0;
  let failed = 0;
  let idle: (() => void) | undefined;
  const broken = Promise.withResolvers<never>();

  /** Resolves once its first bytes have come. Until it is left, its end fails the load. */
  const follow = async (): Promise<IncomingMessage> => {
    const stream = await openStream(plan.url + plan.followPath);
    stream.on("close", () => broken.reject(new Error("a stream broke off")));
    await once(stream, "readable");
    return stream;
  };
  const received = (number: number, at: number): void => {
    const sent = startedAt[number];
    if (sent === undefined) return;
    latencies.push(at - sent);
    const more = wanted[number] ?? 0;
    if (more > 0) want(number, more - 1);
  };
  const want = (number: number, receipts: number): void => {
    outstanding += receipts - (wanted[number] ?? 0);
    wanted[number] = receipts;
  };
  const looked = (): void => {
    if (outstanding === 0) idle?.();
  };
  const publish = async (): Promise<void> => {
    const number = startedAt.push(performance.now()) - 1;
    want(number, plan.subscribers);
    const body = plan.body.replace("$", `#${number} ${padding}`);
    if (await connections.send({ method: "POST", path: plan.publishPath, body })) return;
    failed++;
    want(number, 0);
  };
  const load = async (): Promise<number> => {
    const streams = await Promise.all(Array.from({ length: plan.subscribers }, follow));
    for (const stream of streams) readNumbers(stream, received, looked);
    const started = performance.now();
    await keepBusy(plan.publishers, plan.seconds, publish);
    if (outstanding > 0) {
      const over = Promise.withResolvers<void>();
      const timer = setTimeout(over.resolve, plan.patienceMs ?? PATIENCE_MS);
      idle = over.resolve;
      await over.promise;
      clearTimeout(timer);
    }
    const took = performance.now() - started;
    for (const stream of streams) stream.removeAllListeners("close").destroy();
    return took;
  };

  const took = await Promise.race([load(), broken.promise]);
  connections.close();
  return sampleOf(latencies, failed + outstanding, took);
}
