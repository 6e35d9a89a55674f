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
}

/** Events that are still missing so long after the last publish will not come. */
const TIMEOUT_MS = 5000;

/** Counts events received, over all subscribers. */
export async function runDelivery(plan: DeliveryPlan): Promise<Sample> {
  const connections = new Connections(plan.url, plan.publishers);
  const padding = "x".repeat(plan.padding);
  const startedAt: number[] = [];
  const latencies: number[] = [];
  let errors = 0;
  let idle: (() => void) | undefined;

  const received = (number: number, now: number): void => {
    const sent = startedAt[number];
    if (sent !== undefined) latencies.push(now - sent);
  };
  const looked = (): void => {
    if (latencies.length >= startedAt.length * plan.subscribers) idle?.();
  };
  const publish = async (): Promise<void> => {
    const number = startedAt.push(performance.now()) - 1;
    const body = plan.body.replace("$", `#${number} ${padding}`);
    if (!(await connections.send({ method: "POST", path: plan.publishPath, body }))) errors++;
  };

  const followers = Array.from({ length: plan.subscribers }, () => follow(plan, received, looked));
  const streams = await Promise.all(followers);
  const started = performance.now();
  await keepBusy(plan.publishers, plan.seconds, publish);
  if (latencies.length < (startedAt.length - errors) * plan.subscribers) {
    const over = Promise.withResolvers<void>();
    const timer = setTimeout(over.resolve, TIMEOUT_MS);
    idle = over.resolve;
    await over.promise;
    clearTimeout(timer);
  }
  const elapsed = (performance.now() - started) / 1000;
  for (const stream of streams) stream.destroy();
  connections.close();
  const count = latencies.length;
  return { count, errors, perSecond: count / elapsed, ...quantiles(latencies) };
}

/** Opens a stream, tells of each event's number, and of each time that it has looked at all there is. */
async function follow(
  { url, followPath }: DeliveryPlan,
  received: (number: number, now: number) => void,
  looked: () => void,
): Promise<IncomingMessage> {
  const { hostname, port } = new URL(url);
  const headers = { accept: "text/event-stream" };
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = { hostname, port, path: followPath, agent: false, headers };
    get(options, resolve).on("error", reject);
  });
  if (incoming.statusCode !== 200) throw new Error(`following answered ${incoming.statusCode}`);
  let rest = "";
  incoming.on("error", () => {});
  incoming.setEncoding("utf8");
  incoming.on("data", (chunk: string) => {
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
  await new Promise((resolve) => incoming.once("data", resolve));
  return incoming;
}
