/** A shard's object: when its alarm comes, whatever fails, hangs or dies, and what its work leaves. */
import { expect, it } from "vitest";
import type { SessionId } from "../../../src/core/id.ts";
import {
  FIRST_RESEND_MS,
  REMOVAL_MEMORY_MS,
  SHARD_RETRY_MS,
  SWEEP_INTERVAL_MS,
} from "../../../src/core/limits.ts";
import type { DirectoryEntry, ShardRow } from "../../../src/directory/contract.ts";
import { placementOf } from "../../../src/directory/placement.ts";
import { startPlatform } from "../../support/platform/platform.ts";

const idOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}` as SessionId;
const FAR = 9e15;
const hung = <T>() => new Promise<T>(() => undefined);

/** One shard of so many, with a session of alice's. */
async function holding(shards = 1) {
  const platform = startPlatform({ DIRECTORY_SHARDS: String(shards) });
  const shard = platform.shard(0);
  const to = { shard: 0, shards };
  const entry: DirectoryEntry = {
    id: Array.from({ length: 99 }, (_, n) => idOf(n)).find((id) => placementOf(id, shards) === 0)!,
    type: "mcp",
    subject: "alice",
    createdAt: Date.now(),
    expiresAt: FAR,
  };
  const put = (more: Partial<DirectoryEntry> = {}, dropAt = FAR) => {
    const message = { op: "put", order: Date.now(), entry: { ...entry, ...more }, dropAt };
    const answer = shard.call("deliver", [to, message]);
    return platform.pass(100).then(() => answer);
  };
  const count = async () => ((await shard.call("count", [to, {}])) as { count: number }).count;
  const revoke = () => shard.call("revoke", [to, "alice", Date.now()]);
  await put();
  return { platform, shard, to, entry, put, count, revoke };
}

it("goes on with a revocation by its alarm where it died in the first batch", async () => {
  const { platform, shard, count, revoke } = await holding();
  platform.intercept = (call, go) => (call.endsWith(" remove") ? hung() : go());
  const revoked = revoke();
  await platform.pass(100);
  shard.kill();
  await expect(revoked).rejects.toThrow("died");
  platform.intercept = (_call, go) => go();
  expect(await count()).toBe(1);
  await platform.pass(SHARD_RETRY_MS);
  expect(await count()).toBe(0);
});

it("and where it dies in the work of the alarm more often than the platform tries an alarm", async () => {
  const { platform, shard, count, revoke } = await holding();
  platform.intercept = (call, go) =>
    call.endsWith(" remove") ? Promise.reject(new Error("down")) : go();
  await revoke();
  let tries = 0;
  platform.intercept = (call, go) => (call.endsWith(" remove") ? (tries++, hung()) : go());
  for (let n = 0; n < 8; n++) {
    await platform.pass(Math.max(SHARD_RETRY_MS, 2 * FIRST_RESEND_MS));
    shard.kill();
    await platform.pass(0);
  }
  expect(tries).toBe(8);
  platform.intercept = (_call, go) => go();
  await platform.pass(SHARD_RETRY_MS);
  expect(await count()).toBe(0);
});

it("wakes after a revocation that is done to forget what it has ended, and no sooner", async () => {
  const { shard, count, revoke } = await holding();
  await revoke();
  expect([await count(), shard.disk.alarm]).toEqual([0, Date.now() + REMOVAL_MEMORY_MS]);
});

it("ends a session of a revoked subject whose entry comes late, at once", async () => {
  const { count, revoke, put, entry } = await holding();
  await revoke();
  await put({ id: idOf(100), createdAt: entry.createdAt - 1 });
  expect(await count()).toBe(0);
});

it("ends one too that another shard moves here", async () => {
  const { platform, shard, to, count, revoke, entry } = await holding();
  await revoke();
  const moved: ShardRow = {
    id: idOf(100),
    order: 1,
    dropAt: FAR,
    entry: { ...entry, id: idOf(100) },
  };
  await shard.call("absorb", [to, [moved]]);
  expect(await count()).toBe(1);
  await platform.pass(0);
  expect(await count()).toBe(0);
});

it("waits before it tries a move again that another shard did not take", async () => {
  const { platform, shard, to, entry, count } = await holding();
  const misplaced = Array.from({ length: 99 }, (_, n) => idOf(n)).find(
    (id) => placementOf(id, 2) === 1,
  )!;
  const row: ShardRow = {
    id: misplaced,
    order: 1,
    dropAt: FAR,
    entry: { ...entry, id: misplaced },
  };
  await shard.call("absorb", [to, [row]]);
  const tries: number[] = [];
  platform.intercept = (call, go) => {
    if (call !== "shard-1 absorb") return go();
    tries.push(Date.now());
    return Promise.reject(new Error("down"));
  };
  await shard.call("count", [{ shard: 0, shards: 2 }, {}]);
  const begun = Date.now();
  await platform.pass(0);
  expect([tries, shard.disk.alarm]).toEqual([[begun], begun + SHARD_RETRY_MS]);
  platform.intercept = (_call, go) => go();
  await platform.pass(SHARD_RETRY_MS);
  expect(await count()).toBe(1);
});

it("sweeps no more often than every five seconds, however soon the next entry is to go", async () => {
  const { platform, shard, to, entry, count } = await holding();
  const rows = [1, 2].map((n): ShardRow => {
    const id = idOf(100 + n);
    return { id, order: 1, dropAt: Date.now() + n, entry: { ...entry, id } };
  });
  await shard.call("absorb", [to, rows]);
  expect(shard.disk.alarm).toBe(Date.now() + SWEEP_INTERVAL_MS);
  await platform.pass(SWEEP_INTERVAL_MS);
  expect(await count()).toBe(1);
});

it("gives a place of a type back with the others of that session", async () => {
  const { shard, to } = await holding();
  const admit = (id: string) => shard.call("admitOfType", [to, "bob", "task", id, 1]);
  expect([await admit("1"), await admit("2")]).toEqual([true, false]);
  await shard.call("release", [to, "bob", "1"]);
  expect(await admit("2")).toBe(true);
});
