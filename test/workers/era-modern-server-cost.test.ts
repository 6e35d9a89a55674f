/** The cost of a call to a server of 2026-07-28 alone, counted at the object; the server is a script. */
import { env, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { request } from "../support/call.ts";
import { countWrites, evict, objectOf } from "../support/object.ts";
import { SseReader } from "../support/sse-reader.ts";

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: { readonly name?: string; readonly inputResponses?: unknown };
}

const JSON_TYPE = { "content-type": "application/json" };
const seen: string[] = [];

/** Answers as a server of the stateless revision alone; the tool `ask` asks once. */
async function serve(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const { id, method, params } = JSON.parse(String(init?.body)) as Message;
  seen.push(`${String(input)} ${method}`);
  const answer = (result: object) =>
    Response.json({ jsonrpc: "2.0", id, result: { resultType: "complete", ...result } });
  if (method === "initialize") {
    const error = { code: -32022, message: "no", data: { supported: ["2026-07-28"] } };
    const body = JSON.stringify({ jsonrpc: "2.0", id, error });
    return new Response(body, { status: 400, headers: JSON_TYPE });
  }
  if (method === "server/discover")
    return answer({ supportedVersions: ["2026-07-28"], capabilities: { tools: {} } });
  if (params?.name === "ask" && params.inputResponses === undefined) {
    const name = { method: "elicitation/create", params: { message: "?", requestedSchema: {} } };
    return answer({ resultType: "input_required", inputRequests: { name }, requestState: "s" });
  }
  return answer({ content: [{ type: "text", text: "done" }] });
}

beforeEach(() => {
  vi.stubGlobal("fetch", serve);
  Object.assign(env, { UPSTREAMS: '{"default":{"url":"https://modern.example/mcp"}}' });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function send(body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const accept = "application/json, text/event-stream";
  return request("POST", "/mcp", body, { accept, ...headers });
}

const call = (id: number, name: string) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name, arguments: {} },
});

async function open(): Promise<string> {
  const params = {
    protocolVersion: "2025-11-25",
    capabilities: { elicitation: {} },
    clientInfo: { name: "t", version: "1" },
  };
  const response = await send({ jsonrpc: "2.0", id: 0, method: "initialize", params });
  expect(response.status).toBe(200);
  await response.text();
  return response.headers.get("mcp-session-id") ?? "";
}

it("a bridged call is one request to the object and to the server, and no row", async () => {
  const id = await open();
  const headers = { "mcp-session-id": id };
  await (await send(call(1, "echo"), headers)).text();
  const writes = await countWrites(id);
  let spied: unknown[] = [];
  await runInDurableObject(objectOf(id), (object) => {
    const prototype = Object.getPrototypeOf(object) as typeof object;
    for (const method of ["exchange", "read", "patch", "create"] as const) {
      vi.spyOn(prototype, method).mockName(method);
    }
    spied = [prototype.exchange, prototype.read, prototype.patch, prototype.create];
  });
  seen.length = 0;
  const response = await send(call(2, "echo"), headers);
  expect(await response.json()).toEqual({
    jsonrpc: "2.0",
    id: 2,
    result: { content: [{ type: "text", text: "done" }] },
  });
  expect(spied.map((spy) => vi.mocked(spy as () => void).mock.calls.length)).toEqual([1, 0, 0, 0]);
  expect(seen).toEqual(["https://modern.example/mcp tools/call"]);
  expect([writes.rows, writes.alarms]).toEqual([0, 0]);
});

/** The rows that say how long the session was used. */
function touches({ keysWritten }: Awaited<ReturnType<typeof countWrites>>): number {
  return keysWritten.filter((key) => key === "used-until").length;
}

/** Posts a call that asks, and reads its stream up to the question. */
async function ask(n: number, headers: Record<string, string>) {
  const response = await send(call(n, "ask"), headers);
  const reader = new SseReader(response.body!);
  await reader.until(/holdfast-ask/);
  const id = /"id":"(holdfast-ask-[^"]+)"/.exec(reader.text)?.[1];
  const answer = { jsonrpc: "2.0", id, result: { action: "accept", content: {} } };
  return { reader, answer };
}

it("a call that waits for its client is a row beside its exchange and its question, and sleeps", async () => {
  const id = await open();
  const headers = { "mcp-session-id": id };
  const first = await ask(5, headers);
  expect((await send(first.answer, headers)).status).toBe(202);
  await first.reader.rest();

  const writes = await countWrites(id);
  const { reader, answer } = await ask(6, headers);
  // The call's exchange, the call that waits, and the question; each end of a use of the session is a row too, as ever.
  expect([writes.rows - touches(writes), writes.alarms]).toEqual([3, 0]);
  await evict(id);
  const after = await countWrites(id);
  seen.length = 0;
  expect((await send(answer, headers)).status).toBe(202);
  await reader.rest();
  expect(reader.text).toContain('"done"');
  // The server is asked nothing but the call, although the object had lost its memory.
  expect(seen).toEqual(["https://modern.example/mcp tools/call"]);
  // The result, and the exchange that has ended with it; the call waits no more.
  expect([after.rows - touches(after), after.rowsDeleted, after.alarms]).toEqual([2, 1, 0]);
});
