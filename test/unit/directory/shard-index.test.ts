/** A shard's rows over SQLite: which message wins, what is counted and listed, and what an eviction leaves. */
import fc from "fast-check";
import { beforeEach, expect, it, vi } from "vitest";
import type { SessionId } from "../../../src/core/id.ts";
import { MAX_MERGED_TYPES, REMOVAL_MEMORY_MS } from "../../../src/core/limits.ts";
import type { DirectoryEntry, DirectoryFilter } from "../../../src/directory/contract.ts";
import { compareNewest } from "../../../src/directory/listing.ts";
import { ShardIndex } from "../../../src/directory/shard-index.ts";
import { ObjectStorage } from "../../support/object-storage.ts";

const NOW = 1_000_000;

let disk: ObjectStorage;
let index: ShardIndex;
/** The queries of the shard. */
const asked: [query: string, ...values: string[]][] = [];

/** The shard comes back after an eviction, with what it has stored. */
function load(): void {
  const { storage } = disk.open();
  const { exec } = storage.sql;
  vi.spyOn(storage.sql, "exec").mockImplementation(((...query: (typeof asked)[number]) => {
    asked.push(query);
    return exec(...query);
  }) as never);
  index = new ShardIndex(storage);
  asked.length = 0;
}

/** The statements that `work` sends to the database. */
function queriesOf(work: () => unknown): typeof asked {
  asked.length = 0;
  work();
  return asked.splice(0);
}

const textsOf = (queries: typeof asked) => queries.map(([query]) => query);

/** How the database finds the rows of these queries. */
const plansOf = (queries: typeof asked) =>
  queries.flatMap(([query, ...values]) =>
    disk.run(`EXPLAIN QUERY PLAN ${query}`, ...values).map(({ detail }) => String(detail)),
  );

beforeEach(() => {
  disk = new ObjectStorage();
  load();
});

const idOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}` as SessionId;

function entryOf(n: number, change: Partial<DirectoryEntry> = {}): DirectoryEntry {
  return { id: idOf(n), type: "mcp", subject: "alice", createdAt: n, expiresAt: 99, ...change };
}

const put = (order: number, entry: DirectoryEntry, dropAt = NOW + 1) =>
  index.apply({ op: "put", order, entry, dropAt }, NOW);
const remove = (order: number, n: number) => index.apply({ op: "remove", order, id: idOf(n) }, NOW);
const listed = (filter: DirectoryFilter = {}) => index.page(filter, undefined, 100, NOW);

it("shows an entry as its last message says, with and without a subject", () => {
  const entry = entryOf(1);
  expect(put(5, entry)).toEqual({ kind: "taken" });
  load();
  expect(listed()).toEqual([entry]);
  const { subject: _, ...nobodys } = entryOf(1, { type: "sse", createdAt: 7, expiresAt: 8 });
  put(6, nobodys);
  load();
  expect(listed()).toEqual([nobodys]);
  expect([index.count({}), index.count({ type: "sse" }), index.count({ type: "mcp" })]).toEqual([
    1, 1, 0,
  ]);
  expect(index.count({ subject: "alice" })).toBe(0);
});

it("ignores a message that comes late, and says which order it holds", () => {
  put(5, entryOf(1));
  expect(put(4, entryOf(1, { type: "sse" }))).toEqual({ kind: "superseded", by: 5 });
  expect(remove(4, 1)).toEqual({ kind: "superseded", by: 5 });
  expect(listed()).toEqual([entryOf(1)]);
  expect(index.orderOf(idOf(1))).toBe(5);
  expect(index.orderOf(idOf(2))).toBeUndefined();
});

it("takes the same message twice, and of two different ones of one order the first", () => {
  put(5, entryOf(1));
  expect(put(5, entryOf(1))).toEqual({ kind: "taken" });
  expect(remove(5, 1)).toEqual({ kind: "superseded", by: 5 });
  // The session was made again in that millisecond, or used, by an object that had lost its memory.
  const { subject: _, ...nobodys } = entryOf(1);
  const others = [entryOf(1, { createdAt: 2 }), entryOf(1, { expiresAt: 98 }), nobodys];
  for (const other of [...others, entryOf(1, { type: "sse" })]) {
    expect(put(5, other)).toEqual({ kind: "superseded", by: 5 });
  }
  expect(listed()).toEqual([entryOf(1)]);
  expect(index.count({})).toBe(1);
  remove(6, 1);
  expect(remove(6, 1)).toEqual({ kind: "taken" });
  expect(put(6, entryOf(1))).toEqual({ kind: "superseded", by: 6 });
  expect([index.count({}), listed()]).toEqual([0, []]);
});

/** A session with a TTL of 50 that is held open, until 500 at the most. */
const renew = (order: number, entry = entryOf(1)) => {
  const renewal = { everyMs: 50, until: NOW + 500 };
  return index.apply({ op: "put", order, entry, dropAt: NOW + 600, renewal }, NOW);
};
const expiries = (now: number) => index.page({}, undefined, 9, now).map((one) => one.expiresAt);

it("shows an entry that renews itself a TTL ahead, up to its last deadline, after an eviction too", () => {
  put(4, entryOf(1));
  expect(renew(5)).toEqual({ kind: "taken", renews: true });
  load();
  expect([NOW, NOW + 7, NOW + 450, NOW + 451].map(expiries)).toEqual([
    [NOW + 50],
    [NOW + 57],
    [NOW + 500],
    [NOW + 500],
  ]);
  expect(index.nextDrop()).toBe(NOW + 600);
  // The next message has a deadline that is fixed.
  expect(put(6, entryOf(1, { expiresAt: NOW + 60 }))).toEqual({ kind: "taken" });
  expect(expiries(NOW + 7)).toEqual([NOW + 60]);
  renew(7, entryOf(1, { subject: "bob" }));
  expect(expiries(NOW + 7)).toEqual([NOW + 57]);
  put(8, entryOf(1, { expiresAt: NOW + 60 }));
  expect(expiries(NOW + 7)).toEqual([NOW + 60]);
});

it("takes the message of a renewal twice, and no other of its order", () => {
  renew(5);
  expect(renew(5)).toEqual({ kind: "taken", renews: true });
  const fixed = entryOf(1, { expiresAt: NOW + 500 });
  expect(put(5, fixed)).toEqual({ kind: "superseded", by: 5 });
  put(6, fixed);
  expect(renew(6)).toEqual({ kind: "superseded", by: 6 });
  expect(expiries(NOW)).toEqual([NOW + 500]);
});

it("hands a renewal over to another shard", () => {
  renew(5);
  const rows = index.rowsAfter("", 9);
  disk = new ObjectStorage();
  load();
  index.absorb(rows);
  expect(index.rowsAfter("", 9)).toEqual(rows);
  expect(expiries(NOW + 7)).toEqual([NOW + 57]);
});

it("adds the column of renewals to the table of the release before, which can still use it", () => {
  const { sql } = disk.open().storage;
  put(4, entryOf(1));
  for (const column of ["renews", "renewed_by"]) {
    sql.exec(`ALTER TABLE entries DROP COLUMN ${column}`);
  }
  load();
  expect(listed()).toEqual([entryOf(1)]);
  renew(5);
  expect(expiries(NOW + 7)).toEqual([NOW + 57]);
  // As that release takes the session's next message.
  sql.exec(
    "UPDATE entries SET ord = 6, expires = ?, drop_at = ? WHERE id = ?",
    NOW + 550,
    NOW + 700,
    idOf(1),
  );
  load();
  // Its TTL has grown meanwhile.
  expect(expiries(NOW + 7)).toEqual([NOW + 550]);
  sql.exec(
    "INSERT INTO entries (id, ord, type, subject, created, expires, drop_at) VALUES (?, 1, 'mcp', NULL, 2, 9, 9)",
    idOf(2),
  );
  expect(expiries(NOW)).toEqual([9, NOW + 550]);
});

it("has the true counts for version 0.1 in place of the counts that it kept", () => {
  const { sql } = disk.open().storage;
  sql.exec("DROP VIEW counts");
  sql.exec("CREATE TABLE counts (subject TEXT PRIMARY KEY, by_type TEXT NOT NULL) WITHOUT ROWID");
  sql.exec("INSERT INTO counts VALUES ('', 'wrong')");
  load();
  put(1, entryOf(1));
  expect(sql.exec("SELECT by_type FROM counts WHERE subject = ''").one()).toEqual({
    by_type: '[["mcp",1]]',
  });
});

it("remembers a removal for a while, so that a late message does not bring the session back", () => {
  put(5, entryOf(1));
  expect(remove(7, 1)).toEqual({ kind: "taken" });
  expect([listed(), index.count({}), index.holds(idOf(1), {})]).toEqual([[], 0, false]);
  expect(index.nextDrop()).toBe(NOW + REMOVAL_MEMORY_MS);
  load();
  expect(put(6, entryOf(1))).toEqual({ kind: "superseded", by: 7 });
  expect(put(8, entryOf(1))).toEqual({ kind: "taken" });
  expect(listed()).toHaveLength(1);
});

it("gives a row back without a trace, unless a later message has come", () => {
  put(5, entryOf(1));
  expect(index.takeBack(idOf(1), 4)).toEqual({ kind: "superseded", by: 5 });
  expect(index.count({})).toBe(1);
  expect(index.takeBack(idOf(1), 5)).toEqual({ kind: "taken" });
  expect([index.count({}), index.orderOf(idOf(1)), index.nextDrop()]).toEqual([
    0,
    undefined,
    Infinity,
  ]);
  expect(index.takeBack(idOf(2), 5)).toEqual({ kind: "taken" });
});

it("absorbs another shard's rows, entries and traces, where it knows of nothing later", () => {
  put(5, entryOf(1));
  put(5, entryOf(2));
  index.absorb([
    { id: idOf(1), order: 5, dropAt: 1, entry: entryOf(1, { type: "sse" }) },
    { id: idOf(2), order: 6, dropAt: 2 },
    { id: idOf(3), order: 1, dropAt: 3, entry: entryOf(3) },
  ]);
  expect(listed()).toEqual([entryOf(3), entryOf(1)]);
  expect(index.count({ type: "mcp" })).toBe(2);
  expect(index.orderOf(idOf(2))).toBe(6);
});

it("forgets an entry after a revocation, unless a message has come since", () => {
  put(5, entryOf(1));
  index.forget(idOf(1), 4, NOW);
  index.forget(idOf(2), 4, NOW);
  expect(index.count({})).toBe(1);
  index.forget(idOf(1), 5, NOW + 3);
  expect([index.count({}), index.orderOf(idOf(1))]).toEqual([0, 5]);
  expect(index.nextDrop()).toBe(NOW + 3 + REMOVAL_MEMORY_MS);
  // The trace is not made anew, which would keep it for ever.
  index.forget(idOf(1), 5, NOW + 4);
  expect(index.nextDrop()).toBe(NOW + 3 + REMOVAL_MEMORY_MS);
  expect(put(5, entryOf(1))).toEqual({ kind: "superseded", by: 5 });
});

it("sweeps rows whose time is up, the oldest first, as many as asked", () => {
  for (const n of [1, 2, 3, 4]) put(n, entryOf(n), 100 * n);
  index.sweep(99, 10);
  expect(index.count({})).toBe(4);
  index.sweep(300, 2);
  expect(listed().map(({ createdAt }) => createdAt)).toEqual([4, 3]);
  expect(index.nextDrop()).toBe(300);
  index.sweep(300, 2);
  expect([index.count({}), index.count({ subject: "alice" }), index.nextDrop()]).toEqual([
    1, 1, 400,
  ]);
});

it("finds the next row to drop without reading all entries, until one of them is to go", () => {
  put(1, entryOf(1), 400);
  remove(2, 2);
  const dropAt = NOW + REMOVAL_MEMORY_MS;
  expect(index.nextDrop()).toBe(400);
  put(3, entryOf(3), 500);
  put(4, entryOf(4), 300);
  const quiet = queriesOf(() => {
    expect(index.nextDrop()).toBe(300);
    index.sweep(299, 10);
    expect(index.nextDrop()).toBe(300);
  });
  expect(textsOf(quiet).join()).not.toContain("IS NOT NULL");
  for (const plan of plansOf(quiet)) expect(plan).toContain("USING");
  index.sweep(300, 10);
  expect([index.nextDrop(), index.count({})]).toEqual([400, 2]);
  index.sweep(500, 10);
  expect([index.nextDrop(), index.count({})]).toEqual([dropAt, 0]);
});

it("gives its rows in the order of ids, after an id, to be moved", () => {
  for (const n of [3, 1, 2]) put(n, entryOf(n), n);
  remove(9, 2);
  expect(index.rowsAfter("", 2)).toEqual([
    { id: idOf(1), order: 1, dropAt: 1, entry: entryOf(1) },
    { id: idOf(2), order: 9, dropAt: NOW + REMOVAL_MEMORY_MS },
  ]);
  expect(index.rowsAfter(idOf(2), 2).map(({ id }) => id)).toEqual([idOf(3)]);
});

it("knows which sessions it holds that fit", () => {
  put(1, entryOf(1));
  const held = (filter: DirectoryFilter) => index.holds(idOf(1), filter);
  expect([held({}), held({ type: "mcp" }), held({ subject: "alice" })]).toEqual([true, true, true]);
  expect([held({ type: "sse" }), held({ subject: "bob" })]).toEqual([false, false]);
  expect(held({ type: "mcp", subject: "bob" })).toBe(false);
  expect(index.holds(idOf(2), {})).toBe(false);
});

it("counts a session without a subject for nobody, and lists it for all", () => {
  put(1, entryOf(1, { subject: "" }));
  expect([index.count({}), index.count({ subject: "" })]).toEqual([1, 0]);
  const { subject: _, ...nobodys } = entryOf(1);
  expect(listed()).toEqual([nobodys]);
});

it("moves a session's counts to its new subject and type, and counts none once it is gone", () => {
  const counts = () =>
    [{}, { type: "mcp" }, { type: "sse" }, { subject: "alice" }, { subject: "bob" }].map((filter) =>
      index.count(filter as DirectoryFilter),
    );
  expect(counts()).toEqual([0, 0, 0, 0, 0]);
  put(1, entryOf(1));
  expect(counts()).toEqual([1, 1, 0, 1, 0]);
  put(2, entryOf(1, { subject: "bob" }));
  expect(counts()).toEqual([1, 1, 0, 0, 1]);
  put(3, entryOf(1, { subject: "bob", type: "sse" }));
  expect(counts()).toEqual([1, 0, 1, 0, 1]);
  remove(4, 1);
  expect(counts()).toEqual([0, 0, 0, 0, 0]);
});

it("shows a session that was made again with its new time, and one that was used with its new deadline", () => {
  put(5, entryOf(1), NOW + 10);
  put(6, entryOf(1, { createdAt: 7 }), NOW + 20);
  put(8, entryOf(1, { createdAt: 7, expiresAt: 100 }), NOW + 30);
  expect(put(7, entryOf(1))).toEqual({ kind: "superseded", by: 8 });
  load();
  expect(listed()).toEqual([entryOf(1, { createdAt: 7, expiresAt: 100 })]);
  expect([index.orderOf(idOf(1)), index.nextDrop()]).toEqual([8, NOW + 30]);
});

it("writes no index for a session that was used", () => {
  put(5, entryOf(1));
  const writes = textsOf(queriesOf(() => put(6, entryOf(1, { expiresAt: 100 }))));
  expect(writes.map((text) => text.split(" ")[0])).toEqual(["SELECT", "UPDATE"]);
});

it("keeps nothing in memory of a change that could not be stored", () => {
  const { storage } = disk.open();
  index = new ShardIndex(storage);
  put(1, entryOf(1), 400);
  expect([index.count({}), index.nextDrop(), listed().length]).toEqual([1, 400, 1]);
  const { transactionSync } = storage;
  const failing = vi.spyOn(storage, "transactionSync").mockImplementation((change) =>
    transactionSync(() => {
      change();
      throw new Error("the disk is full");
    }),
  );
  const types = Array.from({ length: MAX_MERGED_TYPES }, (_, n) => `type ${n}` as "mcp");
  const rows = types.map((type, n) => {
    const entry = entryOf(n + 2, { type });
    return { id: entry.id, order: 1, dropAt: 200, entry };
  });
  expect(() => index.absorb(rows)).toThrow("the disk is full");
  failing.mockRestore();
  expect([index.count({}), index.nextDrop(), listed()]).toEqual([1, 400, [entryOf(1)]]);
  index.absorb(rows);
  expect([index.count({}), index.nextDrop()]).toEqual([MAX_MERGED_TYPES + 1, 200]);
  expect(listed()).toHaveLength(MAX_MERGED_TYPES + 1);
});

it("reads no more rows of a listing than it gives", () => {
  for (let n = 1; n <= 30; n++) put(n, entryOf(n, { type: n % 2 ? "mcp" : "sse" }));
  expect(index.page({}, undefined, 3, NOW).map(({ createdAt }) => createdAt)).toEqual([30, 29, 28]);
  const after = { createdAt: 28, id: idOf(28) };
  expect(index.page({}, after, 2, NOW).map(({ createdAt }) => createdAt)).toEqual([27, 26]);
  expect(index.page({ type: "sse" }, after, 1, NOW)).toEqual([entryOf(26, { type: "sse" })]);
  const filters: DirectoryFilter[] = [{}, { subject: "alice" }, { subject: "alice", type: "sse" }];
  load();
  const pages = () => filters.map((filter) => index.page(filter, after, 2, NOW));
  const plans = plansOf(queriesOf(pages));
  expect(plans.length).toBeGreaterThan(0);
  for (const plan of plans) {
    expect(plan).toContain("USING");
    expect(plan).not.toContain("TEMP B-TREE");
  }
  // The types are read once, also where a session of one of them comes.
  put(31, entryOf(31));
  expect(textsOf(queriesOf(pages)).join()).not.toContain("SELECT type");
});

it("makes the indexes for many types when there are more than a listing merges, and knows them again", () => {
  const typesOf = (count: number) =>
    Array.from({ length: count }, (_, n) =>
      put(n + 1, entryOf(n + 1, { type: `type ${n}` as "mcp" })),
    );
  const madeIndexes = () =>
    disk
      .open()
      .storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'by_subject_created'")
      .toArray().length;
  typesOf(MAX_MERGED_TYPES);
  expect(madeIndexes()).toBe(0);
  typesOf(MAX_MERGED_TYPES + 1);
  expect(madeIndexes()).toBe(1);
  const all = listed();
  expect(all).toHaveLength(MAX_MERGED_TYPES + 1);
  load();
  expect(listed({ subject: "alice" })).toEqual(all);
  typesOf(MAX_MERGED_TYPES + 3);
  expect(listed()).toHaveLength(MAX_MERGED_TYPES + 3);
});

const step = fc.record({
  n: fc.integer({ min: 1, max: 4 }),
  order: fc.nat({ max: 20 }),
  type: fc.constantFrom("mcp", "sse", "task"),
  subject: fc.constantFrom("alice", "bob", undefined),
  kind: fc.constantFrom("put", "remove", "takeBack", "forget", "evict"),
});

it("counts and lists the same sessions, whatever comes in whichever order", () => {
  const filters: DirectoryFilter[] = [
    {},
    { type: "sse" },
    { subject: "alice" },
    { subject: "bob", type: "mcp" },
  ];
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      disk = new ObjectStorage();
      load();
      for (const { n, order, type, subject, kind } of steps) {
        const { subject: _, ...nobodys } = entryOf(n, { type: type as "mcp" });
        const entry = subject === undefined ? nobodys : { ...nobodys, subject };
        if (kind === "put") put(order, entry);
        else if (kind === "remove") remove(order, n);
        else if (kind === "takeBack") index.takeBack(idOf(n), order);
        else if (kind === "forget") index.forget(idOf(n), order, NOW);
        else load();
        // From here on the counters follow in memory.
        index.count({});
      }
      const all = index.rowsAfter("", 100).flatMap(({ entry }) => entry ?? []);
      for (const filter of filters) {
        const fitting = all.filter(
          ({ type, subject }) =>
            (filter.type ?? type) === type && (filter.subject ?? subject) === subject,
        );
        expect(listed(filter)).toEqual(fitting.toSorted(compareNewest));
        expect(index.count(filter)).toBe(fitting.length);
      }
    }),
    { numRuns: 60 },
  );
});
