/** The cost of keyed publishes, ends, JSON reads and confirmed deliveries, counted through the storage API. */
import { expect, it } from "vitest";
import type { Session } from "../../src/core/api.ts";
import { call, make, pathOf, request } from "../support/call.ts";
import { countWrites, evict, takenBy } from "../support/object.ts";
import { readUntil } from "../support/read-until.ts";
import { SseReader } from "../support/sse-reader.ts";

const publish = (id: string, data: unknown, headers: Record<string, string> = {}) =>
  call<{ id?: string; code?: string }>("POST", pathOf(id, "/events"), { data }, headers);

async function read(id: string, query = "") {
  const response = await request("GET", pathOf(id, `/events${query}`), undefined, {
    accept: "application/json",
  });
  if (response.headers.get("content-type") === "text/event-stream") {
    await response.body?.cancel();
    throw new Error("answered with a stream");
  }
  const json = (await response.json()) as { readonly events: readonly object[] };
  return { status: response.status, json };
}

const look = (id: string) => call<Session>("GET", pathOf(id, "?touch=false"));

const keyed = (key: string) => ({ "idempotency-key": key });

it("a delivery writes no row, for any number of readers", async () => {
  const { id } = await make();
  const readers = [];
  for (let n = 0; n < 5; n++) {
    readers.push(new SseReader((await request("GET", pathOf(id, "/events"))).body!));
  }
  await publish(id, "the first makes the table");
  const writes = await countWrites(id);
  for (let n = 0; n < 20; n++) {
    await publish(id, n);
    for (const reader of readers) await readUntil(reader, String(n));
  }
  // Longer than the bridge waits before it says what its reader took.
  const rest = readers.map((reader) => reader.rest().catch(() => []));
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect([writes.rows, writes.alarms]).toEqual([20, 0]);
  for (const reader of readers) await reader.leave();
  await Promise.all(rest);
});

it.each([
  ["costs one row", false, 1],
  ["costs one more where readers took events since the last row", true, 2],
])("to leave, as the last reader, %s", async (_what, takes, rows) => {
  const { id } = await make();
  const published = await publish(id, "the first makes the table");
  const reader = new SseReader((await request("GET", pathOf(id, "/events"))).body!);
  await reader.until(/the first/);
  const rest = takes ? reader.rest().catch(() => []) : undefined;
  if (takes) await expect.poll(() => takenBy(id)).toEqual([published.json.id]);
  const writes = await countWrites(id);
  await reader.leave();
  await rest;
  await expect.poll(async () => (await look(id)).json.writers).toBe(0);
  expect([writes.rows, writes.alarms]).toEqual([rows, 0]);
});

it("the first call after an eviction reads keys and rows once, and writes nothing", async () => {
  const { id } = await make();
  await publish(id, "a", keyed("b"));
  await evict(id);
  const writes = await countWrites(id);
  await look(id);
  const { rowsRead } = writes;
  // The object reads the last report to the directory as it is loaded, before the counting begins.
  const keys = ["owner", "session", "used-until", "channel"];
  expect([writes.keysRead, writes.rows, writes.alarms]).toEqual([keys, 0, 0]);
  // Two events, and the schema.
  expect(rowsRead).toBeLessThanOrEqual(10);
  await look(id);
  expect([writes.keysRead, writes.rowsRead]).toEqual([keys, rowsRead]);
});

it("a publish without a key costs one row, with a key one more, a repeat none", async () => {
  const { id } = await make();
  await publish(id, "the first makes the table");
  await publish(id, "and the first with a key that of the keys", keyed("first"));
  const writes = await countWrites(id);
  await publish(id, "a");
  expect(writes.rows).toBe(1);
  await publish(id, "b", keyed("b"));
  expect(writes.rows).toBe(3);
  await publish(id, "b", keyed("b"));
  expect((await publish(id, "c", keyed("b"))).json.code).toBe("idempotency_key_reused");
  expect([writes.rows, writes.alarms]).toEqual([3, 0]);
});

it("a JSON read writes nothing, and reads what it gives", async () => {
  const { id } = await make();
  for (let n = 0; n < 50; n++) await publish(id, n);
  const writes = await countWrites(id);
  expect((await read(id, "?limit=10")).json.events).toHaveLength(10);
  expect([writes.rows, writes.alarms]).toEqual([0, 0]);
  expect(writes.rowsRead).toBeLessThanOrEqual(12);
  await read(id, "?wait=0.05");
  expect([writes.rows, writes.alarms]).toEqual([0, 0]);
});

it("the end of a stream costs one row, and to end it again none", async () => {
  const { id } = await make();
  await publish(id, "a");
  const writes = await countWrites(id);
  expect((await call("POST", pathOf(id, "/end"))).status).toBe(202);
  expect([writes.rows, writes.alarms]).toEqual([1, 0]);
  await call("POST", pathOf(id, "/end"));
  expect((await publish(id, "late")).json.code).toBe("stream_ended");
  expect([writes.rows, writes.alarms]).toEqual([1, 0]);
});

it("nothing that is refused leaves a trace", async () => {
  const { id } = await make();
  await publish(id, "a");
  await publish(id, "b", keyed("b"));
  const writes = await countWrites(id);
  const refused = [
    await publish(id, "c", keyed("no key")),
    await publish(id, "c", keyed("b")),
    await read(id, "?after=x"),
    await read(id, "?limit=0"),
    await read(id, "?wait=31"),
    await call("PATCH", pathOf(id), { overflow: "drop" }),
    await call("POST", pathOf(id, "/end"), [{ data: 1 }]),
  ];
  expect(refused.map(({ status }) => status)).toEqual([400, 422, 400, 400, 400, 400, 400]);
  expect([writes.rows, writes.alarms]).toEqual([0, 0]);
});
