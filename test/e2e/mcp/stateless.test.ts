/** The stateless revision, 2026-07-28, passes through untouched. */
import { expect, it } from "vitest";
import { post, readerOf } from "../../support/mcp/client.ts";
import { startGateway, startUpstream } from "../../support/mcp/gateway.ts";
import { Relay } from "../../support/relay.ts";

const MODERN = "2026-07-28";
const body = (method: string, params: object = {}) => ({
  jsonrpc: "2.0",
  id: 1,
  method,
  params: { ...params, _meta: { "io.modelcontextprotocol/protocolVersion": MODERN } },
});

it("keeps status and body, forwards the revision's headers, and neither takes nor gives a session", async () => {
  const seen: { headers: Headers; body: string }[] = [];
  const upstream = await startUpstream(async (request) => {
    seen.push({ headers: request.headers, body: await request.text() });
    return new Response('{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "?"}}', {
      status: 404,
      headers: {
        "content-type": "application/json",
        "mcp-session-id": "secret",
        "set-cookie": "a=b",
        "cache-control": "public, max-age=3600",
      },
    });
  });
  const { url, service } = await startGateway(
    { default: { url: upstream.url } },
    { LOG_LEVEL: "debug" },
  );
  const sent = JSON.stringify(body("nope"), null, 1);
  const response = await post(url, sent, {
    "mcp-protocol-version": MODERN,
    "mcp-method": "nope",
    "mcp-name": "n",
    "mcp-param-region": "eu",
    "mcp-session-id": crypto.randomUUID(),
    "last-event-id": "x",
    authorization: "Bearer mine",
  });
  expect(response.status).toBe(404);
  expect(await response.text()).toBe(
    '{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "?"}}',
  );
  expect([response.headers.get("mcp-session-id"), response.headers.get("set-cookie")]).toEqual([
    null,
    null,
  ]);
  expect(response.headers.get("cache-control")).toBe("no-store");
  const [{ headers, body: received }] = seen as [(typeof seen)[0]];
  expect(received).toBe(sent);
  const names = ["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-region"];
  expect(names.map((name) => headers.get(name))).toEqual([MODERN, "nope", "n", "eu"]);
  const kept = ["mcp-session-id", "last-event-id", "authorization"];
  expect(kept.map((name) => headers.get(name))).toEqual([null, null, null]);
  // No object was woken: one that is says so at this level.
  expect(service.lines.filter(({ event }) => event === "object.start")).toEqual([]);
});

it("takes a client that leaves for one that cancels, also while the upstream is silent", async () => {
  const aborted = Promise.withResolvers<void>();
  const upstream = await startUpstream(async (request) => {
    request.signal.addEventListener("abort", () => aborted.resolve());
    const stream = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode(": here\n\n")),
    });
    return new Response(stream, { headers: { "content-type": "text/event-stream" } });
  });
  const { url } = await startGateway(
    { default: { url: upstream.url } },
    { KEEPALIVE_SECONDS: "0.2" },
  );
  const response = await post(url, body("tools/call"), { "mcp-protocol-version": MODERN });
  const reader = response.body!.getReader();
  await reader.read();
  await reader.cancel();
  await expect(aborted.promise).resolves.toBeUndefined();
});

it.each<[what: string, answer: () => Response]>([
  [
    "a redirect",
    () => new Response("secret-page", { status: 302, headers: { location: "http://secret-" } }),
  ],
  ["a page with 500", () => new Response("secret-stack", { status: 500 })],
  ["a 401 about the gateway's own secret", unauthorized],
])("keeps %s to itself, and answers 502", async (_what, answer) => {
  const upstream = await startUpstream(async () => answer());
  const { url } = await startGateway({ default: { url: upstream.url } });
  const response = await post(url, body("tools/list"), { "mcp-protocol-version": MODERN });
  expect([response.status, await response.json()]).toEqual([
    502,
    {
      jsonrpc: "2.0",
      id: 1,
      error: { code: -32603, message: "The upstream refused the request" },
    },
  ]);
  expect(JSON.stringify([...response.headers])).not.toContain("secret");
});

it("passes on a 401 about the client's own token, with where to get another", async () => {
  const upstream = await startUpstream(async () => unauthorized());
  const trusted = { url: upstream.url, forwardAuthorization: true };
  const { url, service } = await startGateway({ default: trusted });
  const response = await post(url, body("tools/list"), { "mcp-protocol-version": MODERN });
  // The client would refuse the metadata of another URL than the one that it calls.
  expect([response.status, response.headers.get("www-authenticate")]).toEqual([
    401,
    `Bearer resource_metadata="${service.url}/.well-known/oauth-protected-resource/mcp"`,
  ]);
});

function unauthorized(): Response {
  const headers = { "www-authenticate": 'Bearer resource_metadata="https://secret-"' };
  return Response.json({ error: "secret" }, { status: 401, headers });
}

it("lets the upstream go when the connection is reset before the answer has begun", async () => {
  const [asked, aborted] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const upstream = await startUpstream((request) => {
    request.signal.addEventListener("abort", () => aborted.resolve());
    asked.resolve();
    return new Promise<Response>(() => undefined);
  });
  const { url, service } = await startGateway({ default: { url: upstream.url } });
  const relay = await Relay.to(service.port);
  const left = post(url.replace(service.url, relay.url), body("x"));
  await asked.promise;
  relay.cut();
  await expect(left).rejects.toThrow();
  await aborted.promise;
});

/** An answer that begins with these chunks and never ends. */
function endless(type: string, ...chunks: string[]): Response {
  const stream = new ReadableStream({
    async start(controller) {
      for (const chunk of chunks) {
        controller.enqueue(new TextEncoder().encode(chunk));
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  });
  return new Response(stream, { headers: { "content-type": type } });
}

it.each([
  ["CRLF", [`data: {}\r\n\r\n`]],
  ["a blank line in two chunks", ["data: {}\n", "\n"]],
])("keeps a silent stream alive between events that end with %s", async (_what, chunks) => {
  const upstream = await startUpstream(async () => endless("text/event-stream", ...chunks));
  const { url } = await startGateway(
    { default: { url: upstream.url } },
    { KEEPALIVE_SECONDS: "0.2" },
  );
  const reader = readerOf(await post(url, body("x"), { "mcp-protocol-version": MODERN }));
  await reader.until(/: keep-alive\n/);
  expect(await reader.take(1)).toMatchObject([{ data: "{}" }]);
  await reader.leave();
});

it("follows no redirect and tells nobody of it, and bounds what is no stream in time and size", async () => {
  const upstream = await startUpstream(async (request) => {
    const { method } = (await request.json()) as { method: string };
    if (method === "endless") return endless("application/json", "{");
    if (method === "large") return Response.json("x".repeat(10 << 20));
    return new Response("see http://secret-", { status: 307, headers: { location: "/secret-" } });
  });
  const { url } = await startGateway({
    default: { url: upstream.url },
    hasty: { url: upstream.url, timeoutSeconds: 0.2 },
  });
  for (const [method, path, status] of [
    ["redirect", "", 502],
    ["endless", "/hasty", 504],
    ["large", "", 502],
  ] as const) {
    const response = await post(url + path, body(method), { "mcp-protocol-version": MODERN });
    const text = await response.text();
    expect([method, response.status, JSON.parse(text)]).toMatchObject([method, status, { id: 1 }]);
    expect(text + JSON.stringify([...response.headers])).not.toContain("secret-");
  }
});

it("answers 502 for an upstream that is down", async () => {
  const { url } = await startGateway({ default: { url: "http://127.0.0.1:9/mcp" } });
  const response = await post(url, body("tools/list"), { "mcp-protocol-version": MODERN });
  expect([response.status, await response.json()]).toMatchObject([
    502,
    { id: 1, error: { code: -32603 } },
  ]);
});
