/**
 * Load client, a process of its own: N connections, each with one request under
 * way at a time, for a set number of seconds. Reads its plan as JSON from the
 * command line, prints its result as one JSON line.
 */
import { Agent, request } from "node:http";

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
}

export interface RequestResult {
  readonly requests: number;
  /** Answers that were not 2xx, and requests that failed. */
  readonly errors: number;
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

const plan = JSON.parse(process.argv[2] ?? "") as RequestPlan;
const agent = new Agent({ keepAlive: true, maxSockets: plan.connections });
const { hostname, port } = new URL(plan.url);
const latencies: number[] = [];
let errors = 0;
let next = 0;

function once(): Promise<void> {
  const number = next++;
  const path = plan.paths[number % plan.paths.length] ?? "/";
  const inTurn = plan.headersInTurn?.[number % plan.headersInTurn.length];
  const body = plan.body?.replace("$n", String(number));
  return new Promise((resolve) => {
    const started = performance.now();
    const done = (failed: boolean) => {
      if (failed) errors++;
      else latencies.push(performance.now() - started);
      resolve();
    };
    const outgoing = request(
      {
        agent,
        hostname,
        port,
        path,
        method: plan.method,
        headers: {
          ...plan.headers,
          ...inTurn,
          ...(body !== undefined && {
            "content-type": "application/json",
            "content-length": Buffer.byteLength(body),
          }),
        },
      },
      (incoming) => {
        const failed = (incoming.statusCode ?? 500) >= 300;
        const { answerHolds } = plan;
        if (answerHolds === undefined) {
          incoming.resume();
          incoming.on("end", () => done(failed));
        } else {
          let text = "";
          incoming.setEncoding("utf8");
          incoming.on("data", (chunk: string) => (text += chunk));
          incoming.on("end", () => done(failed || !text.includes(answerHolds)));
        }
        incoming.on("error", () => done(true));
      },
    );
    outgoing.on("error", () => done(true));
    outgoing.end(body);
  });
}

const started = performance.now();
const until = started + plan.seconds * 1000;
await Promise.all(
  Array.from({ length: plan.connections }, async () => {
    while (performance.now() < until) await once();
  }),
);
const elapsed = (performance.now() - started) / 1000;
latencies.sort((a, b) => a - b);
const at = (share: number) =>
  latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? NaN;
const result: RequestResult = {
  requests: latencies.length,
  errors,
  perSecond: latencies.length / elapsed,
  p50: at(0.5),
  p99: at(0.99),
};
console.log(JSON.stringify(result));
agent.destroy();
