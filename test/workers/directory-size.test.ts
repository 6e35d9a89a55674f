/**
 * The work of a large directory. The storage itself counts the rows (`rowsRead`); the rest of
 * the bill is not proved.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, it, onTestFinished, vi } from "vitest";
import type { RevokeIf } from "../../src/directory/contract.ts";
import type { SessionId } from "../../src/core/id.ts";
import { DirectoryObject } from "../../src/directory/directory-object.ts";
import { Revocations } from "../../src/directory/revocations.ts";
import { ShardIndex } from "../../src/directory/shard-index.ts";
import { compareNewest } from "../../src/directory/listing.ts";
import { newSessionId } from "../../src/library/model/session.ts";
import { LONGEST_RESEND_MS, REVOKE_BATCH } from "../../src/core/limits.ts";
import { SessionObject } from "../../src/session/session-object.ts";
import { make, pathOf, request } from "../support/call.ts";
import {
  allTold,
  counted,
  directory,
  eachShard,
  rowsUsed,
  shard,
  SHARDS,
} from "../support/directory.ts";
import { FAR_TIME as START } from "../support/far-time.ts";
import { objectOf } from "../support/object.ts";

const ENTRIES = 100_000;
const TYPES = ["mcp", "sse", "streamable"];

/** Entries of some types and twenty subjects, written at once: how they got there is other tests' matter. */
function fill(stub: DurableObjectStub<DirectoryObject>, from: number, types = TYPES) {
  return runInDurableObject(stub, (_object, { storage: { sql } }) => {
    sql.exec(
      `WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ? - 1)
       INSERT INTO entries (id, ord, type, subject, created, expires, drop_at)
       SELECT printf('%08x-0000-4000-8000-%012x', ?, n), 1,
         json_extract(?, '$[' || CAST(n % ? AS INTEGER) || ']'),
         'subject-' || (CAST(n / ? AS INTEGER) % 20), ? + n * 10, ? + n * 10, ? * 2 FROM numbers`,
      ENTRIES / SHARDS,
      from,
      JSON.stringify(types),
      types.length,
      types.length,
      START,
      START,
      START,
    );
  });
}

it("reads at most 64 rows per shard for a page of 50 out of 100,000, and none to count them again", async () => {
  let next = 0;
  await directory().count({});
  await eachShard((stub) => fill(stub, next++));
  // The shards' memory knows of no entry yet.
  await eachShard((stub) => evictDurableObject(stub));

  const second = (await directory().list({ limit: 50 })).cursor ?? "";
  const subject = "subject-7";
  const deep = { type: "sse", subject };
  for (const query of [{}, { cursor: second }, { type: "mcp" }, { subject }, deep]) {
    let page: unknown[] = [];
    const reads: number[] = [];
    for (let n = 0; n < SHARDS; n++) {
      const { read } = await rowsUsed(shard(n), async () => {
        page = [...(await directory().list({ ...query, limit: 50 })).sessions];
      });
      reads.push(read);
    }
    expect(page.length).toBe(50);
    expect(Math.max(...reads)).toBeLessThanOrEqual(64);
    console.log(
      `page ${JSON.stringify(Object.keys(query))}: at most ${Math.max(...reads)} rows a shard`,
    );
  }
  expect(await counted()).toBe(ENTRIES);
  for (const filter of [{}, { type: "sse" }]) {
    expect((await rowsUsed(shard(0), () => directory().count(filter))).read).toBe(0);
  }
  // The shard counts the sessions of a subject each time.
  for (const filter of [{ subject }, deep]) {
    let count = 0;
    const { read } = await rowsUsed(shard(0), async () => {
      count = (await shard(0).count({ shard: 0, shards: SHARDS }, filter)).count;
    });
    expect(read).toBeLessThanOrEqual(count + 1);
  }
});

it.each([4, 5, 40])("reads at most 64 rows in a shard with %i types", async (count) => {
  const n = 120 + count;
  const stub = shard(n);
  const to = { shard: n, shards: SHARDS };
  await stub.count(to, {});
  const types = Array.from({ length: count }, (_, i) => `type-${i}`);
  await fill(stub, 0, types);
  // An ordinary entry, with which the shard sees how many types there are.
  const { entries } = await stub.page(to, { type: "type-0" }, undefined, 1);
  const entry = { ...entries[0]!, id: newSessionId() };
  await stub.deliver(to, { op: "put", order: 1, dropAt: START * 2, entry });
  await evictDurableObject(stub);
  const { subject = "" } = entry;
  const pages: { createdAt: number; id: string }[][] = [];
  for (const filter of [{}, { subject }, { type: "type-1" }]) {
    let after: { createdAt: number; id: string } | undefined;
    for (let page = 0; page < 2; page++) {
      const { read } = await rowsUsed(stub, async () => {
        const { entries } = await stub.page(to, filter, after, 51);
        pages.push(entries.map(({ createdAt, id }) => ({ createdAt, id })));
        after = entries.at(-1);
      });
      expect(pages.at(-1)?.length).toBe(51);
      expect(read).toBeLessThanOrEqual(64);
      console.log(`${count} types, page ${JSON.stringify(filter)}: ${read} rows`);
    }
  }
  const [first = [], second = []] = pages;
  const both = [...first, ...second];
  expect(both).toEqual(both.toSorted(compareNewest));
});

it("takes an empty subject for none", async () => {
  const stub = shard(103);
  const to = { shard: 103, shards: SHARDS };
  const entry = { id: newSessionId(), type: "mcp", createdAt: START, expiresAt: START };
  const put = { op: "put" as const, dropAt: START * 2 };
  await stub.deliver(to, { ...put, order: 1, entry: { ...entry, subject: "" } });
  expect([(await stub.count(to, {})).count, (await stub.count(to, { subject: "" })).count]).toEqual(
    [1, 0],
  );
  expect((await stub.page(to, { subject: "" }, undefined, 9)).entries).toEqual([]);
  expect((await stub.page(to, {}, undefined, 9)).entries).toEqual([entry]);
  await stub.deliver(to, { op: "remove", order: 2, id: entry.id });
  expect((await stub.count(to, {})).count).toBe(0);
});

it("costs a shard three rows for an entry, two without a subject, two for a removal, one for a deadline", async () => {
  const stub = shard(100);
  // The only one, so that no entry is misplaced, which it would hand over meanwhile.
  const to = { shard: 0, shards: 1 };
  const put = (id: SessionId, order: number, subject?: string) => {
    const owner = subject !== undefined && { subject };
    const entry = { id, type: "mcp", createdAt: START, expiresAt: START + order, ...owner };
    return stub.deliver(to, { op: "put", order, dropAt: START * 2, entry });
  };
  const [owned, free] = [newSessionId(), newSessionId()];
  await put(newSessionId(), 1, "a");
  const rows = async (act: () => Promise<unknown>) => (await rowsUsed(stub, act)).written;
  expect(await rows(() => put(owned, 1, "a"))).toBe(3);
  expect(await rows(() => put(free, 1))).toBe(2);
  expect(await rows(() => put(owned, 2, "a"))).toBe(1);
  expect(await rows(() => put(owned, 2, "a"))).toBe(0);
  expect(await rows(() => stub.deliver(to, { op: "remove", order: 3, id: owned }))).toBe(2);
});

it("takes over the tables of version 0.1, and leaves them readable to it", async () => {
  await runInDurableObject(shard(107), (_object, { storage }) => {
    const { sql } = storage;
    for (const name of ["removed", "by_type", "by_subject"]) sql.exec(`DROP INDEX ${name}`);
    sql.exec("DROP VIEW counts");
    for (const column of ["renews", "renewed_by"])
      sql.exec(`ALTER TABLE entries DROP COLUMN ${column}`);
    // As that version makes them, and writes an entry of each kind.
    sql.exec(`
      CREATE INDEX by_type ON entries (type, created DESC, id DESC) WHERE type IS NOT NULL;
      CREATE INDEX by_subject ON entries (subject, type, created DESC, id DESC) WHERE subject IS NOT NULL;
      CREATE INDEX by_drop ON entries (drop_at);
      CREATE TABLE counts (subject TEXT PRIMARY KEY, by_type TEXT NOT NULL) WITHOUT ROWID;
      INSERT INTO entries VALUES ('a', 1, 'mcp', 'alice', 1, 5, ${START}), ('b', 1, 'sse', NULL, 2, 5, ${START}),
        ('c', 1, 'mcp', 'alice', 3, 5, ${START + 9}), ('d', 1, NULL, NULL, 0, 0, ${START});
      INSERT INTO counts VALUES ('', '[["mcp",2],["sse",1]]'), ('alice', '[["mcp",2]]');`);
    const index = new ShardIndex(storage);
    expect(index.page({}, undefined, 9, START).map(({ id }) => id)).toEqual(["c", "b", "a"]);
    expect([index.count({}), index.count({ subject: "alice", type: "mcp" })]).toEqual([3, 2]);
    expect(index.orderOf("d")).toBe(1);
    index.sweep(START, 9);
    expect(index.rowsAfter("", 9).map(({ id }) => id)).toEqual(["c"]);
    expect(index.nextDrop()).toBe(START + 9);
    expect(new ShardIndex(storage).count({})).toBe(1);
    // The statements of that version, if it has the shard again.
    const counts = (subject: string) =>
      sql.exec("SELECT by_type FROM counts WHERE subject = ?", subject).toArray();
    expect(counts("")).toEqual([{ by_type: '[["mcp",1]]' }]);
    expect(counts("alice")).toEqual([{ by_type: '[["mcp",1]]' }]);
    sql.exec("INSERT OR REPLACE INTO counts VALUES ('', '[]')");
    sql.exec("DELETE FROM entries");
    expect([...counts(""), ...counts("alice")]).toEqual([]);
    sql.exec("DELETE FROM counts WHERE subject = ?", "");
  });
});

it("revokes 10,000 sessions in bounded batches, over evictions, and tries again what failed", async () => {
  const subject = "everyone";
  const stub = shard(101);
  await runInDurableObject(stub, async (_object, { storage }) => {
    const index = new ShardIndex(storage);
    for (let n = 0; n < 10_000; n++) {
      const entry = {
        id: newSessionId(),
        type: n % 2 ? "sse" : "mcp",
        subject,
        createdAt: START + n,
        expiresAt: START,
      };
      index.apply({ op: "put", order: 1, dropAt: START * 2, entry }, START);
    }
    const ended = new Set<string>();
    let inBatch = 0;
    let largest = 0;
    const failures = new Set<string>();
    const end = async (id: string, condition: RevokeIf) => {
      expect(condition).toEqual({ subject, createdBy: START + 20_000 });
      largest = Math.max(largest, ++inBatch);
      // One in a hundred fails the first time.
      if (ended.size % 100 === 99 && !failures.has(id) && failures.size < 50) {
        failures.add(id);
        throw new Error("unreachable");
      }
      ended.add(id);
      return true;
    };
    let now = START;
    let batches = 0;
    new Revocations(storage.sql, index, end).begin(subject, START + 20_000, now);
    let revocations = new Revocations(storage.sql, index, end);
    while (index.count({ subject }) > 0 && batches < 300) {
      // A new one knows only what is stored, as after an eviction.
      if (batches % 7 === 6) revocations = new Revocations(storage.sql, index, end);
      inBatch = 0;
      now = Math.max(now, revocations.nextWork() ?? Infinity);
      await revocations.work(now);
      batches++;
    }
    expect([ended.size, index.count({ subject })]).toEqual([10_000, 0]);
    expect(failures.size).toBeGreaterThan(0);
    expect(largest).toBe(REVOKE_BATCH);
    // The one that found nothing more to do has put it to rest.
    await revocations.work(now);
    expect(revocations.nextWork()).toBeGreaterThan(now + 60_000);
  });
});

it("goes on with a revocation by the shards' own alarms, and ends a session that it hears of late", async () => {
  const subject = crypto.randomUUID();
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(START);
  const ids: string[] = [];
  for (let n = 0; n < 30; n++) {
    ids.push((await make({ subject })).id);
  }
  await allTold(ids);
  // The answer goes out before anything has ended: the object is gone right after it stored the revocation.
  const real = Revocations.prototype.workOn;
  vi.spyOn(Revocations.prototype, "workOn").mockImplementation(async () => undefined);
  const down = vi.spyOn(DirectoryObject.prototype, "deliver").mockImplementation(() => {
    throw new Error("shard down");
  });
  const { id: late } = await make({ subject });
  await allTold([late]);
  expect((await directory().revoke(subject, START)).deleted).toBe(30);
  await eachShard((stub) => evictDurableObject(stub));
  vi.spyOn(Revocations.prototype, "workOn").mockImplementation(real);
  down.mockRestore();
  vi.setSystemTime(START + 6000);
  await eachShard((stub) => runDurableObjectAlarm(stub));
  await allTold(ids);
  expect(await counted(`subject=${subject}`)).toBe(0);
  for (const id of ids) expect((await request("GET", pathOf(id))).status).toBe(404);

  expect((await request("GET", pathOf(late, "?touch=false"))).status).toBe(200);
  await runDurableObjectAlarm(objectOf(late));
  await eachShard((stub) => runDurableObjectAlarm(stub));
  expect((await request("GET", pathOf(late))).status).toBe(404);
  vi.restoreAllMocks();
  vi.useRealTimers();
});

it("asks ever more rarely where a session cannot be ended, and at least every six minutes or so", async () => {
  await runInDurableObject(shard(104), async (_object, { storage }) => {
    const index = new ShardIndex(storage);
    const entry = {
      id: newSessionId(),
      type: "mcp",
      subject: "stuck",
      createdAt: START,
      expiresAt: START,
    };
    index.apply({ op: "put", order: 1, dropAt: START * 2, entry }, START);
    let reachable = false;
    const revocations = new Revocations(storage.sql, index, async () => {
      if (!reachable) throw new Error("unreachable");
    });
    let now = START;
    const waits: number[] = [];
    revocations.begin("stuck", START, now);
    for (let tries = 0; tries < 12; tries++) {
      await revocations.work(now);
      const next = revocations.nextWork() ?? 0;
      waits.push(next - now);
      now = next;
    }
    expect(waits[0]).toBeLessThanOrEqual(2500);
    expect(waits.at(-1)).toBeGreaterThanOrEqual(LONGEST_RESEND_MS);
    expect(Math.max(...waits)).toBeLessThanOrEqual(LONGEST_RESEND_MS * 1.25);
    reachable = true;
    await revocations.work(now);
    expect(index.count({ subject: "stuck" })).toBe(0);
  });
});

/** A shard with entries of one subject, whose sessions are no more: to end one is a call all the same. */
async function shardWith(n: number, count: number, subject: string) {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(START);
  onTestFinished(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
  const stub = shard(n);
  const to = { shard: n, shards: SHARDS };
  await stub.count(to, {});
  await runInDurableObject(stub, (_object, { storage }) => {
    const index = new ShardIndex(storage);
    for (let n = 0; n < count; n++) {
      const entry = {
        id: newSessionId(),
        type: "mcp",
        subject,
        createdAt: START,
        expiresAt: START,
      };
      index.apply({ op: "put", order: 1, dropAt: START * 2, entry }, START);
    }
  });
  return {
    stub,
    to,
    // By a stub of its own, since one whose object died stays broken.
    left: async () => (await shard(n).count(to, { subject })).count,
    alarm: () => runInDurableObject(shard(n), (_object, { storage }) => storage.getAlarm()),
  };
}

it("ends a hundred at a time by its own alarm, set for at once, evicted in between", async () => {
  const subject = crypto.randomUUID();
  const { stub, to, left, alarm } = await shardWith(105, 2 * REVOKE_BATCH + 50, subject);
  expect((await stub.revoke(to, subject, START)).count).toBe(250);
  for (const rest of [150, 50]) {
    expect([await left(), await alarm()]).toEqual([rest, START]);
    await evictDurableObject(stub);
    expect(await runDurableObjectAlarm(stub)).toBe(true);
  }
  expect(await left()).toBe(0);
  // The rest (dropping the traces, forgetting the update) has time.
  expect(await alarm()).toBeGreaterThan(START + 60_000);
});

it("goes on after it died in the middle of a batch, the first as well", async () => {
  const subject = crypto.randomUUID();
  const { to, left, alarm } = await shardWith(106, REVOKE_BATCH + 50, subject);
  const dies = async (act: () => Promise<unknown>) => {
    const stuck = vi
      .spyOn(SessionObject.prototype, "remove")
      .mockImplementation(() => new Promise<never>(() => undefined) as never);
    // Never answered: its object is gone.
    void act().catch(() => undefined);
    await expect.poll(() => stuck.mock.calls.length).toBeGreaterThan(0);
    await runInDurableObject(shard(106), (_object, ctx) => ctx.abort("killed by the test")).catch(
      () => undefined,
    );
    stuck.mockRestore();
    expect(await left()).toBe(REVOKE_BATCH + 50);
    // Set by the shard itself; that the platform retries an alarm that failed is not proved here.
    expect(await alarm()).toBeLessThanOrEqual(Date.now() + 5000);
  };
  await dies(() => shard(106).revoke(to, subject, START));
  await dies(() => runDurableObjectAlarm(shard(106)));
  for (let turn = 0; turn < 2; turn++) await runDurableObjectAlarm(shard(106));
  expect(await left()).toBe(0);
});
