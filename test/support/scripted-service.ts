/** A service whose answers a test scripts, and a clock on which the waits between tries pass at once. */
import { encodeFrame } from "../../src/wire/sse-frame.ts";
import type { Timing } from "../../src/client/timing.ts";
import { FakeClock } from "./fake-clock.ts";

/** Waits pass at once and move the clock. `every` runs when a test moves it. */
export class TestTiming extends FakeClock implements Timing {
  /** Milliseconds of each wait. */
  readonly waits: number[] = [];
  /** The value that `random` returns. */
  chance = 0;
  #slept = 0;

  override now(): number {
    return super.now() + this.#slept;
  }

  random(): number {
    return this.chance;
  }

  async sleep(ms: number): Promise<void> {
    this.waits.push(ms);
    this.#slept += ms;
  }
}

export interface Asked {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  readonly body: string | undefined;
  readonly signal: AbortSignal;
  readonly redirect: string | undefined;
}

export type Step = (asked: Asked) => Response | Promise<Response>;

export class ScriptedService {
  readonly asked: Asked[] = [];
  readonly #steps: Step[];

  /** Answers with each step once; one request more is an error. */
  constructor(...steps: readonly Step[]) {
    this.#steps = [...steps];
  }

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const { method = "GET", body, signal, redirect } = init;
    const asked: Asked = {
      method,
      url: new URL(url),
      headers: new Headers(init.headers),
      body: typeof body === "string" ? body : undefined,
      signal: signal ?? new AbortController().signal,
      redirect,
    };
    this.asked.push(asked);
    const step = this.#steps.shift();
    if (!step) return problem(400, "unscripted");
    return step(asked);
  };

  get last(): Asked {
    return this.asked.at(-1)!;
  }
}

export const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Step =>
  () =>
    Response.json(body, { status, headers });

export function problem(
  status: number,
  code: string,
  headers: Record<string, string> = {},
): Response {
  const type = { "content-type": "application/problem+json" };
  const body = JSON.stringify({ status, code, detail: `Says ${code}.` });
  return new Response(body, { status, headers: { ...type, ...headers } });
}

export const refusal =
  (status: number, code: string, headers?: Record<string, string>): Step =>
  () =>
    problem(status, code, headers);

/** The network is away. */
export const away: Step = () => Promise.reject(new TypeError("fetch failed"));

/** Answers nothing, until the request is aborted. */
export const hang: Step = ({ signal }) =>
  new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });

const encoder = new TextEncoder();

/** A stream of these chunks, which then ends, breaks, or stays open. */
export const stream =
  (chunks: readonly (string | Uint8Array)[], then: "end" | "break" | "stay" = "end"): Step =>
  ({ signal }) => {
    const left = [...chunks];
    const body = new ReadableStream<Uint8Array>(
      {
        start(controller) {
          signal.addEventListener("abort", () => controller.error(signal.reason));
        },
        pull(controller) {
          const chunk = left.shift();
          if (chunk !== undefined) {
            controller.enqueue(typeof chunk === "string" ? encoder.encode(chunk) : chunk);
          } else if (then === "end") controller.close();
          else if (then === "break") controller.error(new TypeError("terminated"));
        },
      },
      { highWaterMark: 0 },
    );
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };

export const event = (id: string, data: string, name?: string): string =>
  encodeFrame({ id, data, event: name });

export const ended = (id: string): string =>
  encodeFrame({ id, event: "ended", data: '{"id":"s"}' });
