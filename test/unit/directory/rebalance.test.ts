/** The move of entries after the number of shards was raised: what goes where, and what a failure or an eviction leaves. */
import { beforeEach, expect, it } from "vitest";
import type { SessionId } from "../../../src/core/id.ts";
import { MOVE_SETTLE_MS, REBALANCE_BATCH, REVOCATION_MEMORY_MS } from "../../../src/core/limits.ts";
import type { Revocation, ShardRow } from "../../../src/directory/contract.ts";
import { placementOf } from "../../../src/directory/placement.ts";
import { Rebalance } from "../../../src/directory/rebalance.ts";
import { Revocations } from "../../../src/directory/revocations.ts";
import { ShardIndex } from "../../../src/directory/shard-index.ts";
import { ObjectStorage } from "../../support/object-storage.ts";

const NOW = 1_000_000;

let disk: ObjectStorage;
let index: ShardIndex;
let revocations: Revocations;
let rebalance: Rebalance;
let moved: { shard: number; rows: readonly ShardRow[] }[];
let sent: { shard: number; revocations: readonly Revocation[] }[];
/** Called before a shard takes its part; may throw. */
let onTake: () => unknown;
let askedAmong: number[];

function load(): void {
  const { storage } = disk.open();
  index = new ShardIndex(storage);
  revocations = new Revocations(storage.sql, index, async () => undefined);
  rebalance = new Rebalance(storage.kv, index, revocations, (shards) => {
    askedAmong.push(shards);
    return {
      absorb: async (shard, rows) => {
        await onTake();
        moved.push({ shard, rows });
      },
      absorbRevocations: async (shard, revocations) => {
        await onTake();
        sent.push({ shard, revocations });
      },
    };
  });
}

beforeEach(() => {
  disk = new ObjectStorage();
  [moved, sent, askedAmong] = [[], [], []];
  onTake = () => undefined;
  load();
});

const idOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}` as SessionId;
const ids = Array.from({ length: 2000 }, (_, n) => idOf(n));
/** Ids that this many shards place on the first. */
const here = (shards: number, count: number) =>
  ids.filter((id) => placementOf(id, shards) === 0).slice(0, count);

function hold(held: readonly SessionId[]): void {
  for (const id of held) {
    const entry = { id, type: "mcp", createdAt: 1, expiresAt: 9e15 } as const;
    index.apply({ op: "put", order: 1, entry, dropAt: 9e15 }, NOW);
  }
}

const heldIds = () => index.rowsAfter("", 9999).map(({ id }) => id);
const to = (shards: number) => ({ shard: 0, shards });

async function workToEnd(now = NOW): Promise<number> {
  let batches = 0;
  for (; rebalance.isUnderWay && batches < 99; batches++) await rebalance.work(now);
  return batches;
}

it("learns the number of shards from the first call, and moves for a higher one alone", () => {
  expect(rebalance.seenAt(NOW)).toEqual({ shards: 0, moving: false });
  expect(rebalance.learn(to(4))).toBe(false);
  expect([rebalance.learn(to(4)), rebalance.learn(to(3)), rebalance.isUnderWay]).toEqual([
    false,
    false,
    false,
  ]);
  expect(rebalance.learn(to(5))).toBe(true);
  load();
  expect([rebalance.isUnderWay, rebalance.seenAt(NOW)]).toEqual([
    true,
    { shards: 5, moving: true },
  ]);
});

it("has nothing to do without a move", async () => {
  hold(ids.slice(0, 20));
  await expect(rebalance.work(NOW)).resolves.toBeUndefined();
  rebalance.learn(to(4));
  await expect(rebalance.work(NOW)).resolves.toBeUndefined();
  expect([moved, heldIds().length]).toEqual([[], 20]);
});

it("moves each misplaced row to its shard, drops it here, and keeps the others", async () => {
  rebalance.learn(to(2));
  const held = here(2, 40);
  hold(held);
  rebalance.learn(to(4));
  expect(await workToEnd()).toBe(1);
  const stay = held.filter((id) => placementOf(id, 4) === 0);
  expect(heldIds()).toEqual(stay.toSorted());
  expect(stay.length).toBeLessThan(40);
  for (const { shard, rows } of moved) {
    expect(shard).toBeGreaterThanOrEqual(2);
    for (const { id } of rows) expect(placementOf(id, 4)).toBe(shard);
  }
  expect(moved.flatMap(({ rows }) => rows)).toHaveLength(40 - stay.length);
  expect(new Set(askedAmong)).toEqual(new Set([4]));
});

it("works in batches, goes on after an eviction, and says for a while that it moved", async () => {
  rebalance.learn(to(1));
  const held = ids.slice(0, REBALANCE_BATCH * 2);
  hold(held);
  rebalance.learn(to(2));
  await rebalance.work(NOW);
  expect(
    moved.flatMap(({ rows }) => rows).every(({ id }) => id <= held[REBALANCE_BATCH - 1]!),
  ).toBe(true);
  load();
  expect(rebalance.isUnderWay).toBe(true);
  // Two full batches, and one that finds no more.
  expect(await workToEnd()).toBe(2);
  expect(heldIds()).toEqual(held.filter((id) => placementOf(id, 2) === 0));
  load();
  expect(rebalance.seenAt(NOW + MOVE_SETTLE_MS - 1)).toEqual({ shards: 2, moving: true });
  expect(rebalance.seenAt(NOW + MOVE_SETTLE_MS)).toEqual({ shards: 2, moving: false });
});

it("keeps every row that the other shard did not take, and moves it the next time", async () => {
  rebalance.learn(to(1));
  hold(ids.slice(0, 20));
  rebalance.learn(to(2));
  onTake = () => {
    throw new Error("down");
  };
  await expect(rebalance.work(NOW)).rejects.toThrow("down");
  expect([heldIds().length, rebalance.isUnderWay]).toEqual([20, true]);
  onTake = () => undefined;
  await workToEnd();
  expect(heldIds().length + moved.flatMap(({ rows }) => rows).length).toBe(20);
});

it("keeps a row that a message changed while it was moved", async () => {
  rebalance.learn(to(1));
  const id = ids.find((each) => placementOf(each, 2) === 1)!;
  hold([id]);
  rebalance.learn(to(2));
  onTake = () => {
    const entry = { id, type: "sse", createdAt: 1, expiresAt: 9e15 } as const;
    index.apply({ op: "put", order: 2, entry, dropAt: 9e15 }, NOW);
  };
  await rebalance.work(NOW);
  expect(heldIds()).toEqual([id]);
});

it("starts again from the first id when a further shard is heard of in the middle of a batch", async () => {
  rebalance.learn(to(1));
  hold(ids.slice(0, 60));
  rebalance.learn(to(2));
  onTake = () => void rebalance.learn(to(3));
  await rebalance.work(NOW);
  expect([rebalance.isUnderWay, rebalance.seenAt(NOW).shards]).toEqual([true, 3]);
  onTake = () => undefined;
  await workToEnd();
  expect(heldIds().every((id) => placementOf(id, 3) === 0)).toBe(true);
});

it("sends its revocations to the new shards before any row, page by page and not again", async () => {
  rebalance.learn(to(2));
  hold(here(2, 40));
  for (let n = 0; n < REBALANCE_BATCH + 1; n++) revocations.begin(`subject ${n}`, n, NOW);
  rebalance.learn(to(4));
  await rebalance.work(NOW);
  expect(sent.map(({ shard }) => shard)).toEqual([2, 3]);
  expect(sent[0]!.revocations).toHaveLength(REBALANCE_BATCH);
  load();
  await rebalance.work(NOW);
  expect(sent.slice(2).map(({ shard, revocations }) => [shard, revocations.length])).toEqual([
    [2, 1],
    [3, 1],
  ]);
  expect(moved).toEqual([]);
  await rebalance.work(NOW);
  expect([sent.length, moved.length > 0, rebalance.isUnderWay]).toEqual([4, true, false]);
});

it("sends its revocations again where the others may have forgotten them", async () => {
  rebalance.learn(to(1));
  hold(ids.slice(0, REBALANCE_BATCH * 2));
  revocations.begin("alice", 1, NOW);
  rebalance.learn(to(2));
  await rebalance.work(NOW);
  await rebalance.work(NOW + REVOCATION_MEMORY_MS / 2 - 1);
  expect(sent).toHaveLength(1);
  await rebalance.work(NOW + REVOCATION_MEMORY_MS / 2);
  expect(sent).toHaveLength(2);
});

it("sends them anew where a further move begins while they are sent", async () => {
  rebalance.learn(to(1));
  revocations.begin("alice", 1, NOW);
  rebalance.learn(to(2));
  onTake = () => void rebalance.learn(to(3));
  await rebalance.work(NOW);
  onTake = () => undefined;
  sent = [];
  await rebalance.work(NOW);
  expect(sent.map(({ shard }) => shard)).toEqual([1, 2]);
});

it("sends them to the shards of both moves where one begins before the other has ended", async () => {
  rebalance.learn(to(1));
  revocations.begin("alice", 1, NOW);
  rebalance.learn(to(2));
  rebalance.learn(to(3));
  await rebalance.work(NOW);
  expect(sent.map(({ shard }) => shard)).toEqual([1, 2]);
  await workToEnd();
  sent = [];
  rebalance.learn(to(4));
  await rebalance.work(NOW);
  expect(sent.map(({ shard }) => shard)).toEqual([3]);
});

it("sends them to the shards since the earliest of such moves, and to all where an older version did not store which", async () => {
  const stored = { shard: 0, shards: 3, movedThrough: "" };
  for (const [layout, shards] of [
    [{ ...stored, movedFrom: 2 }, [2, 3]],
    [stored, [1, 2, 3]],
  ] as const) {
    disk.put("layout", layout);
    load();
    revocations.begin("alice", 1, NOW);
    rebalance.learn(to(4));
    sent = [];
    await rebalance.work(NOW);
    expect(sent.map(({ shard }) => shard)).toEqual(shards);
  }
});

it("sends them to every shard but itself", async () => {
  const at = (shards: number) => ({ shard: 3, shards });
  rebalance.learn(at(5));
  revocations.begin("alice", 1, NOW);
  const others = ids.find((id) => placementOf(id, 5) !== 3)!;
  rebalance.absorbed(at(2), [{ id: others, order: 1, dropAt: 9e15 }]);
  await rebalance.work(NOW);
  expect(sent.map(({ shard }) => shard)).toEqual([2, 4]);
});

it("sends a caller elsewhere that knows of fewer shards, where the key is not this shard's", () => {
  const [mine, others] = [here(4, 1)[0]!, ids.find((id) => placementOf(id, 4) !== 0)!];
  expect(rebalance.elsewhere(to(1), others)).toBeUndefined();
  rebalance.learn(to(4));
  expect(rebalance.elsewhere(to(1), others)).toEqual({ kind: "elsewhere", shards: 4 });
  expect(rebalance.elsewhere(to(1), mine)).toBeUndefined();
  expect(rebalance.elsewhere(to(4), others)).toBeUndefined();
});

it("moves rows on that came from a shard which knew of fewer, and no row that is in its place", async () => {
  const rowOf = (id: SessionId): ShardRow => ({ id, order: 1, dropAt: 9e15 });
  const [mine, others] = [here(4, 1)[0]!, ids.find((id) => placementOf(id, 4) === 3)!];
  rebalance.absorbed(to(2), [rowOf(others)]);
  rebalance.learn(to(4));
  rebalance.absorbed(to(2), [rowOf(mine)]);
  rebalance.absorbed(to(4), [rowOf(others)]);
  expect(rebalance.isUnderWay).toBe(false);
  index.absorb([rowOf(mine), rowOf(others)]);
  revocations.begin("alice", 1, NOW);
  rebalance.absorbed(to(3), [rowOf(mine), rowOf(others)]);
  await workToEnd();
  expect(moved).toEqual([{ shard: 3, rows: [rowOf(others)] }]);
  expect(sent.map(({ shard }) => shard)).toEqual([3]);
  expect(heldIds()).toEqual([mine]);
});
