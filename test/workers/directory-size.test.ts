/**
 * What the directory reads and does where it is large. Rows are counted by the
 * storage itself (`rowsRead`); what the platform bills beside them is not proved.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, it, vi } from "vitest";
import type { RevokeIf } from "../../src/directory/contract.ts";
import { DirectoryObject } from "../../src/directory/directory-object.ts";
import { Revocations } from "../../src/directory/revocations.ts";
import { ShardIndex } from "../../src/directory/shard-index.ts";
import { newSessionId } from "../../src/session/id.ts";
import { REVOKE_BATCH } from "../../src/session/limits.ts";
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
import { objectOf } from "../support/object.ts";

/** Milliseconds: a loaded machine takes several times what an idle one does. */
vi.setConfig({ testTimeout: 30_000 });

const ENTRIES = 100_000;
const START = 1_800_000_000_000;

/** Entries of three types and twenty subjects, written at once: how they got there is other tests' matter. */
function fill(stub: DurableObjectStub<DirectoryObject>, from: number) {
  return runInDurableObject(stub, (_object, { storage: { sql } }) => {
    sql.exec(
      `WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ? - 1)
       INSERT INTO entries (id, ord, type, subject, created, expires, drop_at)
       SELECT printf('%08x-0000-4000-8000-%012x', ?, n), 1,
         CASE n % 3 WHEN 0 THEN 'mcp' WHEN 1 THEN 'sse' ELSE 'streamable' END,
         'subject-' || (n % 20), ? + n * 10, ? + n * 10, ? * 2 FROM numbers`,
      ENTRIES / SHARDS,
      from,
      START,
      START,
      START,
    );
    sql.exec(
      "INSERT INTO counts SELECT '', json_group_array(json_array(type, n)) FROM (SELECT type, count(*) AS n FROM entries GROUP BY type)",
    );
    sql.exec(
      "INSERT INTO counts SELECT subject, json_group_array(json_array(type, n)) FROM (SELECT subject, type, count(*) AS n FROM entries GROUP BY subject, type) GROUP BY subject",
    );
  });
}

it("reads at most 64 rows per shard for a page of 50 out of 100,000, and one to count", async () => {
  let next = 0;
  await directory().count({});
  await eachShard((stub) => fill(stub, next++));
  expect(await counted()).toBe(ENTRIES);

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
  for (const filter of [{}, { subject }, { type: "sse" }, deep]) {
    const { read } = await rowsUsed(shard(0), () => directory().count(filter));
    expect(read).toBe(1);
  }
});

it("costs a shard six rows for a new entry, four where it has no subject", async () => {
  const stub = shard(100);
  const put = (order: number, subject?: string) =>
    stub.deliver(
      // The only one, so that no entry is misplaced, which it would hand over meanwhile.
      { shard: 0, shards: 1 },
      {
        op: "put",
        order,
        dropAt: START * 2,
        entry: {
          id: newSessionId(),
          type: "mcp",
          createdAt: START,
          expiresAt: START,
          ...(subject !== undefined && { subject }),
        },
      },
    );
  await put(1, "a");
  const withSubject = await rowsUsed(stub, () => put(2, "a"));
  const without = await rowsUsed(stub, () => put(3));
  expect([withSubject.written, without.written]).toEqual([6, 4]);
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

it("goes on with a revocation by the shards' own alarms, and ends who is told of late", async () => {
  const subject = crypto.randomUUID();
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(START);
  const ids: string[] = [];
  for (let n = 0; n < 30; n++) {
    ids.push((await make({ subject })).id);
  }
  await allTold(ids);
  // The answer goes out before anything has ended: the object is gone right after it took the wish.
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
