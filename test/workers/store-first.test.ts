/** Rows come before words: a client hears of nothing that could not be stored. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { placementOf } from "../../src/directory/placement.ts";
import { newSessionId } from "../../src/library/model/session.ts";
import { call, make, pathOf, request } from "../support/call.ts";
import { shard, SHARDS, walked } from "../support/directory.ts";
import { FAR_TIME } from "../support/far-time.ts";
import { kill, objectOf, storedBy, told } from "../support/object.ts";
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

/**
 * Has the next commit of an object fail after its writes have been taken, as a disk does that is full: by a
 * foreign key that is checked at the commit alone.
 */
async function failNextCommit(id: string): Promise<void> {
  await runInDurableObject(objectOf(id), (_object, { storage: { kv, sql } }) => {
    const spoil = spoiler(sql);
    const put = kv.put.bind(kv);
    kv.put = (key, value) => {
      put(key, value);
      spoil();
    };
  });
}

/** The same for a shard of the directory, whose rows are written by SQL. */
async function failNextCommitOf(stub: ReturnType<typeof shard>): Promise<void> {
  await runInDurableObject(stub, (_object, { storage: { sql } }) => {
    const spoil = spoiler(sql);
    const exec = sql.exec.bind(sql);
    sql.exec = ((query: string, ...bindings: unknown[]) => {
      const cursor = exec(query, ...bindings);
      if (/^(INSERT|UPDATE)/.test(query)) spoil();
      return cursor;
    }) as typeof sql.exec;
  });
}

/** Returns a function that writes a row for which a commit fails. */
function spoiler(sql: SqlStorage): () => void {
  sql.exec("CREATE TABLE IF NOT EXISTS parents (id INTEGER PRIMARY KEY)");
  sql.exec(
    "CREATE TABLE IF NOT EXISTS children (of REFERENCES parents(id) DEFERRABLE INITIALLY DEFERRED)",
  );
  const exec = sql.exec.bind(sql);
  return () => void exec("INSERT INTO children VALUES (1)");
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

describe("where a commit fails after its writes were taken", () => {
  afterEach(() => void vi.useRealTimers());

  /** The lines logged so far that say that a session has ended. */
  const endsIn = (log: { mock: { calls: unknown[][] } }) =>
    log.mock.calls.flat().filter((line) => /"event":"session\./.test(String(line)));

  it.each<[what: string, attempt: (id: string) => Promise<{ status: number }>, last: string[]]>([
    ["delete", (id) => call("DELETE", pathOf(id)), ["deleted"]],
    ["disconnect", (id) => call("POST", pathOf(id, "/disconnect")), []],
    ["stream's end", (id) => call("POST", pathOf(id, "/end")), ["ended"]],
  ])("tells nobody of a failed %s, and the session lives on", async (_what, attempt, last) => {
    const log = vi.spyOn(console, "log");
    const { id } = await make({ data: 1 });
    const reader = await follow(id);
    await call("POST", pathOf(id, "/events"), { data: "before" });
    await told(id);
    await failNextCommit(id);
    expect((await attempt(id)).status).toBe(503);
    await reader.rest().catch(() => []);
    expect(reader.text).not.toMatch(/event: (deleted|ended)/);
    expect(endsIn(log)).toEqual([]);
    const [before] = await new SseReader(
      (await request("GET", pathOf(id, "/events?from=earliest"))).body!,
    ).take(1);
    expect(before!.data).toBe("before");
    const back = await follow(id);
    expect((await call("POST", pathOf(id, "/events"), { data: "after" })).status).toBe(202);
    await back.until(/data: after/);
    expect((await attempt(id)).status).toBeLessThan(300);
    const events = (await back.rest()).flatMap(({ event = "" }) => (event === "" ? [] : [event]));
    expect(events).toEqual(last);
    expect(endsIn(log)).toHaveLength(last.includes("deleted") ? 1 : 0);
  });

  it("lists no session that could not be stored", async () => {
    const [id, subject] = [newSessionId(), crypto.randomUUID()];
    await failNextCommit(id);
    expect((await call("POST", "/v1/sessions", { id, subject })).status).toBe(503);
    // By the time that a shard has taken a later message, it would have taken the first one.
    let later = newSessionId();
    while (placementOf(later, SHARDS) !== placementOf(id, SHARDS)) later = newSessionId();
    await make({ id: later, subject });
    await told(later);
    expect((await walked({ subject })).map((entry) => entry.id)).toEqual([later]);
    expect((await call("GET", pathOf(id))).status).toBe(404);
  });

  it.each(["the first time", "by its alarm"])(
    "a shard has not taken an end that it could not store %s, and hears of it again",
    async (when) => {
      // No alarm fires by itself.
      vi.useFakeTimers({ toFake: ["Date"], now: FAR_TIME });
      const subject = crypto.randomUUID();
      const { id } = await make({ subject });
      await told(id);
      const stub = () => shard(placementOf(id, SHARDS));
      const isListed = async () => (await walked({ subject })).length > 0;
      await failNextCommitOf(stub());
      expect((await call("DELETE", pathOf(id))).status).toBe(204);
      await told(id);
      expect(await isListed()).toBe(true);
      if (when === "by its alarm") {
        await failNextCommitOf(stub());
        await runDurableObjectAlarm(objectOf(id));
        expect(await isListed()).toBe(true);
      }
      expect(await storedBy(id)).toMatchObject({ keys: ["directory"], alarm: expect.any(Number) });
      await runDurableObjectAlarm(objectOf(id));
      expect(await isListed()).toBe(false);
      expect(await storedBy(id)).toMatchObject({ keys: [], alarm: null });
    },
  );

  it("tells nobody of an expiry, and tries it again after the platform has given up", async () => {
    const log = vi.spyOn(console, "log");
    vi.useFakeTimers({ toFake: ["Date"] });
    const { id } = await make({ ttlSeconds: 60 });
    await told(id);
    await failNextCommit(id);
    vi.setSystemTime(Date.now() + 60_000);
    await expect(runDurableObjectAlarm(objectOf(id))).rejects.toThrow();
    expect(endsIn(log)).toEqual([]);
    await failNextCommit(id);
    const alarm = { isRetry: true, retryCount: 5, scheduledTime: Date.now() };
    const last = runInDurableObject(objectOf(id), (object) => object.alarm(alarm));
    await expect(last).rejects.toThrow();
    expect(endsIn(log)).toEqual([]);
    const due = await runInDurableObject(objectOf(id), (_object, { storage }) =>
      storage.getAlarm(),
    );
    expect(due).toBeGreaterThan(Date.now());
    await runDurableObjectAlarm(objectOf(id));
    expect(endsIn(log)).toHaveLength(1);
    expect((await call("GET", pathOf(id))).status).toBe(404);
  });
});
