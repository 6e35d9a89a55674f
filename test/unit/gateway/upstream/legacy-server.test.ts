/** A server of 2024-11-05 by a script: which call its messages go to, and what is left of one that failed. */
import { expect, it } from "vitest";
import { legacyServer } from "../../../../src/gateway/upstream/legacy-server.ts";
import { responseOf } from "../../../support/mcp/answer.ts";
import { SseReader } from "../../../support/sse-reader.ts";

const URL = "http://upstream.invalid/sse";
const INITIALIZED = { protocolVersion: "2024-11-05", capabilities: {}, serverInfo: { name: "x" } };
const PROGRESS = { jsonrpc: "2.0", method: "notifications/progress", params: { progress: 1 } };
const SSE = { headers: { "content-type": "text/event-stream" } };

type Posted = (request: Request) => Promise<Response>;

interface Scripted {
  /** Says a message on the server's one stream. */
  say(message: object): void;
  /** POSTs a request in the session that was made. */
  call(id: number, signal?: AbortSignal, method?: string): Promise<Response>;
  /** Asks for what the server says with no call under way. */
  listen(sid?: string): Promise<Response>;
}

/** A server that initializes. It answers each later POST as the next of `answers` does, and with 202 after the last. */
async function scripted(...answers: Posted[]): Promise<Scripted> {
  let sink: ReadableStreamDefaultController<Uint8Array> | undefined;
  const say = (message: object, event = "message", data = JSON.stringify(message)): void =>
    sink?.enqueue(new TextEncoder().encode(`event: ${event}\ndata: ${data}\n\n`));
  const start = (controller: NonNullable<typeof sink>): void => {
    sink = controller;
    say({}, "endpoint", "/messages");
  };
  const server = legacyServer(URL, 1000, async (input, init) => {
    const request = new Request(input, init);
    if (request.method === "GET") return new Response(new ReadableStream({ start }), SSE);
    const { id, method } = (await request.clone().json()) as { id: number; method: string };
    if (method !== "initialize")
      return (await answers.shift()?.(request)) ?? new Response(null, { status: 202 });
    say({ jsonrpc: "2.0", id, result: INITIALIZED });
    return new Response(null, { status: 202 });
  });
  const send = (method: string, id: number, sid: string | null, signal?: AbortSignal) =>
    server({
      method: "POST",
      headers: sid === null ? {} : { "mcp-session-id": sid },
      body: JSON.stringify({ jsonrpc: "2.0", id, method, params: {} }),
      signal: signal ?? null,
    }).then(responseOf);
  const made = await send("initialize", 0, null);
  await made.text();
  const sid = made.headers.get("mcp-session-id");
  return {
    say,
    call: (id, signal, method = "tools/call") => send(method, id, sid, signal),
    listen: (named = sid ?? "") =>
      server({ method: "GET", headers: { "mcp-session-id": named } }).then(responseOf),
  };
}

/** Expects that the call with this id gets its progress and its answer. */
async function expectProgress({ call, say }: Scripted, id: number): Promise<void> {
  const response = await call(id);
  const answer = { jsonrpc: "2.0", id, result: {} };
  say(PROGRESS);
  say(answer);
  const text = await response.text();
  const messages = [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? ""));
  expect(messages).toEqual([PROGRESS, answer]);
}

it("tells a call of its progress after one whose POST failed", async () => {
  const upstream = await scripted(() => Promise.reject(new Error("reset")));
  await expect(upstream.call(1)).rejects.toThrow("reset");
  await expectProgress(upstream, 2);
});

it("gives up on a POST that is never answered, and tells the next call of its progress", async () => {
  const released = Promise.withResolvers<void>();
  const upstream = await scripted(({ signal }) => {
    signal.addEventListener("abort", () => released.resolve());
    // Not every server looks at the signal.
    return new Promise<Response>(() => undefined);
  });
  const abort = new AbortController();
  void upstream.call(1, abort.signal);
  await new Promise((resolve) => setImmediate(resolve));
  abort.abort();
  await released.promise;
  await expectProgress(upstream, 2);
});

it.each<[what: string, answer: () => Promise<Response>]>([
  ["fails", () => Promise.reject(new Error("reset"))],
  ["is refused", async () => new Response(null, { status: 500 })],
])("keeps no stream where the POST of initialize %s", async (_what, answer) => {
  let held: AbortSignal | undefined;
  const server = legacyServer(URL, 1000, async (input, init) => {
    const request = new Request(input, init);
    if (request.method !== "GET") return answer();
    held = request.signal;
    const endpoint = new TextEncoder().encode("event: endpoint\ndata: /messages\n\n");
    return new Response(new ReadableStream({ start: (c) => c.enqueue(endpoint) }), SSE);
  });
  const body = JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params: {} });
  const made = server({ method: "POST", headers: {}, body });
  await made.catch(() => undefined);
  expect(held?.aborted).toBe(true);
});

const REFUSAL = {
  status: 429,
  headers: { "retry-after": "7", "www-authenticate": "Bearer x", "content-type": "text/plain" },
};

it.each(["GET", "POST"])(
  "a refusal of a %s is returned as it is, and can be read",
  async (verb) => {
    let held: AbortSignal | undefined;
    const server = legacyServer(URL, 1000, async (input, init) => {
      const request = new Request(input, init);
      if (request.method === verb) {
        const body = new ReadableStream<Uint8Array>({
          start(controller) {
            request.signal.addEventListener("abort", () => controller.error(new Error("aborted")));
            controller.enqueue(new TextEncoder().encode("slow down"));
            controller.close();
          },
        });
        return new Response(body, REFUSAL);
      }
      held = request.signal;
      const endpoint = new TextEncoder().encode("event: endpoint\ndata: /messages\n\n");
      return new Response(new ReadableStream({ start: (c) => c.enqueue(endpoint) }), SSE);
    });
    const body = JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params: {} });
    const answer = responseOf(await server({ method: "POST", headers: {}, body }));
    const { status, headers } = answer;
    expect([status, headers.get("retry-after"), headers.get("www-authenticate")]).toEqual([
      429,
      "7",
      "Bearer x",
    ]);
    expect([await answer.text(), headers.has("mcp-session-id")]).toEqual(["slow down", false]);
    expect(held?.aborted).toBe(verb === "GET" ? undefined : true);
  },
);

it("follows redirects of the stream and of a POST, and finds the endpoint where the stream is", async () => {
  const asked: string[] = [];
  let sink: ReadableStreamDefaultController<Uint8Array> | undefined;
  const say = (text: string): void => sink?.enqueue(new TextEncoder().encode(text));
  const server = legacyServer(URL, 1000, async (input, init) => {
    const request = new Request(input, init);
    const pathname = request.url.slice("http://upstream.invalid".length);
    asked.push(`${request.method} ${pathname}`);
    if (pathname === "/sse") {
      return new Response(null, { status: 307, headers: { location: "/v1/sse/" } });
    }
    if (pathname === "/v1/sse/messages") {
      return new Response(null, { status: 308, headers: { location: "messages/" } });
    }
    if (request.method === "POST") {
      const { id } = (await request.json()) as { id: number };
      say(`data: ${JSON.stringify({ jsonrpc: "2.0", id, result: INITIALIZED })}\n\n`);
      return new Response(null, { status: 202 });
    }
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => void (sink = controller),
    });
    say("event: endpoint\ndata: messages\n\n");
    return new Response(stream, SSE);
  });
  const body = JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params: {} });
  const answer = responseOf(await server({ method: "POST", headers: {}, body }));
  expect(await answer.text()).toContain('"result"');
  expect(asked).toEqual([
    "GET /sse",
    "GET /v1/sse/",
    "POST /v1/sse/messages",
    "POST /v1/sse/messages/",
  ]);
});

it("keeps what the server says with no call under way for the listener, and gives it to no ping", async () => {
  const server = await scripted();
  server.say(PROGRESS);
  const stream = await server.listen();
  const reader = new SseReader(stream.body!);
  expect((await reader.take(1)).map(({ data }) => JSON.parse(data))).toEqual([PROGRESS]);
  const ping = await server.call(7, undefined, "ping");
  server.say(PROGRESS);
  server.say({ jsonrpc: "2.0", id: 7, result: {} });
  expect(await ping.text()).not.toContain("progress");
  expect((await reader.take(1)).map(({ data }) => JSON.parse(data))).toEqual([PROGRESS]);
  await reader.leave();
});

it("keeps a hundred such messages while nobody listens, the newest", async () => {
  const server = await scripted();
  for (let n = 1; n <= 150; n++) server.say({ ...PROGRESS, params: { progress: n } });
  const ping = await server.call(7, undefined, "ping");
  // The answer comes behind them on the same stream.
  server.say({ jsonrpc: "2.0", id: 7, result: {} });
  await ping.text();
  const reader = new SseReader((await server.listen()).body!);
  const frames = await reader.take(100);
  expect(frames.map(({ data }) => (JSON.parse(data) as typeof PROGRESS).params.progress)).toEqual(
    Array.from({ length: 100 }, (_, n) => n + 51),
  );
  await reader.leave();
});

it("a second listener takes the place of the first, and knows of no session that is gone", async () => {
  const server = await scripted();
  const first = await server.listen();
  const second = new SseReader((await server.listen()).body!);
  expect(await first.text()).toBe("");
  server.say(PROGRESS);
  expect(await second.take(1)).toHaveLength(1);
  await second.leave();
  expect((await server.listen("another")).status).toBe(404);
});
