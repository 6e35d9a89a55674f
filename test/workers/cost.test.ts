/**
 * The cost of each call, counted through the storage API; docs/delivery.md has the
 * table. The count is of requests to the storage, and does not prove the bill.
 */
import { expect, it, vi, afterEach } from "vitest";
import { call, make, pathOf, request } from "../support/call.ts";
import { countWrites, evict, listReads, storedBy, told } from "../support/object.ts";

afterEach(() => void vi.useRealTimers());

const JSON_PAGE = { accept: "application/json" };

/** Some more than the log holds (`LOG_MAX_EVENTS`), so that it is trimmed. */
const EVENTS = 13_000;

it("a create costs four rows: the record, the alarm, and both again when the directory knows", async () => {
  const id = crypto.randomUUID();
  const writes = await countWrites(id);
  await make({ id });
  await told(id);
  expect([writes.rows, writes.alarms]).toEqual([2, 2]);
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
