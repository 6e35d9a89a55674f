/**
 * A load of events: times each event from the start of its publish to its receipt by every
 * subscriber. Each event carries its number.
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
  /** The body of a publish. `$` stands for the event's text. */
  readonly body: string;
  readonly subscribers: number;
  /** Publishes under way at a time: 1 measures latency, more measure throughput. */
  readonly publishers: number;
  readonly seconds: number;
  /** Characters of an event besides its number. */
  readonly padding: number;
  /** Milliseconds from the last publish until a missing event counts as lost; 5,000 unless given. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 5000;

/**
 * Counts the events that all subscribers receive. An error is a publish that fails, or an
 * acknowledged event that one subscriber does not receive. Rejects if a stream breaks off.
 */
export async function runDelivery(plan: DeliveryPlan): Promise<Sample> {
  const connections = new Connections(plan.url, plan.publishers);
  const padding = "x".repeat(plan.padding);
  const startedAt: number[] = [];
  const latencies: number[] = [];
  /** Receipts that are still missing, by event; of an event whose publish failed none are. */
  const missing = new Map<number, number>();
  let failed = 0;
  let idle: (() => void) | undefined;
  const broken = Promise.withResolvers<never>();

  /** Resolves with the first bytes of the stream. From then on, its end fails the load. */
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
    const left = (missing.get(number) ?? 1) - 1;
    if (left > 0) missing.set(number, left);
    else missing.delete(number);
  };
  const looked = (): void => {
    if (missing.size === 0) idle?.();
  };
  const publish = async (): Promise<void> => {
    const number = startedAt.push(performance.now()) - 1;
    missing.set(number, plan.subscribers);
    const body = plan.body.replace("$", `#${number} ${padding}`);
    if (await connections.send({ method: "POST", path: plan.publishPath, body })) return;
    failed++;
    missing.delete(number);
  };
  const load = async (): Promise<number> => {
    const streams = await Promise.all(Array.from({ length: plan.subscribers }, follow));
    for (const stream of streams) readNumbers(stream, received, looked);
    const started = performance.now();
    await keepBusy(plan.publishers, plan.seconds, publish);
    if (missing.size > 0) {
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
  const lost = [...missing.values()].reduce((sum, receipts) => sum + receipts, 0);
  return sampleOf(latencies, failed + lost, took);
}
