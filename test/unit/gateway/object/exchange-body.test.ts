/** For how long an exchange holds the body of its POST. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { UPSTREAM_DOUBT_MS } from "../../../../src/core/limits.ts";
import { HeldBytes } from "../../../../src/http/held-bytes.ts";
import { createLogger } from "../../../../src/logger.ts";
import type { ExchangeRequest } from "../../../../src/gateway/contract.ts";
import { Exchange } from "../../../../src/gateway/object/exchange.ts";
import type { UpstreamLink } from "../../../../src/gateway/object/upstream-link.ts";
import { SharedTimer } from "../../../../src/gateway/upstream/call-deadline.ts";
import type { SseEvent } from "../../../../src/wire/sse-parser.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const LOST = '{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"}}';
const RESULT = '{"jsonrpc":"2.0","id":1,"result":{}}';

/** An exchange of a POST with this body, whose answer is a stream that says what `say` is given. */
function begin(body: string, session: { readonly sid: string | undefined } = { sid: "s" }) {
  const doubted = session.sid === undefined ? undefined : { url: "u", ...session };
  const held = new HeldBytes();
  let controller: ReadableStreamDefaultController<string> | undefined;
  const said = new ReadableStream<string>({ start: (one) => void (controller = one) });
  const reply = {
    async *messages(): AsyncGenerator<SseEvent[]> {
      for await (const data of said) yield [{ event: "message", data } as SseEvent];
    },
  };
  const repeated: string[] = [];
  const link = {
    timer: new SharedTimer(),
    upstream: { name: "default", callMs: 3_600_000, silenceMs: 600_000 },
    streams: {
      upstreamHeld: async () => undefined,
      beginExchange: () => ({ id: 2, stream: 2, asked: ["1"], pending: ["1"] }),
      say: () => undefined,
      endStream: () => undefined,
    },
    post: async () => ({ kind: "stream", reply, doubted }),
    repeatIfLost: async (_binding: unknown, parcel: { body: string }) => {
      repeated.push(parcel.body);
      return { kind: "accepted" };
    },
  } as unknown as UpstreamLink;
  const request: ExchangeRequest = {
    match: { type: "mcp", upstream: "default" },
    body,
    batch: false,
    pending: ["1"],
    cancels: [],
    initialize: false,
    headers: {},
    delivery: "own",
  };
  const hold = held.hold();
  hold.grow(body.length);
  const limits = { bodyMaxBytes: 1000 };
  const log = createLogger("error");
  const exchange = new Exchange(request, {
    link,
    limits,
    log,
    hold,
    used: () => undefined,
    released: () => undefined,
  });
  const say = async (data: string) => {
    controller?.enqueue(data);
    await vi.advanceTimersByTimeAsync(0);
  };
  return { held, repeated, exchange, say };
}

const LARGE = "x".repeat(100_000);
const NO_SESSION = { sid: undefined };

it("a large one until the upstream's stream has said something", async () => {
  const { held, repeated, say } = begin(LARGE);
  await vi.advanceTimersByTimeAsync(UPSTREAM_DOUBT_MS - 1000);
  expect(held.held).toBe(LARGE.length);
  await say('{"jsonrpc":"2.0","method":"notifications/progress"}');
  expect(held.held).toBe(0);
  await say(LOST);
  expect(repeated).toEqual([]);
});

it("a large one for 5 s of silence at most: an error that comes later does not repeat it", async () => {
  const { held, repeated, say } = begin(LARGE);
  await vi.advanceTimersByTimeAsync(UPSTREAM_DOUBT_MS + 1000);
  expect(held.held).toBe(0);
  await say(LOST);
  expect(repeated).toEqual([]);
});

it("a small one for as long as it may have to be sent again", async () => {
  const { repeated, exchange, say } = begin("small");
  await vi.advanceTimersByTimeAsync(UPSTREAM_DOUBT_MS + 1000);
  await say(LOST);
  expect(repeated).toEqual(["small"]);
  await exchange.ended;
});

it("a large one until it has been repeated, and nothing is left of it when the exchange ends", async () => {
  const { held, repeated, exchange, say } = begin(LARGE);
  await say(LOST);
  expect(repeated).toEqual([LARGE]);
  await exchange.ended;
  expect(held.held).toBe(0);
});

it("a large one no longer than until the stream begins, where no session can be lost", async () => {
  const { held, repeated, say } = begin(LARGE, NO_SESSION);
  expect(held.held).toBe(LARGE.length);
  await vi.advanceTimersByTimeAsync(0);
  expect(held.held).toBe(0);
  await say(LOST);
  expect(repeated).toEqual([]);
});

it("nothing of one that was answered", async () => {
  const { held, exchange, say } = begin(LARGE);
  await say(RESULT);
  await exchange.ended;
  expect(held.held).toBe(0);
});
