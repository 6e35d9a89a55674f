/** Listing, counting and revoking as a client sees them. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { placementOf } from "../../src/directory/placement.ts";
import { call, make, pathOf, request } from "../support/call.ts";
import type { Session, SessionList } from "../../src/core/api.ts";
import {
  allTold,
  appWithLimit,
  counted,
  listed,
  shard,
  SHARDS,
  walked,
} from "../support/directory.ts";
import { FAR_TIME } from "../support/far-time.ts";
import { evict, objectOf, socketsOf, told } from "../support/object.ts";

afterEach(() => void vi.useRealTimers());

const subjectOf = (name: string) => `${name}-${crypto.randomUUID()}`;

async function makeMany(count: number, body: Record<string, unknown> = {}): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push((await make(body)).id);
  await allTold(ids);
  return ids;
}

describe("GET /v1/sessions", () => {
  it("lists newest first, page by page, each session once", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const subject = subjectOf("pages");
    const ids: string[] = [];
    for (let n = 0; n < 23; n++) {
      vi.setSystemTime(FAR_TIME + Math.floor(n / 3));
      ids.push((await make({ subject })).id);
    }
    await allTold(ids);
    const pages: SessionList[] = [];
    let cursor: string | undefined;
    do {
      const page = await listed(`subject=${subject}&limit=5${cursor ? `&cursor=${cursor}` : ""}`);
      pages.push(page);
      ({ cursor } = page);
    } while (cursor !== undefined);
    const seen = pages.flatMap(({ sessions }) => sessions.map(({ id }) => id));
    expect(pages.map(({ sessions }) => sessions.length)).toEqual([5, 5, 5, 5, 3]);
    expect(seen.toSorted()).toEqual(ids.toSorted());
    const age = (id: string) => Math.floor(ids.indexOf(id) / 3);
    expect(seen.map(age)).toEqual(seen.map(age).toSorted((a, b) => b - a));
  });

  it("says what a session is, and when it ends", async () => {
    const subject = subjectOf("entry");
    const session = await make({ subject, type: "sse", metadata: { a: "b" } });
    await told(session.id);
    const { id, type, createdAt, expiresAt } = session;
    expect(await listed(`subject=${subject}`)).toEqual({
      sessions: [{ id, type, createdAt, expiresAt, subject }],
    });
  });

  it("filters by type and by subject, alone and together", async () => {
    const [a, b] = [subjectOf("a"), subjectOf("b")];
    await makeMany(2, { subject: a, type: "sse" });
    await makeMany(3, { subject: a, type: "streamable" });
    await makeMany(4, { subject: b, type: "sse" });
    const size = async (query: string) => (await listed(`limit=200&${query}`)).sessions.length;
    expect(await size(`subject=${a}`)).toBe(5);
    expect(await size(`subject=${a}&type=sse`)).toBe(2);
    expect(await size(`subject=${b}&type=streamable`)).toBe(0);
    const types = (await listed("type=sse&limit=200")).sessions.map(({ type }) => type);
    expect(types.length).toBeGreaterThanOrEqual(6);
    expect(new Set(types)).toEqual(new Set(["sse"]));
    expect(await counted(`subject=${a}`)).toBe(5);
    expect(await counted(`subject=${a}&type=streamable`)).toBe(3);
    expect(await counted("type=sse")).toBe(types.length);
    expect(await counted()).toBe((await walked()).length);
  });

  it("gives a session that lives through the whole walk exactly once, whatever comes and goes", async () => {
    const subject = subjectOf("walk");
    const stay = await makeMany(12, { subject });
    const go = await makeMany(12, { subject });
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await listed(`subject=${subject}&limit=4${cursor ? `&cursor=${cursor}` : ""}`);
      seen.push(...page.sessions.map(({ id }) => id));
      ({ cursor } = page);
      const leaving = go.splice(-2);
      for (const id of leaving) await call("DELETE", pathOf(id));
      const { id } = await make({ subject });
      await allTold([...leaving, id]);
    } while (cursor !== undefined);
    expect(new Set(seen).size).toBe(seen.length);
    expect(stay.filter((id) => !seen.includes(id))).toEqual([]);
  });

  it.each([
    ["limit=0", "limit"],
    ["limit=201", "limit"],
    ["limit=1.5", "limit"],
    ["limit=1&limit=2", "limit"],
    ...["x", "", "0x10", "1e2", "-1", "%2B5", "5.0", "%205", "9".repeat(400)].map((limit) => [
      `limit=${limit}`,
      "limit: must be a number from 1 to 200, in decimal digits",
    ]),
    ["cursor=x", "cursor"],
    [`cursor=${btoa("1.zzzzzzzzzzz.00000000000000000000000000000000")}`, "cursor"],
    ["type=unknown", "type"],
    ["subject=", "subject"],
    ["subject=a&subject=b", "subject"],
    ["subjct=a", "subjct"],
    ["type=sse&touch=false", "touch"],
  ])("refuses ?%s and names %s", async (query, field) => {
    const { status, json } = await call("GET", `/v1/sessions?${query}`);
    expect([status, json["code"]]).toEqual([
      400,
      field === "type" ? "invalid_session_type" : "invalid_request",
    ]);
    expect(json["detail"]).toContain(field);
  });

  it.each([
    ["GET", "/v1/sessions/count?subjct=a", "subjct"],
    ["GET", "/v1/sessions/count?limit=1", "limit"],
    ["DELETE", "/v1/sessions?subjct=a&subject=a", "subjct"],
    ["DELETE", "/v1/sessions", "subject: is required"],
  ])("refuses %s %s and names %s", async (method, path, field) => {
    const { status, json } = await call(method, path);
    expect([status, json["code"]]).toEqual([400, "invalid_request"]);
    expect(json["detail"]).toContain(field);
  });

  it("does not take `count` for an id, nor an id for `count`", async () => {
    expect((await call("GET", "/v1/sessions/count")).json).toHaveProperty("count");
    expect((await request("DELETE", "/v1/sessions/count")).status).toBe(400);
  });
});

describe("an entry follows its session", () => {
  it("when its type changes, its deadline moves by more than a quarter, and it ends", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const start = Date.now();
    const at = (seconds: number) => vi.setSystemTime(start + seconds * 1000);
    const subject = subjectOf("follow");
    const { id } = await make({ subject, ttlSeconds: 1000 });
    const entry = async () => {
      await told(id);
      return (await listed(`subject=${subject}`)).sessions[0];
    };
    const deadline = (seconds: number) => new Date(start + seconds * 1000).toISOString();
    expect((await entry())?.expiresAt).toBe(deadline(1000));
    at(250);
    await call("GET", pathOf(id));
    expect((await entry())?.expiresAt).toBe(deadline(1000));
    at(251);
    await call("GET", pathOf(id));
    expect((await entry())?.expiresAt).toBe(deadline(1251));
    await call("PUT", pathOf(id), { type: "sse", ttlSeconds: 1000 });
    expect(await entry()).toMatchObject({ type: "sse" });
    expect([
      await counted(`subject=${subject}&type=mcp`),
      await counted(`subject=${subject}`),
    ]).toEqual([0, 1]);
    await call("PATCH", pathOf(id), { ttlSeconds: 10 });
    expect((await entry())?.expiresAt).toBe(deadline(261));
    at(261);
    await call("GET", pathOf(id));
    expect(await entry()).toBeUndefined();
  });
});

describe("an entry of a session that a reader holds open", () => {
  const TTL = 7200;

  it.each([0, 30_000])(
    "has the session's deadline at any time, and once the reader has left (lifetime: %i s)",
    async (maxLifetimeSeconds) => {
      vi.useFakeTimers({ toFake: ["Date"] });
      const subject = subjectOf("held");
      vi.setSystemTime(FAR_TIME);
      const { id } = await make({ subject, ttlSeconds: TTL, maxLifetimeSeconds });
      const reader = await request("GET", pathOf(id, "/events"));
      const expiries = async () => {
        await told(id);
        const [entry] = (await listed(`subject=${subject}`)).sessions;
        const { json } = await call<Session>("GET", pathOf(id, "?touch=false"));
        return { entry: entry?.expiresAt, session: json.expiresAt };
      };
      const seen = new Set<string>();
      const look = async () => {
        const { entry, session } = await expiries();
        expect(entry).toBe(session);
        seen.add(session);
      };
      for (let ttl = 1; ttl < 4; ttl++) {
        await evict(id);
        vi.setSystemTime(FAR_TIME + ttl * TTL * 1000);
        await runDurableObjectAlarm(objectOf(id));
        await runDurableObjectAlarm(shard(placementOf(id, SHARDS)));
        await look();
        vi.setSystemTime(FAR_TIME + (ttl + 0.4) * TTL * 1000);
        await look();
      }
      // The lifetime bounds the last of these.
      const end = FAR_TIME + (maxLifetimeSeconds || 4.4 * TTL) * 1000;
      expect([...seen].at(-1)).toBe(new Date(end).toISOString());
      expect(seen.size).toBe(6);
      await reader.body?.cancel();
      await expect.poll(() => socketsOf(id)).toBe(0);
      const fixed = await expiries();
      vi.setSystemTime(FAR_TIME + 4 * TTL * 1000);
      expect(await expiries()).toEqual(fixed);
      expect(fixed.entry).toBe(fixed.session);
    },
  );
});

describe("an entry stays while its session lives", () => {
  it.each([
    ["a longer TTL under a maximum lifetime", { ttlSeconds: 100_000, maxLifetimeSeconds: 20_000 }],
    ["a TTL that is longer by a third", { ttlSeconds: 1333 }],
  ])("with %s", async (_what, content) => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const start = Date.now();
    const subject = subjectOf("stays");
    const { id } = await make({ subject, ttlSeconds: 1000 });
    await told(id);
    await call("PUT", pathOf(id), content);
    for (const seconds of [1000, 1325, 1330]) {
      vi.setSystemTime(start + seconds * 1000);
      await runDurableObjectAlarm(objectOf(id));
      await told(id);
      await runDurableObjectAlarm(shard(placementOf(id, SHARDS)));
    }
    expect((await request("GET", pathOf(id, "?touch=false"))).status).toBe(200);
    expect(await counted(`subject=${subject}`)).toBe(1);
  });
});

describe("DELETE /v1/sessions", () => {
  it("ends every session of the subject and no other's", async () => {
    const [subject, other] = [subjectOf("revoked"), subjectOf("kept")];
    const ids = await makeMany(20, { subject });
    const [kept] = await makeMany(1, { subject: other });
    const { status, json } = await call("DELETE", `/v1/sessions?subject=${subject}`);
    expect([status, json]).toEqual([202, { deleted: 20 }]);
    for (const id of ids) expect((await request("GET", pathOf(id))).status).toBe(404);
    await allTold(ids);
    expect([await counted(`subject=${subject}`), await counted(`subject=${other}`)]).toEqual([
      0, 1,
    ]);
    expect((await request("GET", pathOf(kept ?? ""))).status).toBe(200);
    expect((await call("DELETE", `/v1/sessions?subject=${subject}`)).json).toEqual({ deleted: 0 });
  });

  it("refuses a filter that it does not have, and ends nothing", async () => {
    const subject = subjectOf("narrowed");
    await makeMany(1, { subject, type: "mcp" });
    const { status, json } = await call("DELETE", `/v1/sessions?subject=${subject}&type=sse`);
    expect([status, json["code"]]).toEqual([400, "invalid_request"]);
    expect(json["detail"]).toContain("type");
    expect(await counted(`subject=${subject}`)).toBe(1);
  });

  it("spares a session that the subject makes afterwards", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const subject = subjectOf("again");
    await makeMany(1, { subject });
    await call("DELETE", `/v1/sessions?subject=${subject}`);
    vi.setSystemTime(Date.now() + 1);
    const [id] = await makeMany(1, { subject });
    expect((await request("GET", pathOf(id ?? ""))).status).toBe(200);
    expect(await counted(`subject=${subject}`)).toBe(1);
  });
});

describe("MAX_SESSIONS_PER_SUBJECT", () => {
  it("answers 429 to one more, until one ends", async () => {
    const app = appWithLimit(2);
    const subject = subjectOf("limit");
    const post = () => app("POST", "/v1/sessions", { subject });
    const first = await post();
    expect([first.status, (await post()).status]).toEqual([201, 201]);
    const refused = await post();
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({
      code: "rate_limited",
      detail: expect.stringContaining("MAX_SESSIONS_PER_SUBJECT"),
    });
    const { id } = await first.json<{ id: string }>();
    expect((await app("PUT", pathOf(id), { subject })).status).toBe(200);
    expect((await app("PUT", pathOf(crypto.randomUUID()), { subject })).status).toBe(429);
    expect((await app("POST", "/v1/sessions", {})).status).toBe(201);
    await app("DELETE", pathOf(id));
    expect((await post()).status).toBe(201);
    expect((await post()).status).toBe(429);
  });

  it("holds for callers at once", async () => {
    const app = appWithLimit(5);
    const subject = subjectOf("at-once");
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => app("POST", "/v1/sessions", { subject })),
    );
    const made = answers.filter(({ status }) => status === 201).length;
    expect([made, answers.filter(({ status }) => status === 429).length]).toEqual([5, 15]);
    expect(await counted(`subject=${subject}`)).toBe(5);
  });
});
