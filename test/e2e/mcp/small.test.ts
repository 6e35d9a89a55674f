/** Small things in which the gateway must not be stricter than the two ends are with each other. */
import { expect, it } from "vitest";
import {
  INITIALIZE,
  McpSession,
  messagesOf,
  post,
  readerOf,
  toolCall,
  wholeAnswer,
} from "../../support/mcp/client.ts";
import { startGateway } from "../../support/mcp/gateway.ts";
import { roughUpstreams } from "../../support/mcp/rough-gateway.ts";
import { agreedTo, event, notice, resultOf } from "../../support/mcp/rough-server.ts";
import { shared } from "../../support/scope.ts";

const roughUpstream = roughUpstreams();
const demoGateway = shared(() => startGateway({ default: "demo" }));

it("/mcp/ is /mcp, and likewise for a named upstream, and for /sse/", async () => {
  const { service } = await startGateway({ default: "demo", other: "demo" });
  for (const path of ["/mcp/", "/mcp/other/"]) {
    const response = await post(service.url + path, INITIALIZE);
    await response.text();
    expect([path, response.status]).toEqual([path, 200]);
  }
  const legacy = await service.fetch("/sse/", { headers: { accept: "text/event-stream" } });
  const reader = readerOf(legacy);
  const [endpoint] = await reader.take(1);
  expect(endpoint?.data).toMatch(/^\/messages\?session_id=/);
  await reader.leave();
});

it.each(["q=0.0", "q=0.000", "Q=0", "q = 0"])(
  "a type that is refused by %s is refused",
  async (q) => {
    const { url } = await demoGateway();
    const accept = `application/json, text/event-stream;${q}`;
    expect((await post(url, INITIALIZE, { accept })).status).toBe(406);
  },
);

it("a type with any other weight is taken", async () => {
  const { url } = await demoGateway();
  const accept = "application/json;q=0.001, text/event-stream;q=0.9;v=1";
  expect((await post(url, INITIALIZE, { accept })).status).toBe(200);
});

it("an empty Last-Event-ID counts as absent", async () => {
  const { url } = await demoGateway();
  const session = await McpSession.open(url);
  const response = await session.get("");
  expect(response.status).toBe(200);
  await response.body?.cancel();
});

it.each([
  "application/json, application/json",
  "application/json; charset=utf-8, application/json",
])("a Content-Type that is said twice is one: %s", async (type) => {
  const { url } = await demoGateway();
  expect((await post(url, INITIALIZE, { "content-type": type })).status).toBe(200);
});

const JSON_NAMES = [
  "application/json-rpc",
  "application/json-rpc; charset=utf-8",
  "application/vnd.example+json",
  "Application/JSON-RPC",
];

it.each(JSON_NAMES)("a client's JSON may be called %s", async (type) => {
  const { url } = await demoGateway();
  const accept = "application/json-rpc, text/event-stream";
  const response = await post(url, INITIALIZE, { "content-type": type, accept });
  expect([response.status, response.headers.get("content-type")]).toEqual([
    200,
    "application/json",
  ]);
});

it.each(JSON_NAMES)("and so may an upstream's: %s", async (type) => {
  const { url, server } = await roughUpstream((asked) => {
    if (asked.id === "") return false;
    const members = asked.method === "initialize" ? agreedTo("2025-11-25") : '"content": [8.0]';
    asked.answer(200, resultOf(asked.id, members), { "content-type": type });
    return true;
  });
  const session = await McpSession.open(url);
  const { status, messages } = await session.call(toolCall(1, "x"));
  expect([status, messages]).toEqual([200, [{ jsonrpc: "2.0", id: 1, result: { content: [8] } }]]);
  expect(server.all("tools/call")[0]?.headers["content-type"]).toBe("application/json");
});

it("two different ones are refused", async () => {
  const { url } = await demoGateway();
  const headers = { "content-type": "application/json, text/plain" };
  expect((await post(url, INITIALIZE, headers)).status).toBe(415);
});

it("every request to an upstream says who sends it", async () => {
  const { url, server } = await roughUpstream();
  const session = await McpSession.open(url);
  await session.call(toolCall(1, "x"));
  const reader = await session.follow();
  await server.asked("GET");
  await reader.leave();
  await session.delete();
  await server.asked("DELETE");
  const agents = server.requests.map(({ headers }) => headers["user-agent"]);
  expect(agents).toEqual(agents.map(() => expect.stringMatching(/^holdfast\b/i)));
});

it("log level and subscriptions are said again to a server that has restarted", async () => {
  const { url, server } = await roughUpstream((asked, { sid }) => {
    if (asked.sid === undefined || asked.sid === sid) return false;
    asked.answer(404);
    return true;
  });
  const session = await McpSession.open(url);
  const say = (id: number, method: string, params: object) =>
    session.call({ jsonrpc: "2.0", id, method, params });
  await say(1, "logging/setLevel", { level: "error" });
  await say(2, "logging/setLevel", { level: "debug" });
  await say(3, "resources/subscribe", { uri: "test://a" });
  await say(4, "resources/subscribe", { uri: "test://b" });
  await say(5, "resources/unsubscribe", { uri: "test://a" });
  server.sid = "rough-2";
  expect((await session.call(toolCall(6, "x"))).status).toBe(200);
  const again = server.requests.filter(({ sid }) => sid === "rough-2");
  const said = again.map(({ method, body }) => {
    const { level, uri } =
      (JSON.parse(body) as { params?: { level?: string; uri?: string } }).params ?? {};
    return [method, level ?? uri];
  });
  expect(said.slice(0, 3).toSorted()).toEqual([
    ["logging/setLevel", "debug"],
    ["notifications/initialized", undefined],
    ["resources/subscribe", "test://b"],
  ]);
  expect(said.at(-1)?.[0]).toBe("tools/call");
});

it("those of a batch are said again too", async () => {
  const { url, server } = await roughUpstream(
    (asked, { sid }) => {
      if (asked.sid !== undefined && asked.sid !== sid) asked.answer(404);
      else if (asked.body.startsWith("[")) asked.json(`[${resultOf("1")},${resultOf("2")}]`);
      else return false;
      return true;
    },
    { version: "2025-03-26" },
  );
  const session = await McpSession.open(url);
  const say = async (body: unknown) =>
    (await session.post(body, { "mcp-protocol-version": "2025-03-26" })).text();
  await say([
    { jsonrpc: "2.0", id: 1, method: "logging/setLevel", params: { level: "debug" } },
    { jsonrpc: "2.0", id: 2, method: "resources/subscribe", params: { uri: "test://a" } },
  ]);
  server.sid = "rough-2";
  await say(toolCall(3, "x"));
  const again = server.requests.filter(({ sid }) => sid === "rough-2");
  expect(again.map(({ method }) => method).toSorted()).toEqual([
    "logging/setLevel",
    "notifications/initialized",
    "resources/subscribe",
    "tools/call",
  ]);
});

it.each([
  "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
  "moz-extension://0d2f8c1e-8c53-4a3e-9b9d-1f9c1a2b3c4d",
  "vscode-webview://panel",
])("an extension's origin that is named is taken: %s", async (origin) => {
  const { url, service } = await startGateway({ default: "demo" }, { ALLOWED_ORIGINS: origin });
  const response = await post(url, INITIALIZE, { origin });
  await response.text();
  expect([response.status, response.headers.get("access-control-allow-origin")]).toEqual([
    200,
    origin,
  ]);
  const other = await post(`${service.url}/mcp`, INITIALIZE, { origin: `${origin}x` });
  expect(other.status).toBe(403);
});

const batchOf = (length: number) =>
  Array.from({ length }, (_, id) => ({ jsonrpc: "2.0", id, method: "ping" }));

it("a batch has at most 100 messages", async () => {
  const { url, server } = await roughUpstream(
    (asked) => {
      if (!asked.body.startsWith("[")) return false;
      const ids = (JSON.parse(asked.body) as { id: number }[]).map(({ id }) =>
        resultOf(String(id)),
      );
      asked.json(`[${ids.join(",")}]`);
      return true;
    },
    { version: "2025-03-26" },
  );
  const session = await McpSession.open(url);
  const headers = { "mcp-protocol-version": "2025-03-26" };
  const whole = await wholeAnswer(await session.post(batchOf(100), headers));
  expect([whole.status, whole.messages.length]).toEqual([200, 100]);
  const refused = await wholeAnswer(await session.post(batchOf(101), headers));
  expect([refused.status, refused.messages]).toMatchObject([400, [{ error: { code: -32600 } }]]);
  expect(server.requests.filter(({ body }) => body.startsWith("["))).toHaveLength(1);
});

it("each answer of a batch is given once, also where they come one by one", async () => {
  const { url } = await roughUpstream(
    (asked) => {
      if (!asked.body.startsWith("[")) return false;
      asked.stream(event(notice("first")));
      for (const { id } of JSON.parse(asked.body) as { id: number }[]) {
        asked.write(event(resultOf(String(id))));
      }
      asked.end();
      return true;
    },
    { version: "2025-03-26" },
  );
  const session = await McpSession.open(url);
  const reader = await session
    .post(batchOf(100), { "mcp-protocol-version": "2025-03-26" })
    .then(readerOf);
  const ids = messagesOf(await reader.rest()).flatMap(({ id }) => (id === undefined ? [] : [id]));
  expect(ids).toEqual(Array.from({ length: 100 }, (_, n) => n));
});

it("a batch of 90,000 pings is refused before it costs anything", async () => {
  const { url, server } = await roughUpstream(undefined, { version: "2025-03-26" });
  const session = await McpSession.open(url);
  const huge = await session.post(batchOf(90_000), { "mcp-protocol-version": "2025-03-26" });
  expect(huge.status).toBe(400);
  expect(server.requests.filter(({ body }) => body.startsWith("["))).toEqual([]);
});
