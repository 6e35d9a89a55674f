/** The end of a session. Time is faked: the objects read the same clock as the test. */
import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Session } from "../../src/core/api.ts";
import { call, make, pathOf, request } from "../support/call.ts";
import { countWrites, evict, objectOf, storedBy } from "../support/object.ts";
import { SseReader } from "../support/sse-reader.ts";

const TTL = 1600;
let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  start = Date.now();
});
afterEach(() => void vi.useRealTimers());

/** Moves to `seconds` after the start of the test. */
const at = (seconds: number) => void vi.setSystemTime(start + seconds * 1000);
const exists = async (id: string) => (await call("GET", pathOf(id, "?touch=false"))).status === 200;
const gone = { keys: [], tables: [], alarm: null };

async function followed(id: string): Promise<SseReader> {
  const { body } = await request("GET", pathOf(id, "/events"));
  if (!body) throw new Error("a stream has a body");
  const reader = new SseReader(body);
  await reader.until(/id: /);
  return reader;
}

describe("an idle session", () => {
  it("ends at its TTL, not before, and leaves nothing", async () => {
    const { id, expiresAt } = await make({ ttlSeconds: TTL, data: 1 });
    expect(Date.parse(expiresAt)).toBe(start + TTL * 1000);
    await call("POST", pathOf(id, "/events"), { data: 1 });
    at(TTL - 0.001);
    expect(await exists(id)).toBe(true);
    at(TTL);
    await runDurableObjectAlarm(objectOf(id));
    expect(await storedBy(id)).toEqual(gone);
    expect(await exists(id)).toBe(false);
  });

  it("has ended for every call even where the alarm is late", async () => {
    const { id } = await make({ ttlSeconds: TTL });
    at(TTL);
    const late = await call("PATCH", pathOf(id), { metadata: { a: "b" } });
    expect([late.status, late.json["code"]]).toEqual([404, "session_not_found"]);
    expect(await storedBy(id)).toEqual(gone);
  });

  it("frees its id for another", async () => {
    const { id } = await make({ ttlSeconds: TTL });
    at(TTL);
    expect((await call("POST", "/v1/sessions", { id })).status).toBe(201);
  });
});

describe("a session in use", () => {
  it("slides: each read counts from then on, exactly while the object stays in memory", async () => {
    const { id } = await make({ ttlSeconds: TTL });
    for (const now of [500, 1900, 3000]) {
      at(now);
      const { json } = await call<Session>("GET", pathOf(id));
      expect(Date.parse(json.expiresAt)).toBe(start + (now + TTL) * 1000);
    }
    at(3000 + TTL - 0.001);
    expect(await exists(id)).toBe(true);
    at(3000 + TTL);
    expect(await exists(id)).toBe(false);
  });

  it.each(["evicted", "aborted"] as const)(
    "is never ended early and at most TTL/16 late where it was %s",
    async (how) => {
      for (const lastUse of [1, 50, 99, 101, 777, 1599]) {
        at(0);
        const { id } = await make({ ttlSeconds: TTL });
        at(lastUse / 2);
        await call("GET", pathOf(id));
        at(lastUse);
        await call("GET", pathOf(id));
        if (how === "evicted") await evict(id);
        else await abortAllDurableObjects();
        at(lastUse + TTL - 0.001);
        await runDurableObjectAlarm(objectOf(id));
        expect(await exists(id)).toBe(true);
        if (how === "evicted") await evict(id);
        else await abortAllDurableObjects();
        at(lastUse + TTL + TTL / 16);
        await runDurableObjectAlarm(objectOf(id));
        expect(await storedBy(id)).toEqual(gone);
      }
    },
  );

  it("is not extended by a look with touch=false", async () => {
    const { id } = await make({ ttlSeconds: TTL });
    at(TTL - 1);
    expect(await exists(id)).toBe(true);
    at(TTL);
    expect(await exists(id)).toBe(false);
  });

  it("sleeps on when its alarm finds that it was used", async () => {
    const { id } = await make({ ttlSeconds: TTL });
    at(1000);
    await call("GET", pathOf(id));
    at(TTL);
    await runDurableObjectAlarm(objectOf(id));
    expect((await storedBy(id)).alarm).toBe(start + (1000 + TTL) * 1000);
  });

  it("ends at its maximal lifetime whatever its use", async () => {
    const { id } = await make({ ttlSeconds: 100, maxLifetimeSeconds: 250 });
    const reader = await followed(id);
    for (const now of [90, 180, 249]) {
      at(now);
      const { json } = await call<Session>("GET", pathOf(id));
      expect(Date.parse(json.expiresAt)).toBeLessThanOrEqual(start + 250_000);
    }
    at(250);
    await runDurableObjectAlarm(objectOf(id));
    expect((await reader.rest()).map(({ event }) => event)).toEqual(["expired"]);
    expect(await storedBy(id)).toEqual(gone);
  });

  it("takes a shorter TTL at once, and a longer one", async () => {
    const { id } = await make({ ttlSeconds: TTL });
    await call("PATCH", pathOf(id), { ttlSeconds: 10 });
    expect((await storedBy(id)).alarm).toBe(start + 10_000);
    await evict(id);
    await call("PATCH", pathOf(id), { ttlSeconds: 5 });
    expect((await storedBy(id)).alarm).toBe(start + 5000);
    await call("PATCH", pathOf(id), { ttlSeconds: 50 });
    at(5);
    await runDurableObjectAlarm(objectOf(id));
    expect((await storedBy(id)).alarm).toBe(start + 50_000);
  });
});

describe("a TTL that became shorter", () => {
  it.each(["read before", "followed"])(
    "ends a session on time that was %s, across an abort",
    async (how) => {
      const { id } = await make({ ttlSeconds: 3200 });
      at(1);
      if (how === "followed") await followed(id);
      else await call("GET", pathOf(id));
      await call("PATCH", pathOf(id), { ttlSeconds: 12 });
      await abortAllDurableObjects();
      at(12.9);
      expect(await exists(id)).toBe(true);
      // A writer's last use is unknown after an abort: at most one TTL more.
      at(how === "followed" ? 1 + 2 * 12 : 1 + 12 + 12 / 16);
      await runDurableObjectAlarm(objectOf(id));
      expect(await exists(id)).toBe(false);
    },
  );
});

describe("an open writer", () => {
  it("keeps a session alive for one wake, one row and one alarm per TTL", async () => {
    const { id } = await make({ ttlSeconds: TTL });
    const reader = await followed(id);
    const pass = async (ttls: number) => {
      at(ttls * TTL);
      expect(await runDurableObjectAlarm(objectOf(id))).toBe(true);
    };
    // Once, the object also stores what the directory knows: `cost.test.ts` counts that.
    await pass(1);
    const writes = await countWrites(id);
    for (let ttls = 2; ttls <= 6; ttls++) await pass(ttls);
    expect([writes.rows, writes.alarms]).toEqual([5, 5]);
    expect(await exists(id)).toBe(true);
    await reader.leave();
  });

  it("counts until it leaves: the session ends a TTL after that", async () => {
    const { id } = await make({ ttlSeconds: TTL });
    const reader = await followed(id);
    at(3 * TTL);
    await runDurableObjectAlarm(objectOf(id));
    at(3.5 * TTL);
    await reader.leave();
    await expect
      .poll(async () => (await call("GET", pathOf(id, "?touch=false"))).json["writers"])
      .toBe(0);
    await evict(id);
    at(4.5 * TTL - 0.001);
    await runDurableObjectAlarm(objectOf(id));
    expect(await exists(id)).toBe(true);
    at(4.5 * TTL);
    expect(await exists(id)).toBe(false);
  });

  it("leaves its client a whole TTL to come back where the process died without a word", async () => {
    const { id } = await make({ ttlSeconds: TTL });
    await followed(id);
    at(0.99 * TTL);
    await abortAllDurableObjects();
    at(1.9 * TTL);
    expect(await exists(id)).toBe(true);
    at(3 * TTL + 1);
    expect(await exists(id)).toBe(false);
  });
});

describe("an ended session", () => {
  it.each(["expired", "deleted"])(
    "answers 404 to a hundred late calls and stays empty when it was %s",
    async (how) => {
      const { id } = await make({ ttlSeconds: TTL });
      await call("POST", pathOf(id, "/events"), { data: 1 });
      const reader = await followed(id);
      if (how === "deleted") await call("DELETE", pathOf(id));
      else {
        await call("PATCH", pathOf(id), { ttlSeconds: 1 });
        await reader.leave();
        await expect
          .poll(async () => (await call("GET", pathOf(id, "?touch=false"))).json["writers"])
          .toBe(0);
        at(1);
        await runDurableObjectAlarm(objectOf(id));
      }
      const late = Array.from({ length: 100 }, (_, n) => {
        if (n % 4 === 0) return call("GET", pathOf(id));
        if (n % 4 === 1) return call("PATCH", pathOf(id), { metadata: { late: "1" } });
        if (n % 4 === 2) return call("POST", pathOf(id, "/events"), { data: 1 });
        return call("POST", pathOf(id, "/disconnect"));
      });
      expect((await Promise.all(late)).map(({ status }) => status)).toEqual(
        Array.from({ length: 100 }, () => 404),
      );
      expect(await storedBy(id)).toEqual(gone);
    },
  );

  it("answers exactly once with life or death when patch races with the end", async () => {
    const { id } = await make({ ttlSeconds: TTL });
    at(TTL - 0.001);
    const patches = Array.from({ length: 20 }, async (_, n) => {
      if (n === 10) {
        at(TTL);
        await runDurableObjectAlarm(objectOf(id));
      }
      return (await call("PATCH", pathOf(id), { metadata: { late: String(n) } })).status;
    });
    const statuses = new Set(await Promise.all(patches));
    // One patch in time gives it another TTL and all succeed; none in time, and all find it gone.
    expect([...statuses]).toHaveLength(1);
    if (statuses.has(404)) expect(await storedBy(id)).toEqual(gone);
    else expect((await storedBy(id)).alarm).toBeGreaterThanOrEqual(start + TTL * 1000);
  });
});

describe("a real clock", () => {
  it("ends a session of half a second by its own alarm", async () => {
    vi.useRealTimers();
    const { id } = await make();
    const reader = await followed(id);
    // Only now that a reader keeps it: however slow the machine, it does not end before.
    await call("PATCH", pathOf(id), { ttlSeconds: 0.5 });
    expect(await exists(id)).toBe(true);
    await reader.leave();
    await expect.poll(() => exists(id)).toBe(false);
    expect(await storedBy(id)).toEqual(gone);
  });
});
