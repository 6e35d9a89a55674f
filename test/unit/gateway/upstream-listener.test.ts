import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { MAX_UPSTREAM_RETRY_MS, MIN_UPSTREAM_RETRY_MS } from "../../../src/core/limits.ts";
import { refusalOf, retryAfter, UpstreamListener } from "../../../src/gateway/upstream-listener.ts";
import { BACKEND } from "../../../src/stream/protocol.ts";
import type { Replica, RequestParts } from "../../../src/gateway/upstream/upstream.ts";
import { upstreamWith } from "../../support/mcp/upstream-with.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A listener to a server that answers so. */
function listening(send: Replica["send"], sid?: string, subscription?: string) {
  const upstream = upstreamWith(send);
  const socket = {
    binaryType: "arraybuffer",
    send: vi.fn(),
    close: vi.fn(),
    addEventListener: vi.fn(),
  };
  const listener = new UpstreamListener({ upstream, socket, headers: {}, maxBytes: 1000 });
  listener.receive(BACKEND + JSON.stringify({ sid, version: "2025-11-25", subscription }));
  return Object.assign(listener, {
    said: () => socket.send.mock.calls.map(([word]) => word as string),
  });
}

const HOUR_MS = 3_600_000;

it.each<[status: number, sid: string | undefined, atLeast: number, atMost: number]>([
  [400, "a", 20, 30],
  [400, undefined, 20, 30],
  [404, "a", 20, 30],
  [405, "a", 1, 1],
  [409, "a", 120, 140],
  [503, "a", 120, 140],
])(
  "a server that answers each request for its stream with %i (session %s) is asked %i to %i times an hour",
  async (status, sid, atLeast, atMost) => {
    const send = vi.fn(() => Promise.resolve(new Response(null, { status })));
    const listener = listening(send, sid);
    await vi.advanceTimersByTimeAsync(HOUR_MS);
    expect(send.mock.calls.length).toBeGreaterThanOrEqual(atLeast);
    expect(send.mock.calls.length).toBeLessThanOrEqual(atMost);
    listener.end();
  },
);

it("once such a server fails in another way, it is asked again sooner", async () => {
  let status = 404;
  const send = vi.fn(() => Promise.resolve(new Response(null, { status })));
  const listener = listening(send, "a");
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  status = 503;
  await vi.advanceTimersByTimeAsync(5 * 60_000);
  send.mockClear();
  await vi.advanceTimersByTimeAsync(HOUR_MS);
  expect(send.mock.calls.length).toBeGreaterThan(110);
  listener.end();
});

it("waits for a server that begins its answer with its first event, whatever a call may take", async () => {
  const send = vi.fn(() => new Promise<Response>(() => undefined));
  const listener = listening(send, "a");
  await vi.advanceTimersByTimeAsync(9 * 60_000);
  expect(send).toHaveBeenCalledOnce();
  // Silence has its bound here too.
  await vi.advanceTimersByTimeAsync(2 * 60_000);
  expect(send).toHaveBeenCalledTimes(2);
  listener.end();
});

it("401 without the client's credential may be the word of a server that restarted", () => {
  expect([refusalOf(401, true, false), refusalOf(401, true, true)]).toEqual(["lost", "none"]);
  expect(refusalOf(401, false, false)).toBe("none");
});

it.each<[status: number, withSession: string, without: string]>([
  [200, "none", "none"],
  [204, "none", "none"],
  [302, "none", "none"],
  [400, "lost", "busy"],
  [401, "none", "none"],
  [403, "none", "none"],
  [404, "lost", "none"],
  [405, "none", "none"],
  [406, "none", "none"],
  [408, "busy", "busy"],
  [409, "busy", "busy"],
  [410, "lost", "none"],
  [415, "none", "none"],
  [422, "lost", "busy"],
  [440, "lost", "busy"],
  [429, "busy", "busy"],
  [500, "failed", "failed"],
  [503, "failed", "failed"],
])("an upstream that answers %i to the request for its stream", (status, withSession, without) => {
  const refusals = [refusalOf(status, true, true), refusalOf(status, false, true)];
  expect(refusals).toEqual([withSession, without]);
});

it.each([
  [MAX_UPSTREAM_RETRY_MS, MAX_UPSTREAM_RETRY_MS],
  [MAX_UPSTREAM_RETRY_MS + 1, MAX_UPSTREAM_RETRY_MS],
  [MIN_UPSTREAM_RETRY_MS, MIN_UPSTREAM_RETRY_MS],
  [MIN_UPSTREAM_RETRY_MS - 1, MIN_UPSTREAM_RETRY_MS],
])(
  "a stream that ends and wants to be left for %i ms is asked for again after %i",
  async (wants, ms) => {
    const headers = { "content-type": "text/event-stream" };
    const send = vi.fn(async () => new Response(`retry: ${wants}\n\n`, { headers }));
    const listener = listening(send, "a");
    await vi.advanceTimersByTimeAsync(ms - 1);
    expect(send).toHaveBeenCalledOnce();
    await vi.advanceTimersByTimeAsync(1);
    expect(send).toHaveBeenCalledTimes(2);
    listener.end();
  },
);

const NOW = Date.parse("2026-11-29T12:00:00Z");

it.each<[header: string | null, ms: number | undefined]>([
  [null, undefined],
  ["soon", undefined],
  ["0", 100],
  ["7", 7000],
  ["86400", 600_000],
  ["99999999999999999999", 600_000],
  ["Sun, 29 Nov 2026 12:00:09 GMT", 9000],
  ["Sun, 29 Nov 2026 11:00:00 GMT", 100],
])("Retry-After: %s", (header, ms) => {
  expect(retryAfter(header, NOW)).toBe(ms);
});

/** A stream of a server of the stateless revision, open until its request is given up or `ends` is set. */
function subscription(
  messages: readonly object[],
  { signal }: RequestParts,
  ends = false,
): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const message of messages) {
        const data = JSON.stringify({ jsonrpc: "2.0", ...message });
        controller.enqueue(new TextEncoder().encode(`event: message\ndata: ${data}\n\n`));
      }
      if (ends) controller.close();
      signal?.addEventListener("abort", () => controller.error(new Error("given up")));
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

const acknowledged = (notifications: object) => ({
  method: "notifications/subscriptions/acknowledged",
  params: { notifications },
});
const changed = {
  method: "notifications/tools/list_changed",
  params: { _meta: { "io.modelcontextprotocol/subscriptionId": "s" } },
};

it("asks a stateless server for a subscription, and passes on what it tells, without its mark", async () => {
  const sent: RequestParts[] = [];
  const listener = listening(
    (parts) => {
      sent.push(parts);
      return Promise.resolve(
        subscription([acknowledged({ toolsListChanged: true }), changed], parts),
      );
    },
    "holdfast-bridge-1",
    '{"listen":1}',
  );
  await vi.advanceTimersByTimeAsync(1000);
  expect(sent).toMatchObject([
    {
      method: "POST",
      body: '{"listen":1}',
      headers: { "mcp-protocol-version": "2026-07-28", "mcp-method": "subscriptions/listen" },
    },
  ]);
  expect(sent[0]?.headers).not.toHaveProperty("mcp-session-id");
  const note = '{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{}}';
  expect(listener.said()).toEqual(["held", `upstream \n${note}`]);
  listener.end();
  expect(sent[0]?.signal?.aborted).toBe(true);
});

it.each([
  ["tells nothing", acknowledged({}), 1, 1],
  ["ended in order", acknowledged({ toolsListChanged: true }), 50, 61],
])(
  "a subscription that %s is asked for again accordingly",
  async (_what, first, atLeast, atMost) => {
    const send = vi.fn((parts: RequestParts) =>
      Promise.resolve(subscription([first, { id: "s", result: {} }], parts, true)),
    );
    const listener = listening(send, "holdfast-bridge-1", "{}");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(send.mock.calls.length).toBeGreaterThanOrEqual(atLeast);
    expect(send.mock.calls.length).toBeLessThanOrEqual(atMost);
    listener.end();
  },
);

it.each([
  ["has no subscriptions", 404, -32601, "none"],
  ["has too many", 200, -32603, "again"],
  ["is one with sessions now", 400, -32000, "lost"],
])("a stateless server that %s", async (_what, status, code, then) => {
  const error = { jsonrpc: "2.0", id: null, error: { code, message: "no" } };
  const send = vi.fn(() => Promise.resolve(Response.json(error, { status })));
  const listener = listening(send, "holdfast-bridge-1", "{}");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(send.mock.calls.length > 1).toBe(then !== "none");
  expect(listener.said().some((word) => word.startsWith("lost "))).toBe(then === "lost");
  listener.end();
});

it("keeps the last subscription until the next one is acknowledged", async () => {
  const signals: (AbortSignal | null | undefined)[] = [];
  const open: (() => void)[] = [];
  const send: Replica["send"] = (parts) =>
    new Promise((resolve) => {
      signals.push(parts.signal);
      open.push(() => resolve(subscription([acknowledged({ toolsListChanged: true })], parts)));
    });
  const listener = listening(send, "holdfast-bridge-1", "{}");
  open[0]?.();
  await vi.advanceTimersByTimeAsync(0);
  const backend = { sid: "holdfast-bridge-1", version: "2025-11-25", subscription: '{"n":2}' };
  listener.receive(BACKEND + JSON.stringify(backend));
  await vi.advanceTimersByTimeAsync(0);
  expect(signals.map((signal) => signal?.aborted)).toEqual([false, false]);
  open[1]?.();
  await vi.advanceTimersByTimeAsync(0);
  expect(signals.map((signal) => signal?.aborted)).toEqual([true, false]);
  listener.end();
});
