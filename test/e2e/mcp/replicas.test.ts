/** The gateway never sends a call that may have been executed to another replica, but sends a harmless one there. */
import { expect, it } from "vitest";
import { McpSession, post, toolCall, wholeAnswer } from "../../support/mcp/client.ts";
import { restartWith, startGateway } from "../../support/mcp/gateway.ts";
import { startRough } from "../../support/mcp/rough-gateway.ts";
import type { Service } from "../../support/service.ts";
import type { Asked, Script } from "../../support/mcp/rough-server.ts";

const BREAKS: readonly [how: string, breakOff: (asked: Asked) => void][] = [
  ["resets the connection", (asked) => asked.reset()],
  ["closes the connection without an answer", (asked) => asked.hangUp()],
  ["resets the connection 50 ms later", (asked) => void setTimeout(() => asked.reset(), 50)],
];

/** Two replicas behind a gateway. `script` answers for the first one. */
async function twoReplicas(script?: Script) {
  const first = await startRough(script, { sid: "first" });
  const second = await startRough(undefined, { sid: "second" });
  const { url, service } = await startGateway({ default: { replicas: [first.url, second.url] } });
  const executed = (method: string) => first.count(method) + second.count(method);
  return { first, second, url, service, executed };
}

/** Two replicas; the first one takes requests of these methods and breaks off. */
const pair = (methods: readonly string[], breakOff: (asked: Asked) => void) =>
  twoReplicas((asked) => {
    if (!methods.includes(asked.method)) return false;
    breakOff(asked);
    return true;
  });

/** Starts the service anew: it has heard from no replica then. */
async function restart(service: Service): Promise<void> {
  await service.kill();
  await service.restart();
}

it.each(BREAKS)("a tool runs once where the replica %s", async (_how, breakOff) => {
  const { url, executed } = await pair(["tools/call"], breakOff);
  const session = await McpSession.open(url);
  const { messages } = await session.call(toolCall(1, "pay"));
  expect(executed("tools/call")).toBe(1);
  expect(messages).toMatchObject([{ id: 1, error: { code: -32603 } }]);
});

const modern = (method: string) => ({
  jsonrpc: "2.0",
  id: 1,
  method,
  params: { name: "pay", _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } },
});

it.each(BREAKS)("the same in the stateless revision: %s", async (_how, breakOff) => {
  const { url, executed } = await pair(["tools/call"], breakOff);
  const version = { "mcp-protocol-version": "2026-07-28" };
  const answer = await wholeAnswer(await post(url, modern("tools/call"), version));
  expect(executed("tools/call")).toBe(1);
  expect([answer.status, answer.messages]).toMatchObject([
    502,
    [{ id: 1, error: { code: -32603 } }],
  ]);
});

it.each<[what: string, method: string, body: object]>([
  ["a completion", "completion/complete", { id: 1, params: {} }],
  ["a notification", "notifications/roots/list_changed", {}],
  ["a method that nobody knows", "vendor/charge", { id: 1 }],
])("%s is not sent twice either", async (_what, method, members) => {
  const { url, executed } = await pair([method], (asked) => asked.reset());
  const session = await McpSession.open(url);
  const response = await session.post({ jsonrpc: "2.0", method, ...members });
  await response.text();
  expect(executed(method)).toBe(1);
});

it("a response to the server's own request is not sent twice", async () => {
  const { url, executed } = await pair(["POST"], (asked) => asked.reset());
  const session = await McpSession.open(url);
  const response = await session.post({ jsonrpc: "2.0", id: "of-the-server", result: {} });
  expect(response.status).toBe(502);
  expect(executed("POST")).toBe(1);
});

it.each(["tools/list", "resources/read", "ping"])(
  "%s moves on to the next replica",
  async (method) => {
    const { url, first, second } = await pair([method], (asked) => asked.reset());
    const session = await McpSession.open(url);
    const answer = await session.call({ jsonrpc: "2.0", id: 1, method, params: {} });
    expect([answer.status, answer.messages]).toMatchObject([200, [{ id: 1, result: {} }]]);
    expect([first.count(method), second.count(method)]).toEqual([1, 1]);
  },
);

it.each(["server/discover", "tools/list"])(
  "%s of the stateless revision does too",
  async (method) => {
    const { url, second } = await pair([method], (asked) => asked.reset());
    const version = { "mcp-protocol-version": "2026-07-28" };
    const answer = await wholeAnswer(await post(url, modern(method), version));
    expect([answer.status, second.count(method)]).toEqual([200, 1]);
  },
);

it("initialize moves on", async () => {
  const { url, second } = await pair(["initialize"], (asked) => asked.reset());
  await McpSession.open(url);
  expect(second.count("initialize")).toBe(1);
});

it("a batch with one call among pings is not sent twice", async () => {
  const first = await startRough(
    (asked) => {
      if (!asked.body.includes("tools/call")) return false;
      asked.reset();
      return true;
    },
    { sid: "first", version: "2025-03-26" },
  );
  const second = await startRough(undefined, { sid: "second", version: "2025-03-26" });
  const { url } = await startGateway({ default: { replicas: [first.url, second.url] } });
  const session = await McpSession.open(url);
  const ping = { jsonrpc: "2.0", id: 1, method: "ping" };
  const batch = [ping, toolCall(2, "pay")];
  await (await session.post(batch, { "mcp-protocol-version": "2025-03-26" })).text();
  expect(second.requests.filter(({ body }) => body.includes("tools/call"))).toEqual([]);
});

it("a replica whose connection broke and that is gone costs one call and no more", async () => {
  const { url, first, second, executed } = await pair(["tools/call"], (asked) => asked.reset());
  const session = await McpSession.open(url);
  await session.call(toolCall(1, "pay"));
  await first.stop();
  const next = await Promise.all([2, 3].map((id) => session.call(toolCall(id, "pay"))));
  expect(next.map(({ status, messages }) => [status, messages[0]?.id])).toEqual([
    [200, 2],
    [200, 3],
  ]);
  expect([second.count("initialize"), executed("tools/call")]).toEqual([1, 3]);
});

it("a replica whose connection broke is pinged, and serves again once it answers", async () => {
  let breaks = true;
  const { url, first, second } = await twoReplicas((asked) => {
    if (asked.method !== "tools/call" || !breaks) return false;
    asked.reset();
    breaks = false;
    return true;
  });
  const session = await McpSession.open(url);
  await session.call(toolCall(1, "pay"));
  expect((await session.call(toolCall(2, "pay"))).status).toBe(200);
  const methods = first.requests.map(({ method }) => method);
  expect(methods.slice(-3)).toEqual(["tools/call", "ping", "tools/call"]);
  expect(second.requests).toEqual([]);
});

it("a replica that the gateway has not heard from is pinged before a call", async () => {
  const { url, service, first } = await twoReplicas();
  const session = await McpSession.open(url);
  await restart(service);
  expect((await session.call(toolCall(1, "pay"))).status).toBe(200);
  const methods = first.requests.map(({ method }) => method);
  expect(methods.slice(-2)).toEqual(["ping", "tools/call"]);
});

it("a dead replica costs no call if the gateway pings it first", async () => {
  const { url, service, first, second } = await twoReplicas();
  const session = await McpSession.open(url);
  await service.kill();
  await first.stop();
  await service.restart();
  const answer = await session.call(toolCall(1, "pay"));
  expect([answer.status, answer.messages]).toMatchObject([200, [{ id: 1, result: {} }]]);
  expect(second.count("tools/call")).toBe(1);
});

it("a new session is made where nothing broke", async () => {
  const { url, first, second } = await pair(["tools/call"], (asked) => asked.reset());
  await (await McpSession.open(url)).call(toolCall(1, "pay"));
  await McpSession.open(url);
  expect([first.count("initialize"), second.count("initialize")]).toEqual([1, 1]);
});

it("ten calls at once ping once", async () => {
  const { url, service, first } = await twoReplicas();
  const session = await McpSession.open(url);
  await restart(service);
  const calls = Array.from({ length: 10 }, (_, id) => session.call(toolCall(id, "pay")));
  expect((await Promise.all(calls)).map(({ status }) => status)).toEqual(Array(10).fill(200));
  expect([first.count("ping"), first.count("tools/call")]).toEqual([1, 10]);
});

it("a replica that does not answer the ping costs no call", async () => {
  let hangs = false;
  const first = await startRough((asked) => hangs && asked.verb === "POST", { sid: "first" });
  const second = await startRough(undefined, { sid: "second" });
  const replicas = { replicas: [first.url, second.url] };
  const { url, service } = await startGateway({ default: replicas });
  const session = await McpSession.open(url);
  hangs = true;
  // Another process has heard from nobody. Only that one is in a hurry.
  await restartWith(service, { default: { ...replicas, timeoutSeconds: 0.5 } });
  const answer = await session.call(toolCall(1, "pay"));
  expect(answer.messages).toMatchObject([{ id: 1, result: {} }]);
  expect([first.count("tools/call"), second.count("tools/call")]).toEqual([0, 1]);
});

it("the same ping finds that the replica has lost its session", async () => {
  const { url, service, first } = await twoReplicas((asked, server) => {
    if (asked.verb !== "POST" || asked.sid === undefined || asked.sid === server.sid) return false;
    asked.answer(404);
    return true;
  });
  const session = await McpSession.open(url);
  await restart(service);
  first.sid = "first-again";
  expect((await session.call(toolCall(1, "pay"))).status).toBe(200);
  expect(first.all("tools/call").map(({ sid }) => sid)).toEqual(["first-again"]);
});

it("a dead replica costs no call of the stateless revision either", async () => {
  const first = await startRough();
  const second = await startRough();
  const { url } = await startGateway({ default: { replicas: [first.url, second.url] } });
  await first.stop();
  const version = { "mcp-protocol-version": "2026-07-28", "mcp-name": "pay" };
  const answer = await wholeAnswer(await post(url, modern("tools/call"), version));
  expect(answer.status).toBe(200);
  // This server answers without a `resultType`, so the gateway then asks what it speaks, once.
  const methods = second.requests.map(({ method }) => method);
  expect(methods).toEqual(["server/discover", "tools/call", "server/discover"]);
  const [question] = second.requests;
  expect([question?.headers["mcp-method"], question?.headers["mcp-name"]]).toEqual([
    "server/discover",
    undefined,
  ]);
});

it("with one place alone nothing is asked first, and nothing is sent twice", async () => {
  const first = await startRough(undefined, { sid: "first" });
  const { url, service } = await startGateway({ default: { url: first.url } });
  const session = await McpSession.open(url);
  await restart(service);
  await session.call(toolCall(1, "pay"));
  expect([first.count("ping"), first.count("tools/call")]).toEqual([0, 1]);
});
