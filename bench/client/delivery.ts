/**
 * Load client for streams, a process of its own: opens subscribers, publishes with
 * so many requests under way, and times each event from the start of its
 * publish to its receipt by every subscriber. Each event carries its number.
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

const plan = JSON.parse(process.argv[2] ?? "") as DeliveryPlan;
const connections = new Connections(plan.url, plan.publishers);
const { hostname, port } = new URL(plan.url);
const padding = "x".repeat(plan.padding);
const startedAt: number[] = [];
const latencies: number[] = [];
let errors = 0;
let idle: (() => void) | undefined;

async function follow(): Promise<IncomingMessage> {
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    get(
      {
        hostname,
        port,
        path: plan.followPath,
        agent: false,
        headers: { accept: "text/event-stream" },
      },
      resolve,
    ).on("error", reject);
  });
  if (incoming.statusCode !== 200) throw new Error(`following answered ${incoming.statusCode}`);
  let rest = "";
  incoming.setEncoding("utf8");
  incoming.on("data", (chunk: string) => {
    rest += chunk;
    const now = performance.now();
    let from = 0;
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n", from)) {
      const data = rest.indexOf("data: #", from);
      if (data >= 0 && data < end) {
        const sent = startedAt[Number.parseInt(rest.slice(data + 7, data + 20), 10)];
        if (sent !== undefined) latencies.push(now - sent);
      }
      from = end + 2;
    }
    rest = rest.slice(from);
    if (latencies.length >= startedAt.length * plan.subscribers) idle?.();
  });
  await new Promise((resolve) => incoming.once("data", resolve));
  return incoming;
}

async function publish(): Promise<void> {
  const number = startedAt.push(performance.now()) - 1;
  const body = plan.body.replace("$", `#${number} ${padding}`);
  if (!(await connections.send({ method: "POST", path: plan.publishPath, body }))) errors++;
}

const streams = await Promise.all(Array.from({ length: plan.subscribers }, follow));
const started = performance.now();
await keepBusy(plan.publishers, plan.seconds, publish);
if (latencies.length < (startedAt.length - errors) * plan.subscribers) {
  await Promise.race([
    new Promise<void>((resolve) => (idle = resolve)),
    // Unheld, or each run would last until it fires.
    new Promise((resolve) => setTimeout(resolve, 5000).unref()),
  ]);
}
const elapsed = (performance.now() - started) / 1000;
for (const stream of streams) stream.destroy();
connections.close();
/** Of events received, over all subscribers; from the start of a publish to its receipt. */
const result: Sample = {
  count: latencies.length,
  errors,
  perSecond: latencies.length / elapsed,
  ...quantiles(latencies),
};
console.log(JSON.stringify(result));
