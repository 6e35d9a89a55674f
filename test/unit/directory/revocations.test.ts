/** Revocations over SQLite: which sessions they end, page by page, after failures, evictions and moves. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { SessionId } from "../../../src/core/id.ts";
import { FIRST_RESEND_MS, REVOCATION_MEMORY_MS, REVOKE_BATCH } from "../../../src/core/limits.ts";
import type { DirectoryEntry, RevokeIf } from "../../../src/directory/contract.ts";
import { Revocations } from "../../../src/directory/revocations.ts";
import { ShardIndex } from "../../../src/directory/shard-index.ts";
import { ObjectStorage } from "../../support/object-storage.ts";

const NOW = 1_000_000;

let disk: ObjectStorage;
let index: ShardIndex;
let revocations: Revocations;
let ended: [id: string, condition: RevokeIf][];
/** Called for each session that is ended; may throw. */
let onEnd: (n: number) => unknown;

/** The shard comes back after an eviction, with what it has stored. */
function load(): void {
  const { storage } = disk.open();
  index = new ShardIndex(storage);
  revocations = new Revocations(storage.sql, index, async (id, condition) => {
    await onEnd(Number(id.slice(-12)));
    ended.push([id, condition]);
  });
}

beforeEach(() => {
  vi.spyOn(Math, "random").mockReturnValue(0);
  disk = new ObjectStorage();
  ended = [];
  onEnd = () => undefined;
  load();
});

afterEach(() => vi.restoreAllMocks());

const idOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}` as SessionId;

function entryOf(n: number, subject = "alice", createdAt = n): DirectoryEntry {
  return { id: idOf(n), type: "mcp", subject, createdAt, expiresAt: 9e15 };
}

const list = (entry: DirectoryEntry) =>
  index.apply({ op: "put", order: 1, entry, dropAt: 9e15 }, NOW);
const endedIds = () => ended.map(([id]) => id).toSorted();

it("ends each session of the subject made up to that time, once, and no other", async () => {
  for (const n of [1, 2, 3]) list(entryOf(n));
  list(entryOf(4, "bob", 1));
  revocations.begin("alice", 2, NOW);
  expect(revocations.nextWork()).toBe(NOW);
  await revocations.work(NOW - 1);
  expect(ended).toEqual([]);
  await revocations.work(NOW);
  const condition = { subject: "alice", createdBy: 2 };
  expect(ended.toSorted()).toEqual([
    [idOf(1), condition],
    [idOf(2), condition],
  ]);
  expect([index.count({ subject: "alice" }), index.count({ subject: "bob" })]).toEqual([1, 1]);
  await revocations.work(NOW);
  expect(ended).toHaveLength(2);
  expect(revocations.nextWork()).toBe(NOW + REVOCATION_MEMORY_MS);
});

it("goes on page by page, also where all of a page's sessions were made in one millisecond", async () => {
  for (let n = 1; n <= 2 * REVOKE_BATCH + 1; n++) list(entryOf(n, "alice", 5));
  revocations.begin("alice", 5, NOW);
  const after: number[] = [];
  for (let page = 0; page < 3; page++) {
    await revocations.work(NOW);
    after.push(ended.length);
  }
  expect(after).toEqual([REVOKE_BATCH, 2 * REVOKE_BATCH, 2 * REVOKE_BATCH + 1]);
  expect(new Set(endedIds()).size).toBe(2 * REVOKE_BATCH + 1);
});

it("goes on from its row after an eviction between two pages", async () => {
  for (let n = 1; n <= REVOKE_BATCH + 5; n++) list(entryOf(n));
  revocations.begin("alice", 9999, NOW);
  await revocations.work(NOW);
  load();
  expect(revocations.nextWork()).toBe(NOW);
  await revocations.work(NOW);
  expect(new Set(endedIds()).size).toBe(REVOKE_BATCH + 5);
  expect(index.count({})).toBe(0);
});

it("tries again later where a session could not be ended, after it has tried all the others", async () => {
  for (let n = 1; n <= REVOKE_BATCH + 1; n++) list(entryOf(n));
  onEnd = (n) => {
    if (n === REVOKE_BATCH + 1) throw new Error("down");
  };
  revocations.begin("alice", 9999, NOW);
  await revocations.work(NOW);
  await revocations.work(NOW);
  expect(ended).toHaveLength(REVOKE_BATCH);
  const next = NOW + FIRST_RESEND_MS;
  expect(revocations.nextWork()).toBe(next);
  onEnd = () => undefined;
  await revocations.work(next);
  expect(index.count({})).toBe(0);
  expect(revocations.nextWork()).toBe(NOW + REVOCATION_MEMORY_MS);
});

it("tries each session of a page once before it tries again, and waits longer the longer it has failed", async () => {
  for (let n = 1; n <= REVOKE_BATCH + 1; n++) list(entryOf(n));
  let tries = 0;
  onEnd = () => {
    tries++;
    throw new Error("down");
  };
  revocations.begin("alice", 9999, NOW);
  const later = NOW + 10 * FIRST_RESEND_MS;
  await revocations.work(later);
  await revocations.work(later);
  expect(tries).toBe(REVOKE_BATCH + 1);
  expect(revocations.nextWork()).toBe(later + 10 * FIRST_RESEND_MS);
});

it("leaves an entry alone of which a message came while its session was ended", async () => {
  list(entryOf(1));
  onEnd = () => {
    index.apply({ op: "put", order: 2, entry: entryOf(1, "alice", 50), dropAt: 9e15 }, NOW);
  };
  revocations.begin("alice", 10, NOW);
  await revocations.work(NOW);
  expect(index.page({}, undefined, 9, NOW)).toEqual([entryOf(1, "alice", 50)]);
});

it("ends a session whose entry comes late, for as long as it remembers", async () => {
  revocations.begin("alice", 10, NOW);
  await revocations.work(NOW);
  expect(revocations.catches(entryOf(11), NOW + 5)).toBe(false);
  expect(revocations.catches(entryOf(1, "bob"), NOW + 5)).toBe(false);
  const { subject: _, ...nobodys } = entryOf(1);
  expect(revocations.catches(nobodys, NOW + 5)).toBe(false);
  expect(revocations.nextWork()).toBe(NOW + REVOCATION_MEMORY_MS);
  list(entryOf(10));
  expect(revocations.catches(entryOf(10), NOW + 5)).toBe(true);
  expect(revocations.nextWork()).toBe(NOW + 5);
  await revocations.work(NOW + 5);
  expect(endedIds()).toEqual([idOf(10)]);
  await revocations.work(NOW + REVOCATION_MEMORY_MS);
  expect([revocations.known("", 9), revocations.nextWork()]).toEqual([[], undefined]);
  expect(revocations.catches(entryOf(10), NOW)).toBe(false);
});

it("starts again from the top when an entry comes late in the middle of its walk", async () => {
  for (let n = 1; n <= REVOKE_BATCH; n++) list(entryOf(n));
  revocations.begin("alice", 9999, NOW);
  await revocations.work(NOW);
  list(entryOf(9000));
  expect(revocations.catches(entryOf(9000), NOW)).toBe(true);
  await revocations.work(NOW);
  expect(endedIds()).toContain(idOf(9000));
});

it("starts again from the top when the subject is revoked again while a page is ended", async () => {
  for (let n = 1; n <= 2; n++) list(entryOf(n));
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  onEnd = () => {
    begun.resolve();
    return go.promise;
  };
  revocations.begin("alice", 5, NOW);
  const first = revocations.work(NOW);
  await begun.promise;
  list(entryOf(8));
  revocations.begin("alice", 8, NOW + 1);
  go.resolve();
  await first;
  expect(revocations.nextWork()).toBe(NOW + 1);
  await revocations.work(NOW + 1);
  expect(endedIds()).toContain(idOf(8));
});

it("keeps the later of two times, and does the work of the earlier due first", async () => {
  revocations.begin("alice", 9, NOW);
  revocations.begin("alice", 5, NOW + 1);
  revocations.begin("bob", 7, NOW);
  expect(revocations.known("", 9)).toEqual([
    { subject: "alice", at: 9 },
    { subject: "bob", at: 7 },
  ]);
  expect(revocations.known("alice", 9)).toEqual([{ subject: "bob", at: 7 }]);
  expect(revocations.known("", 1)).toEqual([{ subject: "alice", at: 9 }]);
  await revocations.work(NOW + 1);
  expect(revocations.nextWork()).toBe(NOW + 1);
});

it("does nothing for a subject that is not revoked", async () => {
  list(entryOf(1));
  await expect(revocations.workOn("alice", NOW)).resolves.toBeUndefined();
  expect([ended, revocations.nextWork()]).toEqual([[], undefined]);
});

it("begins what another shard revoked later, and remembers the rest for as long again", async () => {
  revocations.begin("alice", 9, NOW);
  revocations.begin("bob", 9, NOW);
  await revocations.work(NOW);
  await revocations.work(NOW);
  const later = NOW + 1000;
  revocations.absorb(
    [
      { subject: "alice", at: 9 },
      { subject: "bob", at: 10 },
      { subject: "carol", at: 1 },
    ],
    later,
  );
  expect(revocations.known("", 9).map(({ at }) => at)).toEqual([9, 10, 1]);
  expect(revocations.nextWork()).toBe(later);
  await revocations.work(later);
  await revocations.work(later);
  expect(revocations.nextWork()).toBe(later + REVOCATION_MEMORY_MS);
  await revocations.work(NOW + REVOCATION_MEMORY_MS);
  expect(revocations.known("", 9)).toHaveLength(3);
});
