/** How the messages of an upstream's stream reach the session's streams: which of them together. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Logger } from "../../../../src/logger.ts";
import type { ExchangeRequest } from "../../../../src/gateway/contract.ts";
import { Exchange } from "../../../../src/gateway/object/exchange.ts";
import type { UpstreamLink } from "../../../../src/gateway/object/upstream-link.ts";
import { CallDeadline, SharedTimer } from "../../../../src/gateway/upstream/call-deadline.ts";
import { Reply } from "../../../../src/gateway/upstream/call.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const log: Logger = {
  debugging: false,
  debug: vi.fn(),
  info: vi.fn(),
  warn: vi.fn(),
  error: vi.fn(),
};
const encoder = new TextEncoder();

const PROGRESS = '{"jsonrpc":"2.0","method":"notifications/progress","params":{}}';
const resultOf = (id: number | string) => `{"jsonrpc":"2.0","id":${id},"result":{}}`;

/** What is stored and sent together: how many messages, and how many requests are pending after them. */
type Said = [messages: number, pending: number];

/** Carries a batch of `requests` to an upstream that answers with these chunks of a stream. */
async function said(requests: number, chunks: readonly string[][]): Promise<Said[]> {
  const turns: Said[] = [];
  const pending = Array.from({ length: requests }, (_, n) => String(n));
  const begin = (ids: readonly string[]) => ({ id: 2, stream: 2, pending: ids });
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) {
        controller.enqueue(encoder.encode(chunk.map((data) => `data: ${data}\n\n`).join("")));
      }
      controller.close();
    },
  });
  const type = { "content-type": "text/event-stream" };
  const timer = new SharedTimer();
  const reply = new Reply(new Response(body, { headers: type }), new CallDeadline(1000, timer));
  const link = {
    upstream: { name: "default" },
    timer,
    streams: {
      upstreamHeld: () => Promise.resolve(),
      beginExchange: begin,
      say: (_row: unknown, texts: readonly string[], left: readonly string[]) =>
        turns.push([texts.length, left.length]),
      endStream: () => turns.push([0, 0]),
    },
    post: () => Promise.resolve({ kind: "stream", reply, doubted: undefined }),
  } as unknown as UpstreamLink;
  const request: ExchangeRequest = {
    match: { type: "mcp", upstream: "default" },
    body: "[]",
    batch: true,
    pending,
    cancels: [],
    initialize: false,
    headers: {},
    delivery: "own",
  };
  const limits = { bodyMaxBytes: 1 << 20 };
  await new Exchange(request, { link, limits, log, used: () => undefined }).ended;
  return turns;
}

const results = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => resultOf(from + n));

it("what one chunk brings is stored and sent together, with what is pending after it", async () => {
  expect(await said(100, [[PROGRESS, ...results(0, 60)], [PROGRESS], results(60, 100)])).toEqual([
    [61, 40],
    [1, 40],
    [40, 0],
    [0, 0],
  ]);
});

it("an array is such a turn too", async () => {
  expect(await said(3, [[PROGRESS], [`[${results(0, 3).join(",")}]`]])).toEqual([
    [1, 3],
    [3, 0],
    [0, 0],
  ]);
});

it("nothing comes after the last answer", async () => {
  expect(await said(1, [[PROGRESS, resultOf(0), PROGRESS, resultOf(0)]])).toEqual([
    [2, 0],
    [0, 0],
  ]);
});

it("a turn is bounded, and a large message is one of its own", async () => {
  const large = `{"jsonrpc":"2.0","method":"x","params":{"x":"${"x".repeat(70_000)}"}}`;
  expect(await said(1, [[PROGRESS, PROGRESS, large, PROGRESS, resultOf(0)]])).toEqual([
    [2, 1],
    [1, 1],
    [2, 0],
    [0, 0],
  ]);
});

it("a stream that breaks off is answered for all that is left in one turn", async () => {
  expect(await said(50, [[PROGRESS, ...results(0, 10)]])).toEqual([
    [11, 40],
    [40, 0],
    [0, 0],
  ]);
});

it("answers that came before the stream began are one turn when it begins", async () => {
  expect(await said(4, [results(0, 2), [resultOf(2), PROGRESS], [resultOf(3)]])).toEqual([
    [3, 1],
    [1, 1],
    [1, 0],
    [0, 0],
  ]);
});
