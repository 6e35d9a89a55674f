/** The cost of a call through the gateway, counted at the object; the upstream is the built-in demo server. */
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, it, vi } from "vitest";
import { request } from "../support/call.ts";
import { countWrites, evict, objectOf, storedBy } from "../support/object.ts";

afterEach(() => void vi.restoreAllMocks());

function send(body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const accept = "application/json, text/event-stream";
  return request("POST", "/mcp", body, { accept, ...headers });
}

const echo = (id: number) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name: "echo", arguments: { text: "hi" } },
});

async function open(): Promise<string> {
  const params = {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "t", version: "1" },
  };
  const response = await send({ jsonrpc: "2.0", id: 0, method: "initialize", params });
  expect(response.status).toBe(200);
  await response.text();
  return response.headers.get("mcp-session-id") ?? "";
}

it("a quick call is one request to the object, at most one row, no alarm and no event", async () => {
  const id = await open();
  const writes = await countWrites(id);
  let spied: unknown[] = [];
  await runInDurableObject(objectOf(id), (object) => {
    const prototype = Object.getPrototypeOf(object) as typeof object;
    for (const method of ["exchange", "read", "patch", "create"] as const) {
      vi.spyOn(prototype, method).mockName(method);
    }
    spied = [prototype.exchange, prototype.read, prototype.patch, prototype.create];
  });
  const response = await send(echo(1), { "mcp-session-id": id });
  expect(await response.json()).toMatchObject({ id: 1, result: { content: [{ text: "hi" }] } });
  expect(spied.map((spy) => vi.mocked(spy as () => void).mock.calls.length)).toEqual([1, 0, 0, 0]);
  expect(writes.rows).toBeLessThanOrEqual(1);
  expect(writes.alarms).toBe(0);
  for (let n = 2; n < 50; n++) await (await send(echo(n), { "mcp-session-id": id })).text();
  // The touch is coarse: many calls, still that one row.
  expect(writes.rows).toBeLessThanOrEqual(1);
  const tables = await runInDurableObject(objectOf(id), (_object, { storage }) =>
    storage.sql
      .exec("SELECT name FROM sqlite_master WHERE name IN ('events', 'messages', 'exchanges')")
      .toArray(),
  );
  expect(tables).toEqual([]);
});

it("a session whose server was thrown out sleeps on, and costs no row when the server is made again", async () => {
  const id = await open();
  const headers = { "mcp-session-id": id };
  await (await send(echo(1), headers)).text();
  // With the client's own stream open, and nothing under way: an object with a timer could not be evicted.
  const stream = await request("GET", "/mcp", undefined, {
    accept: "text/event-stream",
    ...headers,
  });
  await evict(id);
  const writes = await countWrites(id);
  expect(await (await send(echo(2), headers)).json()).toMatchObject({ id: 2 });
  expect([writes.rows, writes.alarms]).toEqual([0, 0]);
  expect(writes.keysRead).not.toContain("server-wakes");
  await stream.body!.cancel();
});

it("an object that was thrown out in mid-call answers it with an error on resume", async () => {
  const id = await open();
  const call = {
    jsonrpc: "2.0",
    id: 5,
    method: "tools/call",
    params: { name: "count", arguments: { steps: 1, seconds: 60 } },
  };
  const response = await send(call, { "mcp-session-id": id });
  const reader = response.body!.getReader();
  const first = new TextDecoder().decode((await reader.read()).value as Uint8Array);
  const lastEventId = /^id: (.*)$/m.exec(first)?.[1] ?? "";
  await abortAllDurableObjects();
  const headers = {
    accept: "text/event-stream",
    "mcp-session-id": id,
    "last-event-id": lastEventId,
  };
  const resumed = await request("GET", "/mcp", undefined, headers);
  const text = await resumed.text();
  expect(text).toContain('"id":5,"error":{"code":-32603');
  await reader.cancel().catch(() => undefined);
});

it("a session that has ended leaves nothing stored, whatever it carried", async () => {
  const id = await open();
  const notify = { name: "notify", arguments: { messages: 3 } };
  const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params: notify };
  await (await send(body, { "mcp-session-id": id })).text();
  const headers = { "mcp-session-id": id };
  await request("DELETE", "/mcp", undefined, headers);
  expect(await storedBy(id)).toEqual({ keys: [], tables: [], alarm: null });
});

it("the stateless revision makes no session", async () => {
  const claim = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const body = { jsonrpc: "2.0", id: 1, method: "tools/list", params: { _meta: claim } };
  const response = await send(body, {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/list",
    "mcp-session-id": crypto.randomUUID(),
  });
  expect(response.status).toBe(200);
  expect(response.headers.has("mcp-session-id")).toBe(false);
  expect(await response.json()).toMatchObject({ id: 1, result: { resultType: "complete" } });
});
