/**
 * The rules that hold while entries move, after DIRECTORY_SHARDS was raised. The number
 * that a test raises stays in force, so each goes on from where the last one ended;
 * sessions themselves go on being configured with the default.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { DirectoryObject } from "../../src/directory/directory-object.ts";
import { placementOf } from "../../src/directory/placement.ts";
import { Rebalance } from "../../src/directory/rebalance.ts";
import { Revocations } from "../../src/directory/revocations.ts";
import { ShardIndex } from "../../src/directory/shard-index.ts";
import { type SessionId } from "../../src/core/id.ts";
import { newSessionId } from "../../src/library/model/session.ts";
import { MOVE_SETTLE_MS, REVOCATION_MEMORY_MS } from "../../src/core/limits.ts";
import { make, pathOf, request } from "../support/call.ts";
import { allTold, directory, shard, SHARDS } from "../support/directory.ts";
import { FAR_TIME } from "../support/far-time.ts";
import { objectOf, told } from "../support/object.ts";

let now = FAR_TIME;
let shards = SHARDS;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(now);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const wait = (seconds: number) => vi.setSystemTime((now += seconds * 1000));

/** The number of shards before and after a raise that the test begins by asking with it. */
function raised(by = 4): { before: number; after: number } {
  const before = shards;
  return { before, after: (shards += by) };
}

/** An id that moves from an old shard to a new one. */
function movingId({ before, after }: { before: number; after: number }): SessionId {
  for (;;) {
    const id = newSessionId();
    if (placementOf(id, after) !== placementOf(id, before)) return id;
  }
}

/** An id that moves with each of two raises, and where it lies before, between and after them. */
function movingTwice(
  first: { before: number; after: number },
  second: { after: number },
): { id: SessionId; places: [number, number, number] } {
  for (;;) {
    const id = movingId(first);
    const places = [first.before, first.after, second.after].map((n) => placementOf(id, n));
    if (new Set(places).size === 3) return { id, places: places as [number, number, number] };
  }
}

const begin = (after: number) => directory(after).count({});

/** Runs every shard's alarm, so often that a few batches of each kind of work are done. */
async function alarms(count: number): Promise<void> {
  for (let round = 0; round < 5; round++) {
    for (let n = 0; n < count; n++) await runDurableObjectAlarm(shard(n));
  }
}

/** Revocations end nobody until the returned function is called. */
function revocationsHeld(): () => void {
  const spy = vi.spyOn(Revocations.prototype, "workOn").mockResolvedValue(undefined);
  return () => spy.mockRestore();
}

const put = (id: SessionId, order: number, subject: string) => {
  const entry = { id, type: "mcp", subject, createdAt: now, expiresAt: now + 60_000 };
  // Longer than any test waits.
  return { op: "put" as const, order, dropAt: now + REVOCATION_MEMORY_MS, entry };
};

const idsIn = async (n: number, known: number, subject: string) => {
  const { entries } = await shard(n).page({ shard: n, shards: known }, { subject }, undefined, 50);
  return entries.map(({ id }) => id);
};

const exists = async (id: string) =>
  (await request("GET", pathOf(id, "?touch=false"))).status === 200;

/** Lets a shard do its work until none is left: no move here takes more than three batches. */
async function runAlarms(n: number): Promise<void> {
  for (let round = 0; round < 3; round++) await runDurableObjectAlarm(shard(n));
}

it("ends those whose revocation had yet to reach them when their entries moved", async () => {
  const { after } = raised();
  const subject = crypto.randomUUID();
  const ids: string[] = [];
  for (let n = 0; n < 24; n++) ids.push((await make({ subject })).id);
  await allTold(ids);
  const release = revocationsHeld();
  expect((await directory(SHARDS).revoke(subject, now)).deleted).toBe(24);
  await begin(after);
  await alarms(after);
  expect((await directory(after).count({ subject })).count).toBe(24);
  release();
  await alarms(after);
  await allTold(ids);
  expect((await Promise.all(ids.map(exists))).filter(Boolean)).toEqual([]);
  expect((await directory(after).count({ subject })).count).toBe(0);
});

it("ends one that moved to a shard whose part of the revocation was done", async () => {
  const raise = raised();
  const subject = crypto.randomUUID();
  const { id } = await make({ subject, id: movingId(raise) });
  await told(id);
  const [from, to] = [placementOf(id, raise.before), placementOf(id, raise.after)];
  let release = revocationsHeld();
  await directory(raise.before).revoke(subject, now);
  await begin(raise.after);
  // In a turn before that of the rows.
  await runDurableObjectAlarm(shard(from));
  expect(await idsIn(from, raise.after, subject)).toEqual([id]);
  release();
  await runAlarms(to);
  release = revocationsHeld();
  await runAlarms(from);
  expect(await idsIn(to, raise.after, subject)).toEqual([id]);
  release();
  await runDurableObjectAlarm(shard(to));
  expect(await exists(id)).toBe(false);
});

it("ends a session that only the new shard knows of, after the move", async () => {
  const raise = raised();
  const subject = crypto.randomUUID();
  const down = vi.spyOn(DirectoryObject.prototype, "deliver").mockImplementation(() => {
    throw new Error("shard down");
  });
  const { id } = await make({ subject, id: movingId(raise) });
  await told(id);
  expect((await directory(raise.before).revoke(subject, now)).deleted).toBe(0);
  await begin(raise.after);
  await alarms(raise.after);
  down.mockRestore();
  wait(10);
  await runDurableObjectAlarm(objectOf(id));
  expect(await idsIn(placementOf(id, raise.after), raise.after, subject)).toEqual([id]);
  await alarms(raise.after);
  expect(await exists(id)).toBe(false);
});

it("moves no entry to a shard that could not be told whom to end", async () => {
  const raise = raised();
  const subject = crypto.randomUUID();
  const id = movingId(raise);
  await directory(raise.before).deliver(put(id, 1, subject));
  const from = placementOf(id, raise.before);
  await directory(raise.before).revoke(crypto.randomUUID(), now);
  const down = vi.spyOn(DirectoryObject.prototype, "absorbRevocations").mockImplementation(() => {
    throw new Error("shard down");
  });
  await begin(raise.after);
  await alarms(raise.after);
  expect(down).toHaveBeenCalled();
  expect(await idsIn(from, raise.after, subject)).toEqual([id]);
  down.mockRestore();
  wait(6);
  await alarms(raise.after);
  expect(await idsIn(from, raise.after, subject)).toEqual([]);
  expect(await idsIn(placementOf(id, raise.after), raise.after, subject)).toEqual([id]);
});

it("tells them again where a move takes so long that they may have forgotten", async () => {
  const raise = raised();
  const subject = crypto.randomUUID();
  const id = movingId(raise);
  await directory(raise.before).deliver(put(id, 1, subject));
  const [from, to] = [placementOf(id, raise.before), placementOf(id, raise.after)];
  await directory(raise.before).revoke("gone", now);
  const down = vi.spyOn(DirectoryObject.prototype, "absorb").mockImplementation(() => {
    throw new Error("shard down");
  });
  const forgetsAt = () =>
    runInDurableObject(shard(to), (_object, { storage: { sql } }) => {
      const query = "SELECT forget_at FROM revocations WHERE subject = 'gone'";
      return sql.exec<{ forget_at: number }>(query).one().forget_at;
    });
  await begin(raise.after);
  await alarms(raise.after);
  expect(await forgetsAt()).toBe(now + REVOCATION_MEMORY_MS);
  wait(REVOCATION_MEMORY_MS / 2000);
  await runDurableObjectAlarm(shard(from));
  expect(await forgetsAt()).toBe(now + REVOCATION_MEMORY_MS);
  down.mockRestore();
  wait(6);
  await alarms(raise.after);
  expect(await idsIn(to, raise.after, subject)).toEqual([id]);
});

it("sends revocations again where an older version noted them as `told`, and then goes on", async () => {
  await runInDurableObject(shard(9_999), async (_object, { storage }) => {
    const told = { since: now, through: "zoe" };
    storage.kv.put("layout", { shard: 0, shards: 9, movedFrom: 8, movedThrough: "", told });
    const index = new ShardIndex(storage);
    const revocations = new Revocations(storage.sql, index, async () => {});
    revocations.begin("alice", now, now);
    const sent: unknown[] = [];
    const rebalance = new Rebalance(storage.kv, index, revocations, () => ({
      absorb: async () => {},
      absorbRevocations: async (place, these) => void sent.push([place, these]),
    }));
    await rebalance.work(now);
    expect(sent).toEqual([[8, [{ subject: "alice", at: now }]]]);
    await rebalance.work(now);
    expect(sent).toHaveLength(1);
    expect(storage.kv.get("layout")).toEqual({ shard: 0, shards: 9, movedAt: now });
  });
});

it("lists an entry that left one shard before it was read and reached the other after that", async () => {
  const raise = raised();
  const subject = crypto.randomUUID();
  const id = movingId(raise);
  await directory(raise.before).deliver(put(id, 1, subject));
  await begin(raise.after);
  const [from, to] = [placementOf(id, raise.before), placementOf(id, raise.after)];
  const real = DirectoryObject.prototype.page;
  const read = new Set<number>();
  vi.spyOn(DirectoryObject.prototype, "page").mockImplementation(async function (
    this: DirectoryObject,
    ...args: Parameters<typeof real>
  ) {
    const n = args[0].shard;
    if (n === from && !read.has(from)) {
      while (!read.has(to)) await new Promise((resolve) => setTimeout(resolve, 1));
      for (let turn = 0; turn < 3; turn++) await this.alarm();
    }
    const page = real.apply(this, args);
    if (!read.has(n)) expect(page.entries).toEqual([]);
    read.add(n);
    return page;
  } as never);
  const { sessions } = await directory(raise.after).list({ subject, limit: 10 });
  expect(sessions.map((entry) => entry.id)).toEqual([id]);
});

it("has listings read twice for a minute after a move, and no longer", async () => {
  const { after } = raised();
  await begin(after);
  const moving = async () =>
    (await shard(0).page({ shard: 0, shards: after }, {}, undefined, 1)).moving;
  expect(await moving()).toBe(true);
  await alarms(after);
  wait(MOVE_SETTLE_MS / 1000 - 1);
  expect(await moving()).toBe(true);
  wait(1);
  expect(await moving()).toBe(false);
});

it("takes an entry back from its old place at once when its session tells the new one", async () => {
  const raise = raised();
  const subject = crypto.randomUUID();
  const id = movingId(raise);
  const client = directory(raise.after);
  const count = async () => (await client.count({ subject })).count;
  await directory(raise.before).deliver(put(id, 1, subject));
  await client.deliver(put(id, 2, subject), raise.before);
  expect(await count()).toBe(1);
  await client.deliver({ op: "remove", order: 3, id }, raise.after);
  expect(await count()).toBe(0);
});

it("takes back no entry that its old place got a later message for, by a clock that was ahead", async () => {
  const raise = raised();
  const subject = crypto.randomUUID();
  const id = movingId(raise);
  const client = directory(raise.after);
  await directory(raise.before).deliver(put(id, 5, subject));
  expect(await client.deliver(put(id, 2, subject), raise.before)).toEqual({
    kind: "superseded",
    by: 5,
  });
  expect(await client.deliver(put(id, 6, subject), raise.before)).toEqual({ kind: "taken" });
  expect((await client.count({ subject })).count).toBe(1);
});

it("keeps an entry that was taken back from its old place, when a later raise moves both", async () => {
  const first = raised(60);
  const second = raised(60);
  const subject = crypto.randomUUID();
  const { id, places } = movingTwice(first, second);
  const [oldest, middle, newest] = places;
  await directory(first.before).deliver(put(id, 1, subject));
  // The oldest has moved what it had before its session tells the one in the middle.
  await idsIn(oldest, first.after, subject);
  await runAlarms(oldest);
  await directory(first.after).deliver(put(id, 2, subject), first.before);
  // The entries that are left in the oldest arrive first.
  for (const from of [oldest, middle]) {
    await idsIn(from, second.after, subject);
    await runAlarms(from);
  }
  expect(await idsIn(middle, second.after, subject)).toEqual([]);
  expect(await idsIn(newest, second.after, subject)).toEqual([id]);
});

it("moves an entry on that came by an earlier raise, after a later one was done", async () => {
  const first = raised(60);
  const second = raised(60);
  const subject = crypto.randomUUID();
  const { id, places } = movingTwice(first, second);
  const [oldest, middle, newest] = places;
  await directory(first.before).deliver(put(id, 1, subject));
  // The shard in the middle is ahead of the oldest, and has moved what it had.
  for (const known of [first.after, second.after]) await idsIn(middle, known, subject);
  await runAlarms(middle);
  await idsIn(oldest, first.after, subject);
  await runAlarms(oldest);
  await runAlarms(middle);
  expect(await idsIn(middle, second.after, subject)).toEqual([]);
  expect(await idsIn(newest, second.after, subject)).toEqual([id]);
});

it("keeps one home for a subject's limit, whatever number a caller knows", async () => {
  const { before, after } = raised(60);
  await begin(after);
  let subject = crypto.randomUUID();
  while (placementOf(subject, before) === placementOf(subject, after)) {
    subject = crypto.randomUUID();
  }
  expect(await directory(after).admit(subject, newSessionId(), 1)).toBe(true);
  expect(await directory(before).admit(subject, newSessionId(), 1)).toBe(false);
});
