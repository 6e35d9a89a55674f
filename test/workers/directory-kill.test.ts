/**
 * A session's object that dies between its own write and the shard's answer. The
 * shards are real; only their answers are held back. test/e2e/directory.test.ts
 * kills the whole process.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { DirectoryObject } from "../../src/directory/directory-object.ts";
import { placementOf } from "../../src/directory/placement.ts";
import { call, make, pathOf, request } from "../support/call.ts";
import { counted, shard, SHARDS, walked } from "../support/directory.ts";
import { FAR_TIME, farClock } from "../support/far-time.ts";
import { evict, kill, objectOf, storedBy, told } from "../support/object.ts";

const start = FAR_TIME;
const at = farClock();

afterEach(() => void vi.restoreAllMocks());

const idsOf = (subject: string) =>
  walked({ subject }).then((entries) => entries.map(({ id }) => id as string));

/** Shards do not answer until they are restored, so that a session can die meanwhile. */
function held(before: boolean) {
  const real = DirectoryObject.prototype.deliver;
  const arrived = Promise.withResolvers<void>();
  const restored = new AbortController();
  // By timers of the shard's own: what awaits nothing else counts as hung, and is cancelled.
  const wait = async () => {
    while (!restored.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  const spy = vi.spyOn(DirectoryObject.prototype, "deliver").mockImplementation(async function (
    this: DirectoryObject,
    ...args: Parameters<typeof real>
  ) {
    if (before) {
      arrived.resolve();
      await wait();
      throw new Error("lost on the way");
    }
    const delivery = await real.apply(this, args);
    arrived.resolve();
    await wait();
    return delivery;
  } as never);
  const restore = () => {
    restored.abort();
    spy.mockRestore();
  };
  return { arrived: arrived.promise, restore };
}

/** Makes a session whose object dies before it knows that a shard took the message, or before one did. */
async function lostAtCreate(subject: string, before: boolean, more: object = {}): Promise<string> {
  const shards = held(before);
  const { id } = await make({ subject, ...more });
  await shards.arrived;
  await kill(id);
  shards.restore();
  return id;
}

describe("an object that dies", () => {
  it("before a shard took a later deadline tells of it while the entry is still listed", async () => {
    const subject = crypto.randomUUID();
    const { id } = await make({ subject, ttlSeconds: 60 });
    await told(id);
    await evict(id);
    const shards = held(true);
    await call("PATCH", pathOf(id), { ttlSeconds: 100_000 });
    await shards.arrived;
    await kill(id);
    shards.restore();
    const wakesAt = () =>
      runInDurableObject(objectOf(id), (_object, { storage }) => storage.getAlarm());
    expect(await wakesAt()).toBe(start + 60_000);
    at(60);
    await runDurableObjectAlarm(objectOf(id));
    const [entry] = await walked({ subject });
    expect(entry?.expiresAt).toBe(start + 100_000_000);
    expect(await wakesAt()).toBe(start + 100_000_000);
  });

  it.each([
    ["before the shard took the message", true],
    ["after the shard took it, before it knew", false],
  ])("%s tells of a new session by its next use", async (_when, before) => {
    const subject = crypto.randomUUID();
    const id = await lostAtCreate(subject, before);
    expect(await idsOf(subject)).toEqual(before ? [] : [id]);
    at(3);
    await call("GET", pathOf(id));
    await told(id);
    expect([await idsOf(subject), await counted(`subject=${subject}`)]).toEqual([[id], 1]);
    expect((await storedBy(id)).alarm).toBe(start + 7200_000);
  });

  it("tells of a new session by the alarm at its deadline, if only a reader holds it open", async () => {
    const subject = crypto.randomUUID();
    const shards = held(true);
    const { id } = await make({ subject });
    const reader = await request("GET", pathOf(id, "/events"));
    await shards.arrived;
    await kill(id);
    shards.restore();
    // The reader's socket is gone with the object.
    await reader.body?.cancel().catch(() => undefined);
    at(7200);
    await runDurableObjectAlarm(objectOf(id));
    expect(await idsOf(subject)).toEqual([id]);
  });

  it("leaves no trace of a session that nobody used", async () => {
    const subject = crypto.randomUUID();
    const id = await lostAtCreate(subject, true);
    at(7200);
    await runDurableObjectAlarm(objectOf(id));
    expect([await idsOf(subject), await storedBy(id)]).toEqual([
      [],
      { keys: [], tables: [], alarm: null },
    ]);
  });

  it("does not hide a session from a revocation, however long ago that was", async () => {
    const subject = crypto.randomUUID();
    const ttlSeconds = 300 * 24 * 3600;
    const id = await lostAtCreate(subject, true, { ttlSeconds });
    at(1);
    expect((await call("DELETE", `/v1/sessions?subject=${subject}`)).json).toEqual({ deleted: 0 });
    at(ttlSeconds - 60);
    const shardOf = () => shard(placementOf(id, SHARDS));
    await runDurableObjectAlarm(shardOf());
    expect((await call("GET", pathOf(id))).status).toBe(200);
    await told(id);
    await runDurableObjectAlarm(shardOf());
    expect((await call("GET", pathOf(id))).status).toBe(404);
  });

  it("after its session was made again tells of that, and not of the first one's end", async () => {
    const [first, second] = [crypto.randomUUID(), crypto.randomUUID()];
    const { id } = await make({ subject: first });
    await told(id);
    const shards = held(true);
    await call("DELETE", pathOf(id));
    await shards.arrived;
    await make({ id, subject: second });
    await kill(id);
    shards.restore();
    expect(await idsOf(first)).toEqual([id]);
    await call("GET", pathOf(id));
    await told(id);
    expect([await idsOf(first), await idsOf(second)]).toEqual([[], [id]]);
    // Nothing of the first is left that a later alarm could take for the session's end.
    await evict(id);
    await runDurableObjectAlarm(objectOf(id));
    await told(id);
    expect([await idsOf(second), (await call("GET", pathOf(id))).status]).toEqual([[id], 200]);
  });

  it.each([
    ["before the shard took the message", true],
    ["after the shard took it, before it knew", false],
  ])("%s tells of the session's end by the alarm set with it", async (_when, before) => {
    const subject = crypto.randomUUID();
    const { id } = await make({ subject });
    await told(id);
    const shards = held(before);
    await call("DELETE", pathOf(id));
    await shards.arrived;
    await kill(id);
    shards.restore();
    expect(await idsOf(subject)).toEqual(before ? [id] : []);
    at(3);
    expect(await runDurableObjectAlarm(objectOf(id))).toBe(true);
    expect(await idsOf(subject)).toEqual([]);
    expect(await storedBy(id)).toEqual({ keys: [], tables: [], alarm: null });
  });
});
