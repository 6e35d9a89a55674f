/**
 * Failures between a session and the directory. A shard fails by a method that throws, as a
 * caller sees a real failure. The restart of shards by the platform is not proved here.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { DirectoryEntry } from "../../src/directory/contract.ts";
import { DirectoryObject } from "../../src/directory/directory-object.ts";
import { placementOf } from "../../src/directory/placement.ts";
import { createLogger } from "../../src/logger.ts";
import { AlarmClock } from "../../src/alarm-clock.ts";
import { Outbox } from "../../src/directory/outbox.ts";
import { parseSessionId } from "../../src/core/id.ts";
import { newSessionId } from "../../src/library/model/session.ts";
import { call, make, pathOf, request } from "../support/call.ts";
import type { SessionList } from "../../src/core/api.ts";
import { counted, listed, shard, SHARDS, walked } from "../support/directory.ts";
import { FAR_TIME, farClock } from "../support/far-time.ts";
import { evict, objectOf, storedBy, told } from "../support/object.ts";

const start = FAR_TIME;
const at = farClock();

afterEach(() => void vi.restoreAllMocks());

type Method = "deliver" | "page" | "count" | "revoke";

/** Every shard fails in this method until the mock is restored. */
function failing(method: Method, fails: (shard: number) => boolean = () => true) {
  const real = DirectoryObject.prototype[method] as (...args: unknown[]) => unknown;
  return vi.spyOn(DirectoryObject.prototype, method).mockImplementation(function (
    this: DirectoryObject,
    ...args: unknown[]
  ) {
    const { shard } = args[0] as { shard: number };
    if (fails(shard)) throw new Error("shard down");
    return real.apply(this, args) as never;
  });
}

const idsOf = (subject: string) =>
  walked({ subject }).then((entries) => entries.map(({ id }) => id as string));
const eventsOf = (id: string) =>
  runInDurableObject(objectOf(id), (_object, { storage: { sql } }) => {
    const { count } = sql.exec<{ count: number }>("SELECT count(*) AS count FROM events").one();
    return count;
  });
const shardOf = (id: string) => shard(placementOf(id, SHARDS));

describe("a shard that fails", () => {
  it("delays the entry of a new session, which gets there by the session's own alarm", async () => {
    const subject = crypto.randomUUID();
    const down = failing("deliver");
    const { id } = await make({ subject });
    await told(id);
    expect(down).toHaveBeenCalledTimes(1);
    await evict(id);
    const { alarm } = await storedBy(id);
    expect(alarm).toBeLessThanOrEqual(start + 3000);
    at(3);
    await runDurableObjectAlarm(objectOf(id));
    expect(down).toHaveBeenCalledTimes(2);
    down.mockRestore();
    expect(await idsOf(subject)).toEqual([]);
    at(10);
    await runDurableObjectAlarm(objectOf(id));
    expect(await idsOf(subject)).toEqual([id]);
    expect((await storedBy(id)).alarm).toBe(start + 7200_000);
  });

  it("is asked ever more rarely, and at least every six minutes or so", async () => {
    const down = failing("deliver");
    const { id } = await make({ ttlSeconds: 86_400 });
    const waits: number[] = [];
    for (let tries = 0; tries < 12; tries++) {
      const { alarm } = await storedBy(id);
      waits.push((alarm ?? 0) - Date.now());
      vi.setSystemTime(alarm ?? 0);
      await runDurableObjectAlarm(objectOf(id));
    }
    expect(down.mock.calls.length).toBe(13);
    expect(waits[0]).toBeLessThanOrEqual(2500);
    for (const [n, wait] of waits.entries()) {
      if (n > 2 && wait < 300_000) expect(wait).toBeGreaterThan((waits[n - 2] ?? 0) * 1.5);
    }
    expect(waits.at(-1)).toBeGreaterThanOrEqual(300_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(375_000);
  });

  it.each(["deleted", "expired"])("delays the removal of a session that was %s", async (how) => {
    const subject = crypto.randomUUID();
    const { id } = await make({ subject, ttlSeconds: 60, data: 1 });
    // More than a page, so that a reader's cursor stands in the middle of the log when it goes.
    for (const data of ["a", "b"]) {
      await call("POST", pathOf(id, "/events"), { data: data.repeat(300_000) });
    }
    // An open reader is use, so one that expires has none.
    const reader = how === "deleted" ? await request("GET", pathOf(id, "/events")) : undefined;
    await told(id);
    const down = failing("deliver");
    if (how === "deleted") expect((await request("DELETE", pathOf(id))).status).toBe(204);
    else {
      at(60);
      await runDurableObjectAlarm(objectOf(id));
    }
    // Only the report of its end is left of the session, for the directory.
    expect((await storedBy(id)).keys).toEqual(["directory"]);
    expect(await eventsOf(id)).toBe(0);
    await reader?.body?.cancel();
    expect((await request("GET", pathOf(id))).status).toBe(404);
    expect(await idsOf(subject)).toEqual([id]);
    await evict(id);
    down.mockRestore();
    at(70);
    await runDurableObjectAlarm(objectOf(id));
    expect(await idsOf(subject)).toEqual([]);
    expect(await storedBy(id)).toEqual({ keys: [], tables: [], alarm: null });
  });

  it("does not keep an id from being used again before the directory knows of its removal", async () => {
    const subject = crypto.randomUUID();
    const { id } = await make({ subject, data: 1 });
    await call("POST", pathOf(id, "/events"), { data: 1 });
    await told(id);
    const down = failing("deliver");
    await call("DELETE", pathOf(id));
    await told(id);
    const again = await make({ id, subject, type: "sse" });
    expect(again).not.toHaveProperty("data");
    expect(again).not.toHaveProperty("lastEventId");
    await told(id);
    down.mockRestore();
    at(10);
    await runDurableObjectAlarm(objectOf(id));
    expect((await listed(`subject=${subject}`)).sessions).toMatchObject([{ id, type: "sse" }]);
    expect((await storedBy(id)).keys.toSorted()).toEqual(["directory", "owner", "session"]);
  });

  it("leaves the answers of the others, which say that they are partial", async () => {
    const subject = crypto.randomUUID();
    const ids = new Map<number, string>();
    while (ids.size < 3) {
      const { id } = await make({ subject });
      ids.set(placementOf(id, SHARDS), id);
      await told(id);
    }
    const all = await idsOf(subject);
    const [down] = [...ids.keys()];
    for (const method of ["page", "count", "revoke"] as const) failing(method, (n) => n === down);
    const page = await listed(`subject=${subject}&limit=200`);
    const rest = all.filter((id) => placementOf(id, SHARDS) !== down);
    expect([page.partial, page.sessions.map(({ id }) => id)]).toEqual([true, rest]);
    const count = await call("GET", `/v1/sessions/count?subject=${subject}`);
    expect(count.json).toEqual({ count: rest.length, partial: true });
    const revoked = await call("DELETE", `/v1/sessions?subject=${subject}`);
    expect([revoked.status, revoked.json]).toEqual([202, { deleted: rest.length, partial: true }]);
    await expect(idsOf(subject)).rejects.toThrow("directory");
  });

  it("makes the service answer 503 where no shard is left, and only for the directory", async () => {
    for (const method of ["page", "count", "revoke", "deliver"] as const) failing(method);
    for (const [method, path] of [
      ["GET", "/v1/sessions"],
      ["GET", "/v1/sessions/count"],
      ["DELETE", "/v1/sessions?subject=a"],
    ] as const) {
      const { status, json } = await call<{ code: string; detail: string }>(method, path);
      expect([status, json.code]).toEqual([503, "unavailable"]);
      expect(json.detail).not.toContain("shard");
    }
    const { id } = await make();
    expect((await request("GET", pathOf(id))).status).toBe(200);
    expect((await request("DELETE", pathOf(id))).status).toBe(204);
  });
});

it("an end that waits to be told leaves nothing behind once the directory is turned off", async () => {
  failing("deliver");
  const { id } = await make();
  await told(id);
  await call("DELETE", pathOf(id));
  await evict(id);
  expect((await storedBy(id)).keys).toEqual(["directory"]);
  // The object as it is configured with DIRECTORY_SHARDS=0.
  await runInDurableObject(objectOf(id), (_object, ctx) =>
    new Outbox({
      ctx,
      alarm: new AlarmClock(ctx.storage),
      log: createLogger("error"),
      directory: undefined,
    }).resume(Date.now()),
  );
  await evict(id);
  expect((await storedBy(id)).keys).toEqual([]);
});

describe("an evicted shard", () => {
  it("keeps its alarm when the next message would have it wake later", async () => {
    const stub = shard(110);
    const put = (dropAt: number) => {
      let id = newSessionId();
      while (placementOf(id, 111) !== 110) id = newSessionId();
      const entry = { id, type: "mcp", subject: "woken", createdAt: start, expiresAt: start };
      return stub.deliver({ shard: 110, shards: 111 }, { op: "put", order: 1, entry, dropAt });
    };
    await put(start + 60_000);
    await evictDurableObject(stub);
    await put(start + 3_600_000);
    const alarm = await runInDurableObject(stub, (_object, { storage }) => storage.getAlarm());
    expect(alarm).toBe(start + 60_000);
  });

  it("still has what it took", async () => {
    const subject = crypto.randomUUID();
    const { id } = await make({ subject });
    await told(id);
    await evictDurableObject(shardOf(id));
    expect(await idsOf(subject)).toEqual([id]);
    await evictDurableObject(shardOf(id));
    await call("DELETE", pathOf(id));
    await told(id);
    await evictDurableObject(shardOf(id));
    expect([await idsOf(subject), await counted(`subject=${subject}`)]).toEqual([[], 0]);
  });
});

describe("a message", () => {
  const subject = crypto.randomUUID();
  const entryOf = (id = newSessionId(), more: Partial<DirectoryEntry> = {}): DirectoryEntry => ({
    id,
    type: "mcp",
    subject,
    createdAt: start,
    expiresAt: start + 1000,
    ...more,
  });
  const send = (id: string, order: number, entry?: DirectoryEntry) =>
    shardOf(id).deliver(
      { shard: placementOf(id, SHARDS), shards: SHARDS },
      entry
        ? { op: "put", order, entry, dropAt: start + 60_000 }
        : { op: "remove", order, id: parseSessionId(id) ?? newSessionId() },
    );

  it("that comes twice counts once", async () => {
    const entry = entryOf();
    const before = await counted(`subject=${subject}`);
    for (let n = 0; n < 2; n++) expect(await send(entry.id, 5, entry)).toEqual({ kind: "taken" });
    expect(await counted(`subject=${subject}`)).toBe(before + 1);
    for (let n = 0; n < 2; n++) expect(await send(entry.id, 6)).toEqual({ kind: "taken" });
    expect(await counted(`subject=${subject}`)).toBe(before);
  });

  it("that comes late does not bring back what was removed, nor remove what was made again", async () => {
    const entry = entryOf();
    await send(entry.id, 6);
    expect(await send(entry.id, 5, entry)).toEqual({ kind: "superseded", by: 6 });
    expect(await idsOf(subject)).not.toContain(entry.id);
    await send(entry.id, 8, { ...entry, createdAt: start + 5 });
    expect(await send(entry.id, 7)).toEqual({ kind: "superseded", by: 8 });
    expect(await send(entry.id, 5, entry)).toEqual({ kind: "superseded", by: 8 });
    const held = (await walked({ subject })).filter(({ id }) => id === entry.id);
    expect(held.map(({ createdAt }) => createdAt)).toEqual([start + 5]);
  });

  it("of a session made again under an id, with the clock set back, gets a later order", async () => {
    const owner = crypto.randomUUID();
    const { id } = await make({ subject: owner });
    await call("DELETE", pathOf(id));
    await told(id);
    await evict(id);
    at(-100);
    await make({ id, subject: owner });
    await told(id);
    expect(await idsOf(owner)).toEqual([id]);
    await call("DELETE", pathOf(id));
    await told(id);
    expect(await idsOf(owner)).toEqual([]);
  });

  it("that will never come: the shard drops the entry by its own alarm, and no sooner", async () => {
    // Of its own, since what other tests left of theirs may be dropped by the same alarm.
    const subject = crypto.randomUUID();
    const before = await counted(`subject=${subject}`);
    const entry = entryOf(newSessionId(), { subject });
    await send(entry.id, 5, entry);
    await runDurableObjectAlarm(shardOf(entry.id));
    at(59.9);
    await runDurableObjectAlarm(shardOf(entry.id));
    expect(await idsOf(subject)).toContain(entry.id);
    await evictDurableObject(shardOf(entry.id));
    at(65);
    await runDurableObjectAlarm(shardOf(entry.id));
    expect(await idsOf(subject)).not.toContain(entry.id);
    expect(await counted(`subject=${subject}`)).toBe(before);
    // The trace of a removal goes as well, and the last of them takes the alarm with it.
    at(3600);
    for (let n = 0; n < 2; n++) await runDurableObjectAlarm(shardOf(entry.id));
  });
});

it("a page that failed in part can still be walked on from", async () => {
  const subject = crypto.randomUUID();
  for (let n = 0; n < 10; n++) await told((await make({ subject })).id);
  const once = failing("page", (n) => n === 0);
  const first: SessionList = await listed(`subject=${subject}&limit=2`);
  once.mockRestore();
  const second = await listed(`subject=${subject}&limit=200&cursor=${first.cursor}`);
  const seen = [...first.sessions, ...second.sessions].map(({ id }) => id);
  expect(new Set(seen).size).toBe(seen.length);
  expect(second.partial).toBeUndefined();
});

it("a move of entries drops none that the other shard did not take, and goes on by itself", async () => {
  const subject = crypto.randomUUID();
  const [before, after] = [200, 201];
  const newest = shard(after - 1);
  // From shards of its own: one that other tests used may have revocations to tell of before it
  // moves entries, or entries of theirs to move as well.
  const unused = 111;
  const ids: string[] = [];
  while (ids.length < 3) {
    const id = newSessionId();
    if (placementOf(id, after) !== after - 1) continue;
    const from = placementOf(id, before);
    if (from < unused) continue;
    const entry = { id, type: "mcp", subject, createdAt: start, expiresAt: start + 3_600_000 };
    await shard(from).deliver(
      { shard: from, shards: before },
      { op: "put", order: 1, entry, dropAt: start + 3_600_000 },
    );
    ids.push(id);
  }
  const places = [...new Set(ids.map((id) => placementOf(id, before)))];
  const down = vi.spyOn(DirectoryObject.prototype, "absorb").mockImplementation(() => {
    throw new Error("shard down");
  });
  const listedAt = async (n: number, stub = shard(n)) =>
    (await stub.page({ shard: n, shards: after }, { subject }, undefined, 10)).entries.map(
      ({ id }) => id as string,
    );
  for (const place of places) {
    await listedAt(place);
    await runDurableObjectAlarm(shard(place));
  }
  expect(down).toHaveBeenCalledTimes(places.length);
  expect((await Promise.all(places.map((n) => listedAt(n)))).flat().toSorted()).toEqual(
    ids.toSorted(),
  );
  down.mockRestore();
  at(6);
  for (const place of places) {
    await evictDurableObject(shard(place));
    expect(await runDurableObjectAlarm(shard(place))).toBe(true);
  }
  expect((await listedAt(after - 1, newest)).toSorted()).toEqual(ids.toSorted());
  expect((await Promise.all(places.map((n) => listedAt(n)))).flat()).toEqual([]);
});

describe("a shard that has lost its storage", () => {
  const TTL = 1600;

  /** Makes sessions, and then loses every row of the shards. */
  async function lost(subject: string): Promise<string[]> {
    const ids = await Promise.all(
      Array.from({ length: 3 }, async () => (await make({ subject, ttlSeconds: TTL })).id),
    );
    await Promise.all(ids.map(told));
    for (const id of ids) await lose(id);
    expect(await idsOf(subject)).toEqual([]);
    return ids;
  }

  /** Loses every row of the shard that lists a session. */
  const lose = (id: string) =>
    runInDurableObject(shardOf(id), async (_object, ctx) => {
      await ctx.storage.deleteAll();
      ctx.abort("its storage is lost");
    }).catch(() => undefined);

  it("lists each session again after a quarter of its TTL, by its next use", async () => {
    const subject = crypto.randomUUID();
    const ids = await lost(subject);
    at(TTL / 4 + 1);
    for (const id of ids) await call("GET", pathOf(id));
    await Promise.all(ids.map(told));
    expect((await idsOf(subject)).toSorted()).toEqual(ids.toSorted());
  });

  it("lists a session that a reader holds open by its alarm", async () => {
    const subject = crypto.randomUUID();
    const [id = ""] = await lost(subject);
    const reader = await request("GET", pathOf(id, "/events"));
    at(TTL);
    await runDurableObjectAlarm(objectOf(id));
    await told(id);
    expect(await idsOf(subject)).toEqual([id]);
    await reader.body?.cancel();
  });

  it("lists a session that renews its entry within a day and a quarter of its TTL", async () => {
    const subject = crypto.randomUUID();
    const { id } = await make({ subject, ttlSeconds: TTL });
    const reader = await request("GET", pathOf(id, "/events"));
    let ttl = 0;
    const pass = async () => {
      at(++ttl * TTL);
      await runDurableObjectAlarm(objectOf(id));
      await told(id);
    };
    await pass();
    await lose(id);
    while ((await idsOf(subject)).length === 0) await pass();
    expect((ttl - 1) * TTL).toBeGreaterThan(86_400 - TTL);
    expect((ttl - 1) * TTL).toBeLessThanOrEqual(86_400 + TTL / 4);
    await reader.body?.cancel();
  });

  it("lists a session at once whose TTL is changed by more than a quarter", async () => {
    const subject = crypto.randomUUID();
    const [id = ""] = await lost(subject);
    for (const ttlSeconds of [2 * TTL, TTL]) {
      await call("PATCH", pathOf(id), { ttlSeconds });
      await told(id);
      expect(await idsOf(subject)).toEqual([id]);
    }
  });
});
