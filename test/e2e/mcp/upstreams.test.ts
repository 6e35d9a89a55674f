/** Upstreams that restart, are down, or misbehave: a clear outcome each, and nothing of theirs leaks. */
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import {
  INITIALIZE,
  McpSession,
  messagesOf,
  post,
  readerOf,
  statusOf,
  textOf,
  toolCall,
  wholeAnswer,
} from "../../support/mcp/client.ts";
import {
  answering,
  fixtureBehindGateway,
  restartWith,
  startFixture,
  startGateway,
  startUpstream,
} from "../../support/mcp/gateway.ts";

const LEAKS = /secret-|127\.0\.0\.1|localhost|fixture-|x-upstream/i;

function sse(text: string): Response {
  return new Response(text, { headers: { "content-type": "text/event-stream" } });
}

const result = (id: unknown, extra: object = {}) =>
  JSON.stringify({ jsonrpc: "2.0", id, result: { content: [], ...extra } });

const said = (data: unknown) =>
  JSON.stringify({ jsonrpc: "2.0", method: "notifications/message", params: { data } });

it("initializes a restarted upstream once for ten calls at once, and all are answered", async () => {
  const { url, fixture } = await fixtureBehindGateway();
  const session = await McpSession.open(url);
  const old = fixture.sessions[0];
  fixture.forget();
  const calls = Array.from({ length: 10 }, (_, n) => session.call(toolCall(n, "test_simple_text")));
  const answers = await Promise.all(calls);
  for (const [n, { status, messages }] of answers.entries()) {
    expect([status, messages[0]?.id]).toEqual([200, n]);
    expect(textOf(messages[0])).toContain("simple text");
  }
  expect(fixture.initializes).toBe(2);
  expect(fixture.sessions).toHaveLength(1);
  expect(fixture.sessions[0]).not.toBe(old);
  const initialized = fixture.requests.filter(({ body }) =>
    body.includes("notifications/initialized"),
  );
  expect(initialized).toHaveLength(2);
});

it("does not bring back a session that is deleted while its upstream is initialized", async () => {
  let initializes = 0;
  let release: () => void = () => undefined;
  const asked = Promise.withResolvers<void>();
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const ended: (string | null)[] = [];
  const upstream = await startUpstream(async (request) => {
    const sid = request.headers.get("mcp-session-id");
    if (request.method === "DELETE") {
      ended.push(sid);
      return new Response(null, { status: 204 });
    }
    const body = (await request.clone().json()) as { method?: string };
    if (body.method === "initialize" && ++initializes === 2) {
      asked.resolve();
      await held;
    }
    const handler = answering(() => new Response(null, { status: 404 }), `secret-${initializes}`);
    return handler(request);
  });
  const { url, service } = await startGateway({ default: { url: upstream.url } });
  const session = await McpSession.open(url);
  const call = session.call(toolCall(1, "x"));
  await asked.promise;
  expect((await session.delete()).status).toBe(204);
  release();
  const answer = await call;
  expect(answer.messages).toMatchObject([{ id: 1, error: { code: -32001 } }]);
  expect(answer.status).toBe(statusOf(404, answer));
  const { status } = await service.send("GET", `/v1/sessions/${session.id}`);
  expect(status).toBe(404);
  // The upstream session that was made in vain is ended as well.
  await expect.poll(() => ended.toSorted()).toEqual(["secret-1", "secret-2"]);
});

it("moves to another replica when its own cannot be reached", async () => {
  const [first, second] = [await startFixture(), await startFixture()];
  const { url } = await startGateway({ default: { url: first.url, replicas: [second.url] } });
  const session = await McpSession.open(url);
  expect(first.sessions).toHaveLength(1);
  await first.stop();
  // A call may have been executed when its connection breaks; to list again does no harm.
  const answers = await Promise.all(
    [1, 2, 3].map((id) => session.call({ jsonrpc: "2.0", id, method: "tools/list" })),
  );
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(second.initializes).toBe(1);
  expect((await session.call(toolCall(4, "test_simple_text"))).status).toBe(200);
  // A new session is made where it can be.
  expect((await (await McpSession.open(url)).call(toolCall(1, "test_simple_text"))).status).toBe(
    200,
  );
});

it("answers 502 while the upstream is down, and goes on when it is back", async () => {
  const { url, fixture } = await fixtureBehindGateway();
  const session = await McpSession.open(url);
  await fixture.stop();
  const down = await session.call(toolCall(5, "test_simple_text"));
  expect(down.messages).toEqual([
    {
      jsonrpc: "2.0",
      id: 5,
      error: { code: -32603, message: "The upstream could not be reached" },
    },
  ]);
  expect(down.status).toBe(statusOf(502, down));
  expect(down.text).not.toMatch(LEAKS);
  expect((await session.post({ jsonrpc: "2.0", method: "notifications/x" })).status).toBe(502);
  expect((await post(url, INITIALIZE)).status).toBe(502);
  await fixture.listen();
  expect((await session.call(toolCall(6, "test_simple_text"))).status).toBe(200);
});

it("answers 504 to what the upstream does not begin to answer in time, on the stream where there is one", async () => {
  const never = new Promise<Response>(() => undefined);
  const upstream = await startUpstream(answering(() => never));
  const { url, service } = await startGateway({
    default: { url: upstream.url },
    slow: { url: upstream.url },
  });
  const sessions = [await McpSession.open(url), await McpSession.open(`${url}/slow`)] as const;
  // Only now in a hurry: to open a session may take longer on a busy machine.
  await restartWith(service, {
    default: { url: upstream.url, timeoutSeconds: 0.1 },
    slow: { url: upstream.url, timeoutSeconds: 0.6 },
  });
  const [quick, slow] = [
    await sessions[0].call(toolCall(1, "x")),
    await sessions[1].call(toolCall(1, "x")),
  ];
  const error = { code: -32603, message: "The upstream did not answer in time" };
  expect([quick.messages, slow.messages]).toMatchObject([[{ error }], [{ error }]]);
  expect(quick.status).toBe(statusOf(504, quick));
  expect([slow.status, slow.onStream]).toEqual([200, true]);
});

it.each([
  ["that says how long it is", { "content-length": "100" }],
  ["in chunks", {}],
])("answers 504 to JSON %s and does not end in time", async (_how, headers) => {
  const upstream = await startUpstream(
    answering(() => {
      const begun = new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode('{"jsonrpc"')),
      });
      const type = { "content-type": "application/json" };
      return new Response(begun, { headers: { ...type, ...headers } });
    }),
  );
  const { url, service } = await startGateway({ default: { url: upstream.url } });
  const session = await McpSession.open(url);
  await restartWith(service, { default: { url: upstream.url, timeoutSeconds: 0.15 } });
  const answer = await session.call(toolCall(1, "x"));
  expect(answer.messages.map(({ error }) => error)).toEqual([
    { code: -32603, message: "The upstream did not answer in time" },
  ]);
  expect(answer.status).toBe(statusOf(504, answer));
});

it.each<
  [what: string, answer: (id: unknown) => Response, status: number, code: number | undefined]
>([
  [
    "broken JSON",
    () => new Response("{", { headers: { "content-type": "application/json" } }),
    502,
    -32603,
  ],
  ["JSON that is no message", () => Response.json({ hello: "world" }), 502, -32603],
  ["HTML", () => new Response("<html>secret-page</html>"), 502, -32603],
  ["an empty answer", () => new Response(null, { status: 202 }), 502, -32603],
  ["500 with a page", () => new Response("secret-stack", { status: 500 }), 502, -32603],
  [
    "a redirect",
    () => new Response(null, { status: 302, headers: { location: "http://127.0.0.1/secret-" } }),
    502,
    -32603,
  ],
  [
    "401",
    () => new Response(null, { status: 401, headers: { "www-authenticate": "Bearer secret-" } }),
    502,
    -32603,
  ],
  [
    "a JSON-RPC error with 400",
    (id) =>
      Response.json(
        { jsonrpc: "2.0", id, error: { code: -32602, message: "bad" } },
        { status: 400 },
      ),
    200,
    -32602,
  ],
  [
    "an answer to nobody",
    () => Response.json({ jsonrpc: "2.0", id: "other", result: {} }),
    502,
    -32603,
  ],
  ["broken SSE", () => sse("data: {broken\n\n"), 502, -32603],
  ["SSE that ends in the middle of a message", (id) => sse(`data: ${result(id)}`), 502, -32603],
  ["SSE that ends at once", () => sse(""), 502, -32603],
  [
    "events of its own before the answer",
    (id) => sse(`event: ping\ndata: now\n\ndata: ${result(id)}\n\n`),
    200,
    undefined,
  ],
  [
    "an SSE message that is too large in bytes, not in characters",
    (id) => sse(`data: ${result(id, { big: "漢".repeat(1_500_000) })}\n\n`),
    502,
    -32603,
  ],
  [
    "10 MiB of JSON",
    (id) =>
      new Response(result(id, { big: "x".repeat(10 << 20) }), {
        headers: { "content-type": "application/json" },
      }),
    502,
    -32603,
  ],
  [
    "10 MiB of JSON that say they are 10 KiB, compressed",
    (id) => {
      const packed = gzipSync(result(id, { big: "x".repeat(10 << 20) }));
      const length = String(packed.byteLength);
      const type = { "content-type": "application/json", "content-encoding": "gzip" };
      return new Response(packed, { headers: { ...type, "content-length": length } });
    },
    502,
    -32603,
  ],
  [
    "JSON that is compressed",
    (id) =>
      new Response(gzipSync(result(id)), {
        headers: { "content-type": "application/json", "content-encoding": "gzip" },
      }),
    200,
    undefined,
  ],
  [
    "10 MiB in one SSE message",
    (id) => sse(`data: ${result(id, { big: "x".repeat(10 << 20) })}\n\n`),
    502,
    -32603,
  ],
  [
    "its session id on the answer",
    (id) =>
      new Response(result(id), {
        headers: {
          "content-type": "application/json",
          "mcp-session-id": "secret-2",
          "x-upstream": "secret-",
          "set-cookie": "a=secret-",
        },
      }),
    200,
    undefined,
  ],
])("%s: one clear outcome", async (_what, answer, status, code) => {
  const upstream = await startUpstream(answering((_request, { id }) => answer(id)));
  const { url } = await startGateway({ default: { url: upstream.url } });
  const session = await McpSession.open(url);
  const response = await session.post(toolCall(1, "x"));
  const whole = await wholeAnswer(response);
  expect(whole.messages.map(({ id, error }) => [id, error?.code])).toEqual([[1, code]]);
  expect(whole.status).toBe(statusOf(status, whole));
  expect(JSON.stringify([...response.headers]) + whole.text).not.toMatch(LEAKS);
  // The session is none the worse for it.
  expect((await session.post({ jsonrpc: "2.0", method: "notifications/x" })).status).toBe(202);
});

it("drops an answer that nobody asked for and gives the one that was", async () => {
  const upstream = await startUpstream(
    answering((_request, { id }) => sse(`data: ${result("stray")}\n\ndata: ${result(id)}\n\n`)),
  );
  const { url } = await startGateway({ default: { url: upstream.url } });
  const { messages } = await (await McpSession.open(url)).call(toolCall(1, "x"));
  expect(messages.map(({ id }) => id)).toEqual([1]);
});

const agreed = { protocolVersion: "2025-11-25", capabilities: {}, serverInfo: { name: "x" } };

it.each([
  ["an error", 200, -32602, (id: unknown) => ({ id, error: { code: -32602, message: "no" } })],
  [
    "an error about nothing",
    200,
    -32602,
    () => ({ id: null, error: { code: -32602, message: "" } }),
  ],
  ["an answer to another request", 502, -32603, () => ({ id: "other", result: agreed })],
  ["no version", 502, -32603, (id: unknown) => ({ id, result: {} })],
])(
  "leaves no session behind where initialize is answered with %s",
  async (_what, status, code, answer) => {
    const upstream = await startUpstream(async (request) => {
      const { id } = (await request.json()) as { id: unknown };
      const headers = { "mcp-session-id": "secret-" };
      return Response.json({ jsonrpc: "2.0", ...answer(id) }, { headers });
    });
    const { url, service } = await startGateway({ default: { url: upstream.url } });
    const response = await post(url, INITIALIZE);
    expect(response.headers.has("mcp-session-id")).toBe(false);
    expect([response.status, await response.json()]).toMatchObject([
      status,
      { id: "init", error: { code } },
    ]);
    const { json } = await service.send<{ sessions: unknown[] }>("GET", "/v1/sessions");
    expect(json.sessions).toEqual([]);
  },
);

it("answers 504 to an initialize that is answered with other messages, for ever", async () => {
  const ticking = new Set<NodeJS.Timeout>();
  const upstream = await startUpstream(async () => {
    const message = new TextEncoder().encode(`data: ${said("still there")}\n\n`);
    const stream = new ReadableStream({
      start: (controller) => void ticking.add(setInterval(() => controller.enqueue(message), 20)),
      cancel: () => ticking.forEach(clearInterval),
    });
    return new Response(stream, { headers: { "content-type": "text/event-stream" } });
  });
  const { url } = await startGateway({ default: { url: upstream.url, timeoutSeconds: 0.3 } });
  expect((await post(url, INITIALIZE)).status).toBe(504);
});

it("works with an upstream that keeps no sessions, and sends it none", async () => {
  const seen: (string | null)[] = [];
  const upstream = await startUpstream(
    answering((request, { id }) => {
      seen.push(request.headers.get("mcp-session-id"));
      return new Response(result(id), { headers: { "content-type": "application/json" } });
    }, null),
  );
  const { url } = await startGateway({ default: { url: upstream.url } });
  const session = await McpSession.open(url);
  expect((await session.call(toolCall(1, "x"))).status).toBe(200);
  expect(seen).toEqual([null]);
  expect((await session.delete()).status).toBe(204);
});

it("sends an upstream its own headers, and a client's Authorization only where the configuration says so", async () => {
  const [plain, trusted] = [await startFixture(), await startFixture()];
  const { url } = await startGateway(
    {
      default: { url: plain.url, headers: { "X-Key": "$UPSTREAM_KEY" } },
      trusted: { url: trusted.url, forwardAuthorization: true },
    },
    { UPSTREAM_KEY: "secret-key" },
  );
  const headers = { authorization: "Bearer mine", cookie: "a=b", "x-anything": "1" };
  await post(url, INITIALIZE, headers);
  await post(`${url}/trusted`, INITIALIZE, headers);
  const [first, second] = [plain.requests[0]!.headers, trusted.requests[0]!.headers];
  expect([first.get("x-key"), first.get("authorization"), first.get("cookie")]).toEqual([
    "secret-key",
    null,
    null,
  ]);
  expect([second.get("authorization"), second.get("x-anything")]).toEqual(["Bearer mine", null]);
});

it("tells the bridge of a standalone stream when the upstream's session is replaced", async () => {
  const { url, fixture } = await fixtureBehindGateway();
  const session = await McpSession.open(url);
  const reader = await session.follow();
  await reader.take(1);
  fixture.forget();
  await session.call(toolCall(1, "announce", { data: "after the restart" }));
  const [message] = messagesOf(await reader.take(1));
  expect(message?.params?.data).toBe("after the restart");
  await reader.leave();
});

/** Answers as every server does, but for the requests whose method (GET: a stream) is among `unknown`: 404. */
async function forgetful(...unknown: string[]) {
  const seen: string[] = [];
  const upstream = await startUpstream(async (request) => {
    const isPost = request.method === "POST";
    const { method } = isPost
      ? ((await request.clone().json()) as { method: string })
      : { method: request.method };
    seen.push(method);
    if (unknown.includes(method)) return new Response("Not found", { status: 404 });
    return answering(
      (_request, { id }) => Response.json(JSON.parse(result(id))),
      "secret-",
    )(request);
  });
  const { url } = await startGateway({ default: { url: upstream.url } });
  const session = await McpSession.open(url);
  const reader = await session.follow();
  await reader.take(1);
  return { seen, session, reader, count: (one: string) => seen.filter((m) => m === one).length };
}

it("keeps the session with an upstream that answers 404 because it has no standalone stream", async () => {
  const { seen, session, reader } = await forgetful("GET");
  await expect.poll(() => seen.at(-1)).toBe("ping");
  expect((await session.call(toolCall(1, "x"))).status).toBe(200);
  // The Worker asks for the stream again, at times of its own.
  const others = ["notifications/initialized", "GET"];
  expect(seen.filter((method) => !others.includes(method))).toEqual([
    "initialize",
    "ping",
    "tools/call",
  ]);
  await reader.leave();
});

it("asks an upstream that knows none of its own sessions for no more than each call does", async () => {
  const { count, session, reader } = await forgetful("GET", "ping", "tools/call");
  await expect.poll(() => count("GET")).toBe(2);
  for (const n of [1, 2, 3]) {
    const answer = await session.call(toolCall(n, "x"));
    expect(answer.messages).toMatchObject([{ id: n, error: { code: -32603 } }]);
    expect(answer.status).toBe(statusOf(502, answer));
    expect(count("initialize")).toBe(n + 2);
  }
  await reader.leave();
});

it("finds a lost session by itself, also where the upstream answers 400 to it", async () => {
  const old = Promise.withResolvers<string>();
  let sessions = 0;
  const upstream = await startUpstream(async (request) => {
    const sid = request.headers.get("mcp-session-id");
    if (request.method === "GET" && sid === "secret-2") return sse(`data: ${said("new")}\n\n`);
    if (sid === "secret-1" && request.method !== "DELETE") {
      if (request.method === "GET") old.resolve(sid);
      const error = { code: -32000, message: "No valid session" };
      return Response.json({ jsonrpc: "2.0", id: null, error }, { status: 400 });
    }
    if (sid === null) sessions++;
    return answering(() => new Response(null, { status: 500 }), `secret-${sessions}`)(request);
  });
  const { url } = await startGateway({ default: { url: upstream.url } });
  const response = await post(url, INITIALIZE);
  await response.text();
  const headers = { "mcp-session-id": response.headers.get("mcp-session-id") ?? "" };
  const listening = await fetch(url, { headers: { accept: "text/event-stream", ...headers } });
  const reader = readerOf(listening);
  await old.promise;
  expect(messagesOf(await reader.take(2))[0]?.params?.data).toBe("new");
  await reader.leave();
});

it("takes up an answer that was cut in the middle of a message, and loses and repeats none", async () => {
  let asked: unknown;
  const places: (string | null)[] = [];
  const upstream = await startUpstream(
    answering((request, { id }) => {
      if (request.method !== "GET") {
        asked = id;
        return sse(`retry: 20\nid: 1\ndata: ${said(1)}\n\nid: 2\ndata: {"jsonrpc": "2.0", "me`);
      }
      places.push(request.headers.get("last-event-id"));
      return sse(`id: 2\ndata: ${said(2)}\n\nid: 3\ndata: ${result(asked)}\n\n`);
    }),
  );
  const { url } = await startGateway({ default: { url: upstream.url } });
  const { messages } = await (await McpSession.open(url)).call(toolCall(7, "x"));
  expect(messages.map((one) => one.params?.data ?? one.id)).toEqual([1, 2, 7]);
  expect(places).toEqual(["1"]);
});

it("drops a message that is too large from the upstream's own stream, and goes on behind it", async () => {
  const places: (string | null)[] = [];
  const large = said("x".repeat(5 << 20));
  const upstream = await startUpstream(
    answering((request) => {
      const place = request.headers.get("last-event-id");
      places.push(place);
      if (place === null) {
        return sse(`retry: 100\nid: 1\ndata: ${said(1)}\n\nid: 2\ndata: ${large}\n\n`);
      }
      return sse(`id: 3\ndata: ${said(3)}\n\n`);
    }),
  );
  const { url } = await startGateway({ default: { url: upstream.url } });
  const session = await McpSession.open(url);
  const reader = await session.follow();
  const messages = messagesOf(await reader.take(3));
  expect(messages.map(({ params }) => params?.data)).toEqual([1, 3]);
  expect(places.slice(0, 2)).toEqual([null, "2"]);
  await reader.leave();
});

it("makes a new session with an upstream that asks each request for the client's own credential", async () => {
  let sid = "secret-1";
  const upstream = await startUpstream(async (request) => {
    if (request.headers.get("authorization") !== "Bearer mine") {
      return new Response(null, { status: 401 });
    }
    const named = request.headers.get("mcp-session-id");
    if (named !== null && named !== sid) return new Response(null, { status: 404 });
    return answering((_request, { id }) => Response.json(JSON.parse(result(id))), sid)(request);
  });
  const { url } = await startGateway({
    default: { url: upstream.url, forwardAuthorization: true },
  });
  const credential = { authorization: "Bearer mine" };
  const opened = await post(url, INITIALIZE, credential);
  await opened.text();
  sid = "secret-2";
  const headers = { "mcp-session-id": opened.headers.get("mcp-session-id") ?? "", ...credential };
  const { status, messages } = await wholeAnswer(await post(url, toolCall(1, "x"), headers));
  expect([status, messages]).toMatchObject([200, [{ id: 1, result: {} }]]);
});
