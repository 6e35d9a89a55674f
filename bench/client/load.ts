/** Shared by the loads: connections to one server, a load for a set time, and its result. */
import { Agent, request } from "node:http";

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** A text that the body of a good answer holds. */
  readonly answerHolds?: string | undefined;
}

/** A fixed number of connections that stay open. A call waits for a free one. */
export class Connections {
  readonly #agent: Agent;
  readonly #hostname: string;
  readonly #port: string;

  constructor(url: string, count: number) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: count });
    ({ hostname: this.#hostname, port: this.#port } = new URL(url));
  }

  /** Whether the answer is good: a 2xx status, and the text in its body. Never rejects. */
  send({ method, path, headers, body, answerHolds }: Call): Promise<boolean> {
    return new Promise((resolve) => {
      const outgoing = request(
        {
          agent: this.#agent,
          hostname: this.#hostname,
          port: this.#port,
          path,
          method,
          headers: {
            ...headers,
            ...(body !== undefined && {
              "content-type": "application/json",
              "content-length": Buffer.byteLength(body),
            }),
          },
        },
        (incoming) => {
          const fine = (incoming.statusCode ?? 500) < 300;
          let text = "";
          if (answerHolds === undefined) incoming.resume();
          else incoming.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          incoming.on("end", () => resolve(fine && text.includes(answerHolds ?? "")));
          incoming.on("error", () => resolve(false));
        },
      );
      outgoing.on("error", () => resolve(false));
      outgoing.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Runs callers side by side. Each repeats `once` until the time is over. */
export async function keepBusy(callers: number, seconds: number, once: () => Promise<void>) {
  const until = performance.now() + seconds * 1000;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (performance.now() < until) await once();
    }),
  );
}

/** The median and the 99th percentile; NaN if there are no latencies. */
export function quantiles(latencies: readonly number[]): { p50: number; p99: number } {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

/** The result of a load that took so many milliseconds. A latency may stand for `each` events. */
export function sampleOf(latencies: readonly number[], errors: number, took: number, each = 1) {
  const count = latencies.length;
  return { count, errors, perSecond: (count * each * 1000) / took, ...quantiles(latencies) };
}
