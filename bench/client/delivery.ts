/**
 * A load of events: opens subscribers, publishes with so many requests under way, and
 * times each event from the start of its publish to its receipt by every subscriber.
 * Each event carries its number.
 */
import { get, type IncomingMessage } from "node:http";
import type { Sample } from "../measure.ts";
import { Connections, keepBusy, quantiles } from "./load.ts";

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

  const received = (number: number, now: number): void => {
    const sent = startedAt[number];
    if (sent === undefined) return;
    latencies.push(now - sent);
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
    const followers = Array.from({ length: plan.subscribers }, () => follow(plan, broken.reject));
    const streams = await Promise.all(followers);
    for (const stream of streams) listen(stream, received, looked);
    const started = performance.now();
    await keepBusy(plan.publishers, plan.seconds, publish);
    if (outstanding > 0) {
      const over = Promise.withResolvers<void>();
      const timer = setTimeout(over.resolve, plan.patienceMs ?? PATIENCE_MS);
      idle = over.resolve;
      await over.promise;
      clearTimeout(timer);
    }
    const elapsed = (performance.now() - started) / 1000;
    for (const stream of streams) stream.removeAllListeners("close").destroy();
    return elapsed;
  };

  const elapsed = await Promise.race([load(), broken.promise]);
  connections.close();
  const count = latencies.length;
  const errors = failed + outstanding;
  return { count, errors, perSecond: count / elapsed, ...quantiles(latencies) };
}

/** A stream that has begun: its first bytes have come. Tells if it ends before it is left. */
function follow(
  { url, followPath }: DeliveryPlan,
  broke: (failure: Error) => void,
): Promise<IncomingMessage> {
  const { hostname, port } = new URL(url);
  const headers = { accept: "text/event-stream" };
  return new Promise((resolve, reject) => {
    get({ hostname, port, path: followPath, agent: false, headers }, (incoming) => {
      const { statusCode } = incoming;
      if (statusCode !== 200) return reject(new Error(`following answered ${statusCode}`));
      incoming.setEncoding("utf8");
      incoming.on("error", () => {});
      incoming.on("close", () => broke(new Error("a stream broke off")));
      incoming.once("data", () => resolve(incoming));
    }).on("error", reject);
  });
}

/** Tells of each event's number, and of each time that all there is has been looked at. */
function listen(
  stream: IncomingMessage,
  received: (number: number, now: number) => void,
  looked: () => void,
): void {
  let rest = "";
  stream.on("data", (chunk: string) => {
    rest += chunk;
    const now = performance.now();
    let from = 0;
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n", from)) {
      const data = rest.indexOf("data: #", from);
      if (data >= 0 && data < end) {
        received(Number.parseInt(rest.slice(data + 7, data + 20), 10), now);
      }
      from = end + 2;
    }
    rest = rest.slice(from);
    looked();
  });
}
