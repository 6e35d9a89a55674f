/** How the messages of an upstream's stream reach the session's streams: which of them together. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { MAX_UPSTREAM_RESUMES } from "../../../../src/core/limits.ts";
import type { Logger } from "../../../../src/logger.ts";
import type { ExchangeRequest } from "../../../../src/gateway/contract.ts";
import { HeldBytes } from "../../../../src/http/held-bytes.ts";
import { Exchange } from "../../../../src/gateway/object/exchange.ts";
import type { UpstreamLink } from "../../../../src/gateway/object/upstream-link.ts";
import { CallDeadline, SharedTimer } from "../../../../src/gateway/upstream/call-deadline.ts";
import { Reply } from "../../../../src/gateway/upstream/call.ts";
import { FAILURES, UpstreamError } from "../../../../src/gateway/upstream/failure.ts";

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

/** A stream of these chunks; each event begins with `fields`. */
function streamed(chunks: readonly string[][], fields = ""): Reply {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) {
        const events = chunk.map((data) => `${fields}data: ${data}\n\n`);
        controller.enqueue(encoder.encode(events.join("")));
      }
      controller.close();
    },
  });
  return replyOf(new Response(body, { headers: { "content-type": "text/event-stream" } }));
}

const replyOf = (response: Response) =>
  new Reply(response, new CallDeadline(1000, new SharedTimer()));

const UPSTREAM = { name: "default", silenceMs: 600_000, callMs: 3_600_000 };

const REQUEST: ExchangeRequest = {
  match: { type: "mcp", upstream: "default" },
  body: "[]",
  batch: true,
  pending: [],
  cancels: [],
  initialize: false,
  headers: {},
  delivery: "own",
};

/** A write of the streams, sent as one: how many messages, and how many requests are pending after them. */
type Said = [messages: number, pending: number];

/** A link to the upstream, with these ways of the log and of sending. */
function linkTo(streams: object, sending: object): UpstreamLink {
  const link = {
    upstream: UPSTREAM,
    timer: new SharedTimer(),
    streams: {
      upstreamHeld: () => Promise.resolve(),
      beginExchange: (pending: readonly string[]) => ({ id: 2, stream: 2, pending }),
      ...streams,
    },
    ...sending,
  };
  return link as unknown as UpstreamLink;
}

/** Carries a batch of `requests` to an upstream that answers with these chunks of a stream. */
async function said(
  requests: number,
  chunks: readonly string[][],
  resumptions: (() => Promise<Reply>)[] = [],
  more: Partial<ExchangeRequest> = {},
): Promise<Said[]> {
  const turns: Said[] = [];
  const pending = Array.from({ length: requests }, (_, n) => String(n));
  const reply = streamed(chunks, resumptions.length > 0 ? "id: 1\n" : "");
  const link = linkTo(
    {
      say: (_row: unknown, texts: readonly string[], left: readonly string[]) =>
        turns.push([texts.length, left.length]),
      endStream: () => turns.push([0, 0]),
    },
    {
      resume: () => resumptions.shift()?.(),
      post: () => Promise.resolve({ kind: "stream", reply, doubted: undefined }),
    },
  );
  const request = { ...REQUEST, pending, ...more };
  const limits = { bodyMaxBytes: 1 << 20 };
  const hold = new HeldBytes().hold();
  const exchange = new Exchange(request, {
    link,
    limits,
    log,
    hold,
    used: () => undefined,
    released: () => undefined,
  });
  await vi.advanceTimersByTimeAsync(120_000);
  await exchange.ended;
  // The object may sleep.
  expect(vi.getTimerCount()).toBe(0);
  return turns;
}

const results = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => resultOf(from + n));

it("stores and sends together all that one chunk brings, with the requests that are pending after it", async () => {
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

const refused = (status: number) => async () => replyOf(new Response(null, { status }));
const broken = () => Promise.reject(new UpstreamError(FAILURES.unreachable, { broken: true }));
const resumed = async () => streamed([[resultOf(0)]]);
const ANSWERED: Said[] = [
  [1, 1],
  [1, 0],
  [0, 0],
];

it.each<[what: string, resumptions: (() => Promise<Reply>)[]]>([
  ["a 503", [refused(503), resumed]],
  ["a 409 for the connection that broke", [refused(409), resumed]],
  ["a 429", [refused(429), resumed]],
  ["a connection that breaks", [broken, resumed]],
  ["five of them", [broken, refused(502), broken, refused(500), broken, resumed]],
])("a stream that breaks off is taken up again after %s", async (_what, resumptions) => {
  expect(await said(1, [[PROGRESS]], resumptions)).toEqual(ANSWERED);
  expect(resumptions).toEqual([]);
});

it.each<[what: string, tries: number, resumptions: (() => Promise<Reply>)[]]>([
  ["a 404", 1, [refused(404), resumed]],
  ["a 401", 1, [refused(401), resumed]],
  ["no stream", 1, [refused(204), resumed]],
  ["six failures in a row", 6, [...Array<typeof broken>(6).fill(broken), resumed]],
])("and is given up after %s, with an error", async (_what, tries, resumptions) => {
  const all = resumptions.length;
  expect(await said(1, [[PROGRESS]], resumptions)).toEqual(ANSWERED);
  expect(all - resumptions.length).toBe(tries);
});

it("stores nothing once its session has ended, and answers the client when the function that `abandon` returns is called", async () => {
  const said = vi.fn();
  const sendLast = vi.fn();
  let signal: AbortSignal | undefined;
  let send = (_text: string): void => undefined;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      send = (text) => controller.enqueue(encoder.encode(`data: ${text}\n\n`));
    },
  });
  const reply = replyOf(new Response(body, { headers: { "content-type": "text/event-stream" } }));
  const link = linkTo(
    {
      say: said,
      sendLast,
    },
    {
      post: (_parcel: unknown, given: AbortSignal) => {
        signal = given;
        return Promise.resolve({ kind: "stream", reply, doubted: undefined });
      },
    },
  );
  const limits = { bodyMaxBytes: 1 << 20 };
  const hold = new HeldBytes().hold();
  const parts = { link, limits, log, hold, used: () => undefined, released: () => undefined };
  const exchange = new Exchange({ ...REQUEST, pending: ["0"] }, parts);
  send(PROGRESS);
  await vi.advanceTimersByTimeAsync(1000);
  expect(said).toHaveBeenCalledTimes(1);
  const answerWaiting = exchange.abandon();
  send(PROGRESS);
  await vi.advanceTimersByTimeAsync(1000);
  expect(said).toHaveBeenCalledTimes(1);
  expect([sendLast.mock.calls.length, signal?.aborted]).toEqual([0, false]);
  answerWaiting();
  expect([sendLast.mock.calls.length, signal?.aborted]).toEqual([1, true]);
});

it("answers a notification by the end of its session, though the upstream accepts it before that is stored", async () => {
  const late = Promise.withResolvers<unknown>();
  const link = linkTo({}, { post: () => late.promise });
  const hold = new HeldBytes().hold();
  const parts = {
    link,
    limits: { bodyMaxBytes: 1 << 20 },
    log,
    hold,
    used: () => undefined,
    released: () => undefined,
  };
  const exchange = new Exchange(REQUEST, parts);
  await vi.advanceTimersByTimeAsync(0);
  const answerWaiting = exchange.abandon();
  late.resolve({ kind: "accepted" });
  await exchange.ended;
  answerWaiting();
  expect(await exchange.answer).toMatchObject({ ok: false, code: "session_not_found" });
});

it.each([
  ["of the upstream", new UpstreamError(FAILURES.closed), FAILURES.interrupted],
  ["of the gateway", new TypeError("a fault"), FAILURES.broken],
])("ends an exchange that was left by a failure %s", async (_whose, cause, failure) => {
  vi.mocked(log.warn).mockClear();
  const said: string[] = [];
  const link = linkTo(
    {
      say: (_row: unknown, texts: readonly string[]) => said.push(...texts),
      endStream: () => undefined,
    },
    { resume: () => Promise.reject(cause) },
  );
  const row = { id: 2, stream: 2, asked: ["0"], pending: ["0"], upstreamId: "e1" };
  const hold = new HeldBytes().hold();
  const parts = {
    link,
    limits: { bodyMaxBytes: 1 << 20 },
    log,
    hold,
    used: () => undefined,
    released: () => undefined,
  };
  const exchange = new Exchange({ ...REQUEST, pending: ["0"] }, { ...parts, left: row });
  await vi.advanceTimersByTimeAsync(0);
  await exchange.ended;
  expect(said).toEqual([expect.stringContaining(failure.message)]);
  const line = expect.objectContaining({ failure: failure.message });
  expect(log.warn).toHaveBeenCalledExactlyOnceWith("upstream.failed", line);
});

/** Carries one call to an upstream that sends this chunk every minute, for `ms`, and says what was sent on and what logged. */
async function carried(chunk: string, ms: number, more: Partial<ExchangeRequest> = {}) {
  vi.mocked(log.warn).mockClear();
  const sent: string[] = [];
  let timer: ReturnType<typeof setInterval> | undefined;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      timer = setInterval(() => controller.enqueue(encoder.encode(chunk)), 60_000);
    },
    cancel: () => clearInterval(timer),
  });
  const reply = replyOf(new Response(body, { headers: { "content-type": "text/event-stream" } }));
  let signal: AbortSignal | undefined;
  const link = linkTo(
    {
      say: (_row: unknown, texts: readonly string[]) => sent.push(...texts),
      endStream: () => undefined,
      sendLast: () => undefined,
    },
    {
      post: (_parcel: unknown, given: AbortSignal) => {
        signal = given;
        given.addEventListener("abort", () => reply.discard());
        return Promise.resolve({ kind: "stream", reply, doubted: undefined });
      },
    },
  );
  const hold = new HeldBytes().hold();
  const parts = {
    link,
    limits: { bodyMaxBytes: 1 << 20 },
    log,
    hold,
    used: () => undefined,
    released: () => undefined,
  };
  const exchange = new Exchange({ ...REQUEST, pending: ["0"], ...more }, parts);
  await vi.advanceTimersByTimeAsync(ms);
  const { pending } = exchange;
  const aborted = signal?.aborted;
  clearInterval(timer);
  exchange.abandon()();
  return { sent, pending, aborted };
}

const TIMED_OUT = expect.objectContaining({ failure: FAILURES.timedOut.message });

it.each([
  ["comments", ": keep-alive\n\n"],
  ["events of other names", "event: ping\ndata: {}\n\n"],
  ["heartbeats", 'data: null\n\ndata: {"type":"ping"}\n\n'],
])(
  "a stream that brings nothing but %s is given up when it has been silent for too long",
  async (_what, chunk) => {
    expect(await carried(chunk, UPSTREAM.silenceMs - 1)).toMatchObject({
      sent: [],
      pending: ["0"],
    });
    const { sent, pending } = await carried(chunk, UPSTREAM.silenceMs + 1);
    expect(pending).toEqual([]);
    expect(sent).toEqual([expect.stringContaining(FAILURES.timedOut.message)]);
    expect(log.warn).toHaveBeenCalledExactlyOnceWith("upstream.failed", TIMED_OUT);
  },
);

it("a call that is never silent is given up when it has taken all the time that it may", async () => {
  const chunk = `data: ${PROGRESS}\n\n`;
  expect(await carried(chunk, UPSTREAM.callMs - 1)).toMatchObject({ pending: ["0"] });
  const { sent, pending, aborted } = await carried(chunk, UPSTREAM.callMs + 1);
  expect([pending, aborted]).toEqual([[], true]);
  expect(sent.at(-1)).toContain(FAILURES.timedOut.message);
  expect(log.warn).toHaveBeenCalledExactlyOnceWith("upstream.failed", TIMED_OUT);
});

it("a task's call has the task's time, and neither the upstream's for a call nor for its silence", async () => {
  const withinMs = 2 * UPSTREAM.callMs;
  const chunk = ": keep-alive\n\n";
  expect(await carried(chunk, withinMs - 1, { withinMs })).toMatchObject({ pending: ["0"] });
  expect(await carried(chunk, withinMs + 1, { withinMs })).toMatchObject({ pending: [] });
});

it.each([
  ["a task's call is resumed as often as it takes", 60_000_000, 0],
  ["another one is not", undefined, 6],
])("%s while its stream brings nothing", async (_what, withinMs, left) => {
  const nothing = async () => streamed([]);
  const resumptions = [...Array<typeof nothing>(MAX_UPSTREAM_RESUMES + 5).fill(nothing), resumed];
  const more = withinMs === undefined ? {} : { withinMs };
  expect(await said(1, [[PROGRESS]], resumptions, more)).toEqual(ANSWERED);
  expect(resumptions).toHaveLength(left);
});

it("ends, and says so in the log, also where its failure cannot be stored", async () => {
  vi.mocked(log.warn).mockClear();
  const link = linkTo(
    {
      say: () => {
        throw new Error("the disk is full");
      },
    },
    {
      post: () => Promise.resolve({ kind: "stream", reply: streamed([[PROGRESS]]) }),
    },
  );
  const hold = new HeldBytes().hold();
  const parts = {
    link,
    limits: { bodyMaxBytes: 1 << 20 },
    log,
    hold,
    used: () => undefined,
    released: () => undefined,
  };
  const exchange = new Exchange({ ...REQUEST, pending: ["0"] }, parts);
  await vi.advanceTimersByTimeAsync(0);
  await expect(exchange.ended).resolves.toBe(undefined);
  const why = { cause: "Error: the disk is full", upstream: UPSTREAM.name };
  expect(log.warn).toHaveBeenCalledTimes(2);
  expect(log.warn).toHaveBeenLastCalledWith("upstream.failed", expect.objectContaining(why));
});

it.each<[what: string, message: string, left: number]>([
  ["what is for the client shows that the server is at work", PROGRESS, 0],
  ["what answers nothing does not", resultOf('"other"'), 6],
])("%s: a stream that breaks off again and again", async (_what, message, left) => {
  const brings = async () => streamed([[message]]);
  const resumptions = [...Array<typeof brings>(MAX_UPSTREAM_RESUMES + 5).fill(brings), resumed];
  const turns = await said(1, [[PROGRESS]], resumptions);
  expect(turns.at(-2)).toEqual([1, 0]);
  expect(resumptions).toHaveLength(left);
});
