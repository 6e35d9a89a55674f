/** Rows come before words: a client hears of nothing that could not be stored. */
import { runInDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import { call, make, pathOf, request } from "../support/call.ts";
import { kill, objectOf, told } from "../support/object.ts";
import { SseReader } from "../support/sse-reader.ts";

const ACCEPT = "application/json, text/event-stream";

/** Has the object's storage refuse some writes until the returned function is called. */
async function refusing(
  id: string,
  refuses: (write: string, ...values: readonly unknown[]) => boolean,
) {
  const refused: string[] = [];
  await runInDurableObject(objectOf(id), (_object, { storage: { kv, sql } }) => {
    const guard = (write: string, ...values: readonly unknown[]) => {
      if (!refuses(write, ...values)) return;
      refused.push(write);
      throw new Error("disk I/O error");
    };
    const put = kv.put.bind(kv);
    kv.put = (key, value) => {
      guard(key, value);
      put(key, value);
    };
    const exec = sql.exec.bind(sql);
    sql.exec = ((query: string, ...bindings: unknown[]) => {
      guard(query, ...bindings);
      return exec(query, ...bindings);
    }) as typeof sql.exec;
  });
  return refused;
}

async function follow(id: string): Promise<SseReader> {
  const { body } = await request("GET", pathOf(id, "/events"));
  if (!body) throw new Error("a stream has a body");
  return new SseReader(body);
}

it.each(["DELETE", "directory"])(
  "says nothing of an end that could not be stored, and loses nothing (%s fails)",
  async (what) => {
    const { id } = await make({ data: 1 });
    const reader = await follow(id);
    await call("POST", pathOf(id, "/events"), { data: "before" });
    await told(id);
    let broken = true;
    const refused = await refusing(id, (write) => broken && write.startsWith(what));
    expect((await call("DELETE", pathOf(id))).status).toBe(503);
    expect(refused).toHaveLength(1);
    broken = false;
    expect((await call("GET", pathOf(id))).json).toMatchObject({ data: 1, writers: 1 });
    expect((await call("POST", pathOf(id, "/events"), { data: "after" })).status).toBe(202);
    const frames = await reader.take(2);
    expect(frames.map(({ data }) => data)).toEqual(["before", "after"]);
    const replay = new SseReader((await request("GET", pathOf(id, "/events?from=earliest"))).body!);
    expect((await replay.take(2)).map(({ data }) => data)).toEqual(["before", "after"]);
    expect((await call("DELETE", pathOf(id))).status).toBe(204);
    expect((await reader.rest()).map(({ event }) => event)).toEqual(["deleted"]);
  },
);

it("stores a publish's use and events before a reader gets them", async () => {
  const { id } = await make();
  const reader = await follow(id);
  await call("POST", pathOf(id, "/events"), { data: "first" });
  let broken = true;
  await refusing(id, (_write, ...values) => broken && values.includes("lost"));
  expect((await call("POST", pathOf(id, "/events"), { data: "lost" })).status).toBe(503);
  broken = false;
  const { json } = await call<{ id: string }>("POST", pathOf(id, "/events"), { data: "next" });
  const frames = await reader.take(2);
  expect(frames.map(({ data }) => data)).toEqual(["first", "next"]);
  expect(frames[1]!.id).toBe(json.id);
});

it("sends no answer of an upstream whose end it could not store: it is answered once, on resume", async () => {
  const post = (body: object, id?: string) =>
    request("POST", "/mcp", body, { accept: ACCEPT, ...(id && { "mcp-session-id": id }) });
  const clientInfo = { name: "t", version: "1" };
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo };
  const opened = await post({ jsonrpc: "2.0", id: 0, method: "initialize", params });
  await opened.text();
  const id = opened.headers.get("mcp-session-id") ?? "";
  const refused = await refusing(
    id,
    (write, ...values) => write.includes("INTO exchanges") && values.includes("[]"),
  );
  const notify = { name: "notify", arguments: { messages: 3 } };
  const answer = await post({ jsonrpc: "2.0", id: 7, method: "tools/call", params: notify }, id);
  const stream = new SseReader(answer.body!);
  const [first] = await stream.take(1);
  await expect.poll(() => refused.length).toBeGreaterThan(0);
  await kill(id);
  await stream.rest().catch(() => []);
  expect(stream.text).not.toContain('"id":7');
  const headers = { accept: ACCEPT, "mcp-session-id": id, "last-event-id": first?.id ?? "" };
  const resumed = await (await request("GET", "/mcp", undefined, headers)).text();
  expect(resumed.match(/"id":7/g)).toHaveLength(1);
  expect(resumed).toContain('"error":{"code":-32603');
});
