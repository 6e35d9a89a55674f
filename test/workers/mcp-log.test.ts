/** The messages of the gateway and the events of `/v1` lie in logs of their own: neither pushes the other out. */
import { expect, it } from "vitest";
import { call, pathOf, request } from "../support/call.ts";
import { SseReader } from "../support/sse-reader.ts";

const ACCEPT = "application/json, text/event-stream";
/** The defaults of `LOG_MAX_EVENTS` and of one publish; and what the demo server's `notify` sends at most. */
const LOG_MAX_EVENTS = 10_000;
const BATCH = 100;
const FLOODS = LOG_MAX_EVENTS / BATCH + 1;

const rpc = (id: number, method: string, params: object) => ({
  jsonrpc: "2.0",
  id,
  method,
  params,
});
const notify = (id: number) =>
  rpc(id, "tools/call", { name: "notify", arguments: { messages: BATCH } });

function post(body: object, id?: string): Promise<Response> {
  const headers = { accept: ACCEPT, ...(id !== undefined && { "mcp-session-id": id }) };
  return request("POST", "/mcp", body, headers);
}

async function open(): Promise<string> {
  const clientInfo = { name: "t", version: "1" };
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo };
  const response = await post(rpc(0, "initialize", params));
  await response.text();
  return response.headers.get("mcp-session-id") ?? "";
}

it("keeps what was published and not read while calls send more than a log holds", async () => {
  const id = await open();
  const published = await call<{ id: string }>("POST", pathOf(id, "/events"), { data: "waiting" });
  for (let n = 1; n <= FLOODS; n++) await (await post(notify(n), id)).text();
  const { json } = await call<{ lastEventId: string }>("GET", pathOf(id));
  expect(json.lastEventId).toBe(published.json.id);
  const reader = new SseReader((await request("GET", pathOf(id, "/events"))).body!);
  const [event] = await reader.take(1);
  expect(event).toMatchObject({ id: published.json.id, data: "waiting" });
  await reader.leave();
}, 60_000);

it("keeps an answer that was not read while more is published than a log holds", async () => {
  const id = await open();
  const stream = new SseReader((await post(notify(1), id)).body!);
  const [first] = await stream.take(1);
  await stream.leave();
  const reader = new SseReader((await request("GET", pathOf(id, "/events"))).body!);
  const batch = Array.from({ length: BATCH }, (_, n) => ({ data: `event ${n}` }));
  for (let n = 0; n < FLOODS; n++) {
    await call("POST", pathOf(id, "/events"), batch);
    await reader.take(BATCH);
  }
  await reader.leave();
  const headers = { accept: ACCEPT, "mcp-session-id": id, "last-event-id": first?.id ?? "" };
  const resumed = new SseReader((await request("GET", "/mcp", undefined, headers)).body!);
  const messages = (await resumed.rest()).filter(({ data }) => data !== "");
  expect(messages.at(-1)?.data).toContain('"sent 100"');
}, 60_000);
