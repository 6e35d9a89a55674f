/** A client of 2026-07-28 uses a server that keeps sessions, by the bridge. */
import { expect, it } from "vitest";
import { EraServer } from "../../support/mcp/era-server.ts";
import { tryAll } from "../../support/mcp/era-client.ts";
import { answering, startGateway, startUpstream } from "../../support/mcp/gateway.ts";
import { messagesOf, readerOf } from "../../support/mcp/client.ts";
import { accepting, MODERN, ModernClient, saidBy } from "../../support/mcp/modern-client.ts";
import { shared } from "../../support/scope.ts";

const start = shared(async () => {
  const server = await EraServer.start("legacy");
  const gateway = await startGateway(
    { default: { url: server.url } },
    { LOG_LEVEL: "debug", KEEPALIVE_SECONDS: "0.2" },
  );
  return { server, ...gateway };
});

it.each([MODERN, "auto"] as const)("has every ability (%s)", async (mode) => {
  const { server, url } = await start();
  const { version, wrong } = await tryAll(mode, url, server);
  expect([...wrong].map(([name, cause]) => [name, String(cause)])).toEqual([]);
  expect(version).toBe(MODERN);
});

it("answers with what the revision demands of a result", async () => {
  const { url } = await start();
  const client = new ModernClient(url);
  const cached = { resultType: "complete", ttlMs: 0, cacheScope: "private" };
  for (const method of ["server/discover", "tools/list", "resources/list", "prompts/list"]) {
    expect((await client.ask(method)).message.result).toMatchObject(cached);
  }
  const read = await client.ask("resources/read", { uri: "test://static-text" });
  expect(read.message.result).toMatchObject(cached);
  expect((await client.ask("server/discover")).message.result).toMatchObject({
    supportedVersions: [MODERN],
    instructions: "speaks legacy",
    capabilities: { tools: { listChanged: true } },
    _meta: { "io.modelcontextprotocol/serverInfo": { name: "legacy-only" } },
  });
  expect((await client.call("era_echo", { tag: "x" })).message.result?.resultType).toBe("complete");
});

it.each<
  [
    what: string,
    status: number,
    code: number,
    headers: Record<string, string | undefined>,
    method?: string | undefined,
    meta?: object,
  ]
>([
  ["no Mcp-Method", 400, -32020, { "mcp-method": undefined }],
  ["another Mcp-Method", 400, -32020, { "mcp-method": "tools/list" }],
  ["no Mcp-Name", 400, -32020, { "mcp-name": undefined }],
  ["another Mcp-Name", 400, -32020, { "mcp-name": "other" }],
  ["a Mcp-Name that is not well encoded", 400, -32020, { "mcp-name": "=?base64?*?=" }],
  ["another version in the header", 400, -32020, { "mcp-protocol-version": "2026-07-29" }],
  [
    "an unknown version",
    400,
    -32022,
    { "mcp-protocol-version": "2027-01-01" },
    undefined,
    { "io.modelcontextprotocol/protocolVersion": "2027-01-01" },
  ],
  [
    "no capabilities",
    400,
    -32602,
    {},
    undefined,
    { "io.modelcontextprotocol/clientCapabilities": null },
  ],
  ["a method of older revisions", 404, -32601, { "mcp-name": undefined }, "ping"],
  [
    "a method that the server does not know",
    404,
    -32601,
    { "mcp-name": undefined },
    "custom/unknown",
  ],
])("refuses %s", async (_what, status, code, headers, method = "tools/call", meta = {}) => {
  const { server, url } = await start();
  const client = new ModernClient(url);
  await client.call("era_echo", { tag: "learn" });
  const params = method === "tools/call" ? { name: "era_echo", arguments: { tag: "no" } } : {};
  const answer = await client.ask(method, { ...params, _meta: meta }, headers);
  expect([answer.status, answer.message.error?.code]).toEqual([status, code]);
  expect(server.effects.of("no")).toBe(0);
});

it("answers for a client what it has not declared, as the specification says", async () => {
  const { server, url } = await start();
  const said = async (capabilities: object, tool: string) => {
    const client = new ModernClient(url, {
      capabilities,
      name: `declares ${Object.keys(capabilities)}`,
    });
    const from = server.requests.length;
    const { message } = await client.call(tool, { tag: "undeclared" });
    const sent = server.requests
      .slice(from)
      .flatMap(({ body }) => /"error":\{"code":(-\d+)/.exec(body)?.[1] ?? []);
    return [message.result?.resultType, sent];
  };
  // The official server does not ask a client that it was told cannot answer.
  expect(await said({}, "era_elicit")).toEqual(["complete", ["-32601"]]);
  expect(await said({ elicitation: { url: {} } }, "era_elicit")).toEqual(["complete", ["-32602"]]);
});

it("lets several clients of one principal listen at once, each to what it asked for", async () => {
  const { server, url } = await start();
  const listen = async (notifications: object) => {
    const client = new ModernClient(url, { name: "listener" });
    const leaving = new AbortController();
    const params = { notifications };
    const answer = await client.post("subscriptions/listen", params, {}, leaving.signal);
    const reader = readerOf(answer);
    const [ack] = messagesOf(await reader.take(1));
    return { reader, ack, leave: () => leaving.abort() };
  };
  const both = { toolsListChanged: true, resourceSubscriptions: ["test://watched-resource"] };
  const one = await listen(both);
  const two = await listen({ toolsListChanged: true });
  const nothing = await listen({ resourceSubscriptions: [] });
  expect(one.ack).toMatchObject({
    method: "notifications/subscriptions/acknowledged",
    params: { notifications: both, _meta: { "io.modelcontextprotocol/subscriptionId": 1 } },
  });
  expect(messagesOf(await nothing.reader.rest())).toMatchObject([
    { id: 1, result: { resultType: "complete" } },
  ]);
  await server.heardBy("test://watched-resource");
  server.resourceUpdated("test://watched-resource");
  server.toolsChanged();
  const stamped = { _meta: { "io.modelcontextprotocol/subscriptionId": 1 } };
  expect(messagesOf(await one.reader.take(2))).toMatchObject([
    {
      method: "notifications/resources/updated",
      params: { uri: "test://watched-resource", ...stamped },
    },
    { method: "notifications/tools/list_changed", params: stamped },
  ]);
  expect(messagesOf(await two.reader.take(1))).toMatchObject([
    { method: "notifications/tools/list_changed", params: stamped },
  ]);
  // The one whose bridge held the upstream's stream leaves; the other goes on.
  const { listeners } = server;
  one.leave();
  await server.effects.until(() =>
    server.requests.some(({ body }) => body.includes("resources/unsubscribe")),
  );
  const next = two.reader.take(1);
  // The server keeps no messages: it loses those that it sends before another stream takes the first one's place.
  await server.heardBy("list", listeners);
  server.toolsChanged();
  expect(messagesOf(await next)).toMatchObject([{ method: "notifications/tools/list_changed" }]);
  two.leave();
});

it("learns what an upstream is from what it says, remembers it, and asks no more", async () => {
  const server = await EraServer.start("legacy");
  const { url, service } = await startGateway({ default: { url: server.url } });
  const client = new ModernClient(url);
  expect(saidBy(await client.call("era_echo", { tag: "a" }))).toBe("a");
  const passed = () =>
    server.requests.filter(({ headers }) => headers.get("mcp-protocol-version") === MODERN);
  // The call as it was, refused before it was executed, and the question.
  expect(passed().length).toBe(2);
  expect(saidBy(await client.call("era_echo", { tag: "b" }))).toBe("b");
  await service.kill();
  await service.restart();
  expect(saidBy(await client.call("era_echo", { tag: "c" }))).toBe("c");
  expect(passed().length).toBe(2);
  // An isolate asks its memory before what may not run twice. Of anything else it learns it anew, once.
  await service.kill();
  await service.restart();
  await client.ask("tools/list");
  expect(passed().length).toBe(4);
  await client.ask("tools/list");
  expect(passed().length).toBe(4);
  expect(["a", "b", "c"].map((tag) => server.effects.of(tag))).toEqual([1, 1, 1]);
});

it.each([401, 403, 429, 500, 503])("concludes nothing from a %i", async (status) => {
  const seen: string[] = [];
  const upstream = await startUpstream(async (request) => {
    seen.push(((await request.json()) as { method: string }).method);
    return Response.json(
      { jsonrpc: "2.0", id: 1, error: { code: -32000, message: "no" } },
      { status },
    );
  });
  const { url } = await startGateway({ default: { url: upstream.url } });
  const client = new ModernClient(url);
  await client.ask("server/discover");
  await client.ask("tools/list");
  expect(seen).toEqual(["server/discover", "tools/list"]);
});

it("has every ability with a server of HTTP+SSE", async () => {
  const server = await EraServer.start("legacy");
  // A gateway is such a server, too.
  const { service } = await startGateway({ default: { url: server.url } });
  const sse = { url: `${service.url}/sse`, transport: "sse" };
  const { url } = await startGateway({ default: sse }, { KEEPALIVE_SECONDS: "0.2" });
  const { wrong } = await tryAll(MODERN, url, server);
  expect([...wrong].map(([name, cause]) => [name, String(cause)])).toEqual([]);
});

it("bridges to a server without sessions", async () => {
  const upstream = await startUpstream(
    answering(async (_request, { id, method }) => {
      if (method?.startsWith("server/")) return new Response(null, { status: 400 });
      return Response.json({ jsonrpc: "2.0", id, result: { tools: [] } });
    }, null),
  );
  const { url } = await startGateway({ default: { url: upstream.url, era: "legacy" } });
  const { message } = await new ModernClient(url).ask("tools/list");
  expect(message.result).toMatchObject({ tools: [], resultType: "complete" });
});

it("goes on when the server has lost its sessions", async () => {
  const server = await EraServer.start("legacy");
  const { url } = await startGateway({ default: { url: server.url, era: "legacy" } });
  const client = new ModernClient(url);
  const asked = await client.call("era_elicit", { tag: "lost" });
  for (const sid of server.sessions) {
    await fetch(server.url, { method: "DELETE", headers: { "mcp-session-id": sid } });
  }
  const { message } = await client.call("era_elicit", { tag: "lost" }, accepting(asked));
  expect(message.error?.code).toBe(-32603);
  expect(saidBy(await client.call("era_echo", { tag: "next" }))).toBe("next");
});

it("learns what an upstream is from a call that a server without sessions has executed, and executes it once", async () => {
  const calls: string[] = [];
  const upstream = await startUpstream(
    answering(async (_request, { id, method = "" }) => {
      calls.push(method);
      if (method !== "tools/call") {
        const error = { code: -32601, message: "Method not found" };
        return Response.json({ jsonrpc: "2.0", id, error });
      }
      const result = { content: [{ type: "text", text: "done" }] };
      return Response.json({ jsonrpc: "2.0", id, result });
    }, null),
  );
  const { url } = await startGateway({ default: { url: upstream.url } });
  const client = new ModernClient(url);
  for (let n = 0; n < 2; n++) {
    const { message } = await client.call("any", {});
    expect(message.result).toMatchObject({ resultType: "complete", content: [{ text: "done" }] });
  }
  const posted = calls.filter((method) => method !== "");
  expect(posted).toEqual(["tools/call", "server/discover", "tools/call"]);
});

it("gets messages that are larger than what may wait for a slow client", async () => {
  const large = "x".repeat(2_000_000);
  const upstream = await startUpstream(
    answering(async (request, { id }) => {
      // The server has no standalone stream.
      if (request.method === "GET") return new Response(null, { status: 405 });
      const params = { level: "error", data: large };
      const log = { jsonrpc: "2.0", method: "notifications/message", params };
      const done = { jsonrpc: "2.0", id, result: { content: [{ type: "text", text: large }] } };
      const frames = [log, log, done].map((message) => `data: ${JSON.stringify(message)}\n\n`);
      return new Response(frames.join(""), { headers: { "content-type": "text/event-stream" } });
    }),
  );
  const { url } = await startGateway({ default: { url: upstream.url, era: "legacy" } });
  const client = new ModernClient(url, { capabilities: {} });
  const meta = { "io.modelcontextprotocol/logLevel": "debug" };
  const { messages } = await client.call("any", {}, { _meta: meta });
  expect(messages.map(({ method }) => method)).toEqual([
    "notifications/message",
    "notifications/message",
    undefined,
  ]);
});
