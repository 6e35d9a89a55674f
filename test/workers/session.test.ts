import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { SessionObject } from "../../src/session/session-object.ts";
import type { Session } from "../../src/core/api.ts";
import { call, make, pathOf, request } from "../support/call.ts";

const { SESSIONS } = env as unknown as { SESSIONS: DurableObjectNamespace<SessionObject> };
const stubOf = (id: string) => SESSIONS.get(SESSIONS.idFromName(id));

describe("create", () => {
  it("answers 201 with Location, ETag and the session, its defaults filled in", async () => {
    const { status, headers, json } = await call<Session>("POST", "/v1/sessions", {});
    expect(status).toBe(201);
    expect(json).toMatchObject({
      type: "mcp",
      ttlSeconds: 7200,
      metadata: {},
      connected: false,
      writers: 0,
    });
    expect(json).not.toHaveProperty("data");
    expect(json).not.toHaveProperty("maxLifetimeSeconds");
    expect(json.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/);
    expect(headers.get("location")).toBe(pathOf(json.id));
    expect(headers.get("etag")).toMatch(/^"[^"]+"$/);
    expect(headers.get("cache-control")).toBe("no-store");
    expect(Date.parse(json.expiresAt) - Date.parse(json.createdAt)).toBe(7_200_000);
  });

  it("takes an empty body as one that sets nothing", async () => {
    expect((await call("POST", "/v1/sessions")).status).toBe(201);
  });

  it("keeps type, metadata, data, lifetimes and subject", async () => {
    const content = {
      type: "streamable",
      metadata: { a: "1", "": "empty key", ключ: "значение" },
      data: { deep: [1, null, "x", { __proto__: null }] },
      ttlSeconds: 0.5,
      maxLifetimeSeconds: 60,
      subject: "alice \u{1f600}",
    };
    const made = await make(content);
    const read = await call<Session>("GET", pathOf(made.id));
    expect(read.json).toMatchObject(content);
  });

  it.each([
    ["36 characters", "8C2D0CF4-7A2B-4B73-A7F5-4E3C0B6C1A01"],
    ["32 hex digits", "8c2d0cf47a2b4b73a7f54e3c0b6c1a02"],
    ["braces", "{8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a03}"],
    ["urn:uuid:", "urn:uuid:8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a04"],
  ])("normalises an id given as %s", async (_form, id) => {
    const made = await make({ id });
    expect(made.id).toMatch(/^8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a0\d$/);
    const again = await call("POST", "/v1/sessions", { id: made.id });
    expect(again.status).toBe(409);
    expect(again.json["code"]).toBe("session_already_exists");
    expect((await call("GET", pathOf(encodeURIComponent(id)))).status).toBe(200);
  });

  it("makes one session of two hundred concurrent creates of one id", async () => {
    const id = crypto.randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        call("POST", "/v1/sessions", { id, metadata: { n: String(n) } }),
      ),
    );
    const winners = answers.filter(({ status }) => status === 201);
    expect(winners).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(199);
    const { json } = await call<Session>("GET", pathOf(id));
    expect(json.metadata).toEqual(winners[0]?.json["metadata"]);
  });
});

describe("read", () => {
  it("answers 404 for an id that was never made, and stores nothing for it", async () => {
    const id = crypto.randomUUID();
    for (const method of ["GET", "PATCH"]) {
      const { status, json } = await call(method, pathOf(id), method === "PATCH" ? {} : undefined);
      expect([status, json["code"]]).toEqual([404, "session_not_found"]);
    }
    await call("POST", pathOf(id, "/events"), { data: "x" });
    await call("POST", pathOf(id, "/disconnect"));
    await call("GET", pathOf(id, "/events"));
    expect((await call("DELETE", pathOf(id))).status).toBe(204);
    await runInDurableObject(stubOf(id), async (_object, { storage }) => {
      expect([...storage.kv.list()]).toEqual([]);
      expect(storage.sql.exec("SELECT name FROM sqlite_master").toArray()).toEqual([]);
      expect(await storage.getAlarm()).toBeNull();
    });
  });

  it("answers HEAD like GET without a body", async () => {
    const { id } = await make();
    const response = await request("HEAD", pathOf(id));
    expect(response.status).toBe(200);
    expect(response.headers.get("etag")).toBeTruthy();
    expect(await response.text()).toBe("");
  });
});

describe("put", () => {
  it("makes a session, then replaces its content and keeps its events and birth", async () => {
    const id = crypto.randomUUID();
    const first = await call<Session>("PUT", pathOf(id), { metadata: { a: "1" }, data: 1 });
    expect([first.status, first.headers.get("location")]).toEqual([201, pathOf(id)]);
    await call("POST", pathOf(id, "/events"), { data: "kept" });
    const second = await call<Session>("PUT", pathOf(id), {
      type: "sse",
      metadata: { b: "2" },
    });
    expect(second.status).toBe(200);
    expect(second.json).toMatchObject({ type: "sse", metadata: { b: "2" } });
    expect(second.json).not.toHaveProperty("data");
    expect(second.json.createdAt).toBe(first.json.createdAt);
    expect(second.json.lastEventId).toMatch(/-000000000001-0$/);
  });

  it("refuses a body whose id is another's", async () => {
    const { status, json } = await call("PUT", pathOf(crypto.randomUUID()), {
      id: crypto.randomUUID(),
    });
    expect([status, json["code"]]).toEqual([400, "invalid_session_id"]);
  });

  it("never leaves half a session when it races with delete", async () => {
    const { id } = await make();
    const work = Array.from({ length: 60 }, (_, n) =>
      n % 2 ? call("DELETE", pathOf(id)) : call("PUT", pathOf(id), { metadata: { n: String(n) } }),
    );
    const statuses = (await Promise.all(work)).map(({ status }) => status);
    expect(statuses.every((status) => [200, 201, 204].includes(status))).toBe(true);
    const { status, json } = await call<Session>("GET", pathOf(id));
    if (status === 200) expect(json.metadata).toHaveProperty("n");
    else expect(status).toBe(404);
  });
});

describe("patch", () => {
  it("merges metadata, data and ttl as RFC 7396 says", async () => {
    const { id } = await make({
      metadata: { a: "1", b: "2" },
      data: { x: { y: 1, z: 2 }, list: [1] },
    });
    const { status, json } = await call<Session>("PATCH", pathOf(id), {
      metadata: { a: null, c: "3" },
      data: { x: { y: null, w: 3 }, list: [2] },
      ttlSeconds: 60,
    });
    expect(status).toBe(200);
    expect(json).toMatchObject({
      metadata: { b: "2", c: "3" },
      data: { x: { z: 2, w: 3 }, list: [2] },
      ttlSeconds: 60,
    });
    expect(json.metadata).not.toHaveProperty("a");
    const reset = await call<Session>("PATCH", pathOf(id), {
      metadata: null,
      data: null,
      ttlSeconds: null,
    });
    expect(reset.json).toMatchObject({ metadata: {}, ttlSeconds: 7200 });
    expect(reset.json).not.toHaveProperty("data");
  });

  it("honours If-Match and changes nothing where it does not match", async () => {
    const made = await call<Session>("POST", "/v1/sessions", { metadata: { a: "1" } });
    const path = pathOf(made.json.id);
    const etag = made.headers.get("etag") ?? "";
    const changed = await call("PATCH", path, { metadata: { a: "2" } }, { "if-match": etag });
    expect(changed.status).toBe(200);
    for (const stale of [etag, `W/${changed.headers.get("etag")}`, '"other"']) {
      const refused = await call("PATCH", path, { metadata: { a: "3" } }, { "if-match": stale });
      expect([refused.status, refused.json["code"]]).toEqual([412, "precondition_failed"]);
    }
    const bad = await call("PATCH", path, {}, { "if-match": "naked" });
    expect([bad.status, bad.json["detail"]]).toEqual([400, expect.stringContaining("If-Match")]);
    const list = `, "ot,her" ,, ${changed.headers.get("etag")}`;
    expect((await call("PATCH", path, {}, { "if-match": list })).status).toBe(200);
    expect((await call("PATCH", path, {}, { "if-match": "*" })).status).toBe(200);
    const { json } = await call<Session>("GET", path);
    expect(json.metadata).toEqual({ a: "2" });
  });

  it("changes updatedAt, which reading does not", async () => {
    const { id, updatedAt } = await make();
    await new Promise((resolve) => setTimeout(resolve, 2));
    expect((await call<Session>("GET", pathOf(id))).json.updatedAt).toBe(updatedAt);
    const { json } = await call<Session>("PATCH", pathOf(id), { metadata: { a: "1" } });
    expect(Date.parse(json.updatedAt)).toBeGreaterThan(Date.parse(updatedAt));
  });
});

describe("delete", () => {
  it("answers 204 whether or not there was one, and leaves nothing", async () => {
    const { id } = await make({ data: "x" });
    await call("POST", pathOf(id, "/events"), { data: "x" });
    expect((await call("DELETE", pathOf(id))).status).toBe(204);
    expect((await call("DELETE", pathOf(id))).status).toBe(204);
    expect((await call("GET", pathOf(id))).status).toBe(404);
  });

  it("keeps a session made at once after it, across an eviction", async () => {
    const { id } = await make({ metadata: { life: "first" } });
    await call("POST", pathOf(id, "/events"), { data: "old" });
    await Promise.all([
      call("DELETE", pathOf(id)),
      call("PUT", pathOf(id), { metadata: { life: "second" } }),
      call("POST", pathOf(id, "/events"), { data: "new" }),
    ]);
    await evictDurableObject(stubOf(id));
    const { status, json } = await call<Session>("GET", pathOf(id));
    expect([status, json.metadata]).toEqual([200, { life: "second" }]);
    expect(json.lastEventId).toMatch(/-000000000001-0$/);
  });
});
