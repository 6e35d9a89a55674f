/** The requests that the Streamable HTTP endpoint refuses, and their answers. */
import { request as httpRequest } from "node:http";
import { expect, it } from "vitest";
import { INITIALIZE, McpSession, post, toolCall } from "../../support/mcp/client.ts";
import { fixtureBehindGateway } from "../../support/mcp/gateway.ts";
import { roughBehindGateway } from "../../support/mcp/rough-gateway.ts";
import { Service } from "../../support/service.ts";

const JSON_POST = { "content-type": "application/json", accept: "*/*" };
const ping = { jsonrpc: "2.0", id: 1, method: "ping" };

it("refuses each bad request in its own way, before any session is looked for", async () => {
  const { url, fixture } = await fixtureBehindGateway({ BODY_MAX_BYTES: "2000" });
  const session = await McpSession.open(url);
  const before = fixture.requests.length;
  const ask = async (body: unknown, headers: Record<string, string> = {}) => {
    const response = await post(url, body, { ...session.headers, ...headers });
    const text = await response.text();
    const json = (text === "" ? {} : JSON.parse(text)) as {
      error?: { code: number };
      id?: unknown;
    };
    expect("id" in json && json.id === null).toBe(false);
    return [response.status, json.error?.code, json.id];
  };
  expect(await ask("{")).toEqual([400, -32700, undefined]);
  expect(await ask("")).toEqual([400, -32700, undefined]);
  expect(await ask({ jsonrpc: "2.0", id: 1 })).toEqual([400, -32600, undefined]);
  expect(await ask([ping])).toEqual([400, -32600, undefined]);
  expect(await ask([ping], { "mcp-protocol-version": "2025-06-18" })).toEqual([
    400,
    -32600,
    undefined,
  ]);
  expect(await ask(ping, { accept: "application/json" })).toEqual([406, -32000, undefined]);
  expect(await ask(ping, { "content-type": "text/plain" })).toEqual([415, -32000, undefined]);
  expect(await ask("x".repeat(3000))).toEqual([413, -32000, undefined]);
  expect(await ask(ping, { "mcp-protocol-version": "1.0" })).toEqual([400, -32600, 1]);
  expect(await ask(ping, { "mcp-protocol-version": "1.0", "mcp-session-id": "x" })).toEqual([
    400, -32600, 1,
  ]);
  expect(await ask(ping, { "mcp-protocol-version": "2026-07-28" })).toEqual([400, -32602, 1]);
  expect(await ask(ping, { "mcp-session-id": "" })).toEqual([400, -32000, 1]);
  // The service's guard refuses it, before any of the gateway: no JSON-RPC in the answer.
  expect(await ask(ping, { origin: "http://evil.example" })).toEqual([403, undefined, undefined]);
  expect(fixture.requests).toHaveLength(before);
});

it("refuses a batch without a version header where the session's version has none", async () => {
  const { url } = await fixtureBehindGateway();
  const session = await McpSession.open(url);
  const response = await post(url, [ping], { "mcp-session-id": session.id });
  expect([response.status, await response.json()]).toMatchObject([
    400,
    { error: { code: -32600 } },
  ]);
});

it("takes notifications and responses, errors too, with 202 and no body", async () => {
  const { url } = await fixtureBehindGateway();
  const session = await McpSession.open(url);
  for (const message of [
    { jsonrpc: "2.0", method: "notifications/roots/list_changed" },
    { jsonrpc: "2.0", id: 99, result: {} },
    { jsonrpc: "2.0", id: 99, error: { code: -1, message: "no" } },
  ]) {
    const response = await session.post(message);
    expect([response.status, await response.text()]).toEqual([202, ""]);
  }
});

it.each<[said: string, status: number]>([
  ["a notification", 400],
  ["a notification", 500],
  ["a notification", 429],
  ["a response", 400],
])("answers %s that the upstream refuses with a JSON-RPC error and %i", async (said, status) => {
  const { url, server } = await roughBehindGateway((asked) => {
    if (!/"x"/.test(asked.body)) return false;
    asked.error(status, -32600, "No", "null", { "retry-after": "3" });
    return true;
  });
  const session = await McpSession.open(url);
  const response = await session.post(
    said === "a response"
      ? { jsonrpc: "2.0", id: "x", result: {} }
      : { jsonrpc: "2.0", method: "notifications/progress", params: { progressToken: "x" } },
  );
  const kept = status === 429;
  expect([response.status, await response.json(), response.headers.get("retry-after")]).toEqual([
    kept ? 429 : 502,
    { jsonrpc: "2.0", error: { code: -32603, message: "The upstream refused the request" } },
    kept ? "3" : null,
  ]);
  expect(server.requests.filter(({ body }) => /"x"/.test(body))).toHaveLength(1);
});

it("counts a chunked body too, and refuses other methods and other hosts", async () => {
  const { url, service } = await fixtureBehindGateway({ BODY_MAX_BYTES: "2000" });
  const send = (headers: Record<string, string>, chunks: number) =>
    new Promise<number>((resolve, reject) => {
      const request = httpRequest(url, { method: "POST", headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.on("error", reject);
      for (let n = 0; n < chunks; n++) request.write("x".repeat(1000));
      request.end(chunks === 0 ? JSON.stringify(INITIALIZE) : undefined);
    });
  expect(await send(JSON_POST, 5)).toBe(413);
  expect(await send(JSON_POST, 0)).toBe(200);
  // While AUTH is unset the service answers this machine alone. A Host of another name is refused.
  expect(await send({ ...JSON_POST, host: "evil.example" }, 0)).toBe(401);
  const put = await fetch(url, { method: "PUT" });
  expect([put.status, put.headers.get("allow")]).toEqual([405, "GET, POST, DELETE"]);
  expect((await service.fetch("/mcp/none", { method: "POST" })).status).toBe(404);
  expect((await fetch(url, { headers: { accept: "application/json" } })).status).toBe(406);
  expect((await fetch(url, { headers: { accept: "text/event-stream" } })).status).toBe(400);
});

it("is heard by a client that reads nothing before it has written a body that is too large", async () => {
  const service = await Service.start();
  const body = "x".repeat((4 << 20) + 1);
  for (const [path, limit] of [
    ["/mcp", "BODY_MAX_BYTES (4194304)"],
    ["/v1/sessions", "what a session may hold, in bytes of JSON (2818048)"],
  ] as const) {
    for (let n = 0; n < 5; n++) {
      const response = await service.fetch(path, { method: "POST", headers: JSON_POST, body });
      expect([response.status, await response.text()]).toEqual([
        413,
        expect.stringContaining(`The body is over ${limit}`),
      ]);
    }
  }
});

it("carries a batch of 2025-03-26", async () => {
  const { url } = await fixtureBehindGateway();
  const params = { ...INITIALIZE.params, protocolVersion: "2025-03-26" };
  const response = await post(url, { ...INITIALIZE, params });
  const headers = { "mcp-session-id": response.headers.get("mcp-session-id")! };
  await response.body?.cancel();
  const batch = [toolCall(1, "test_simple_text"), toolCall("1", "test_simple_text")];
  const answer = await post(url, batch, headers);
  const text = await answer.text();
  expect(answer.status).toBe(200);
  for (const id of ['"id":1', '"id":"1"']) expect(text).toContain(id);
});
