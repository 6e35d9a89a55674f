/**
 * The cost of each call, counted through the storage API; docs/delivery.md has the
 * table. The count is of requests to the storage, and does not prove the bill.
 */
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { expect, it, vi, afterEach } from "vitest";
import { DirectoryObject } from "../../src/directory/directory-object.ts";
import { placementOf } from "../../src/directory/placement.ts";
import { newSessionId } from "../../src/library/model/session.ts";
import { call, make, pathOf, request } from "../support/call.ts";
import { rowsUsed, shard, SHARDS } from "../support/directory.ts";
import { FAR_TIME } from "../support/far-time.ts";
import { countWrites, evict, listReads, objectOf, storedBy, told } from "../support/object.ts";

afterEach(() => void vi.useRealTimers());

const JSON_PAGE = { accept: "application/json" };

/** Some more than the log holds (`LOG_MAX_EVENTS`), so that it is trimmed. */
const EVENTS = 13_000;

const shardOf = (id: string) => shard(placementOf(id, SHARDS));

/** Counts what a call costs the session's object and the directory together. */
async function costOf(id: string, act: () => Promise<unknown>) {
  const writes = await countWrites(id);
  const deliver = vi.spyOn(DirectoryObject.prototype, "deliver");
  const { written, alarms } = await rowsUsed(shardOf(id), async () => {
    await act();
    await told(id);
  });
  const messages = deliver.mock.calls.length;
  deliver.mockRestore();
  return { rows: writes.rows + written, alarms: writes.alarms + alarms, messages };
}

/** An id whose shard has an entry, so that it has its tables, and an alarm that is early enough. */
async function idBesideOthers(subject?: string): Promise<string> {
  const id = newSessionId();
  let other = newSessionId();
  while (placementOf(other, SHARDS) !== placementOf(id, SHARDS)) other = newSessionId();
  await make({ id: other, ttlSeconds: 60, ...(subject !== undefined && { subject }) });
  await told(other);
  return id;
}

it.each([
  ["three rows", undefined, 3],
  ["five rows with an owner", "alice", 5],
])("a create costs %s, one alarm and one message, the directory's included", async (...given) => {
  const [, subject, rows] = given;
  const id = await idBesideOthers(subject);
  const create = () => make({ id, ...(subject !== undefined && { subject }) });
  expect(await costOf(id, create)).toEqual({ rows, alarms: 1, messages: 1 });
});

it("a create costs no more where its shard has just been woken", async () => {
  const id = await idBesideOthers();
  await evictDurableObject(shardOf(id));
  expect(await costOf(id, () => make({ id }))).toEqual({ rows: 3, alarms: 1, messages: 1 });
});

it.each([undefined, "alice"])("a delete costs three rows (owner: %s)", async (subject) => {
  const id = await idBesideOthers(subject);
  await make({ id, ...(subject !== undefined && { subject }) });
  await told(id);
  const cost = await costOf(id, () => call("DELETE", pathOf(id)));
  expect(cost).toEqual({ rows: 3, alarms: 1, messages: 1 });
});

it("the first use after an eviction tells the directory once more, for a row and no row of the shard's", async () => {
  const id = await idBesideOthers();
  await make({ id });
  await evict(id);
  const use = () => call("GET", pathOf(id));
  // One of the two rows is the touch.
  expect(await costOf(id, use)).toEqual({ rows: 2, alarms: 0, messages: 1 });
  await evict(id);
  expect(await costOf(id, use)).toEqual({ rows: 0, alarms: 0, messages: 0 });
});

it("an idle stream costs a row and an alarm a TTL, and no message to its shard but one a day", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(FAR_TIME);
  const ttlSeconds = 7200;
  const id = await idBesideOthers();
  await make({ id, ttlSeconds });
  const stream = await request("GET", pathOf(id, "/events"));
  const telling: number[] = [];
  for (let ttl = 1; ttl <= 26; ttl++) {
    // Only the connection outlives the hours between two alarms.
    await evict(id);
    vi.setSystemTime(FAR_TIME + ttl * ttlSeconds * 1000);
    const cost = await costOf(id, () => runDurableObjectAlarm(objectOf(id)));
    if (cost.messages > 0) telling.push(ttl);
    // One row more that says what the shard knows, and the shard's.
    const more = cost.messages * 2;
    expect(cost).toEqual({ rows: 1 + more, alarms: 1, messages: cost.messages });
  }
  expect(telling).toEqual([1, 13, 25]);
  await stream.body?.cancel();
});

it("a create asks whether there is a session, and for nothing else of it", async () => {
  const id = crypto.randomUUID();
  const reads = await listReads(id);
  await make({ id });
  expect(reads.filter((key) => key !== "directory")).toEqual(["session"]);
});

it("of a session made again under its id, no event of the last one is left", async () => {
  const { id } = await make();
  await call("POST", pathOf(id, "/events"), { data: "old" });
  await call("DELETE", pathOf(id));
  await make({ id });
  await call("POST", pathOf(id, "/events"), { data: "new" });
  const page = () =>
    call<{ events: { data: string }[] }>("GET", pathOf(id, "/events"), undefined, JSON_PAGE);
  const data = async () => (await page()).json.events.map((event) => event.data);
  expect(await data()).toEqual(["new"]);
  await evict(id);
  expect(await data()).toEqual(["new"]);
});

it("one publish costs one row, besides the amortised trim", async () => {
  const { id } = await make({ overflow: "trim" });
  const response = await request("GET", pathOf(id, "/events"));
  await call("POST", pathOf(id, "/events"), { data: "the first makes the table" });
  const writes = await countWrites(id);
  const deletedPerPublish: number[] = [];
  for (let n = 0; n < EVENTS; n += 100) {
    const before = writes.rowsDeleted;
    await call(
      "POST",
      pathOf(id, "/events"),
      Array.from({ length: 100 }, () => ({ data: "x" })),
    );
    deletedPerPublish.push(writes.rowsDeleted - before);
  }
  expect(writes.rows).toBe(EVENTS);
  expect(writes.alarms).toBe(0);
  expect(writes.rowsDeleted).toBeGreaterThan(0);
  expect(writes.rowsDeleted / EVENTS).toBeLessThan(2);
  expect(deletedPerPublish.filter((deleted) => deleted === 0).length).toBeGreaterThan(
    deletedPerPublish.length / 2,
  );
  await response.body?.cancel();
});

it("a thousand reads in one TTL write at most 20 rows and set at most 20 alarms", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const { id } = await make({ ttlSeconds: 1000 });
  const writes = await countWrites(id);
  const start = Date.now();
  for (let n = 1; n <= 1000; n++) {
    vi.setSystemTime(start + n * 999);
    expect((await call("GET", pathOf(id))).status).toBe(200);
  }
  expect(writes.rows).toBeLessThanOrEqual(20);
  expect(writes.rows).toBeGreaterThan(0);
  expect(writes.alarms).toBeLessThanOrEqual(20);
});

it("touch=false, a miss and a repeated delete write nothing", async () => {
  const { id } = await make();
  const writes = await countWrites(id);
  await call("GET", pathOf(id, "?touch=false"));
  expect([writes.rows, writes.alarms]).toEqual([0, 0]);
  const unknown = crypto.randomUUID();
  const none = await countWrites(unknown);
  for (let n = 0; n < 2; n++) await call("DELETE", pathOf(unknown));
  await call("GET", pathOf(unknown));
  expect([none.rows, none.alarms, none.rowsDeleted]).toEqual([0, 0, 0]);
});

it("a thousand requests for unknown ids leave no storage behind", async () => {
  const ids = Array.from({ length: 100 }, () => crypto.randomUUID());
  const next = ids.values();
  const caller = async () => {
    for (const id of next) {
      await Promise.all([
        call("GET", pathOf(id)),
        call("GET", pathOf(id, "?touch=false")),
        call("GET", pathOf(id, "/events")),
        call("HEAD", pathOf(id)),
        call("PATCH", pathOf(id), { metadata: { a: "b" } }),
        call("POST", pathOf(id, "/events"), { data: 1 }),
        call("POST", pathOf(id, "/events"), [{ data: 1 }]),
        call("POST", pathOf(id, "/disconnect")),
        call("DELETE", pathOf(id)),
        call("DELETE", pathOf(id)),
      ]);
    }
  };
  // Each refusal takes its time, so ten ids are asked for at once.
  await Promise.all(Array.from({ length: 10 }, caller));
  const left = await Promise.all(ids.map(storedBy));
  expect(left).toEqual(ids.map(() => ({ keys: [], tables: [], alarm: null })));
});

it("looking at a session after an eviction writes nothing", async () => {
  const { id } = await make();
  await evict(id);
  const writes = await countWrites(id);
  await call("GET", pathOf(id, "?touch=false"));
  expect(writes.rows).toBe(0);
});
