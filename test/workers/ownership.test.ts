/** The owner of a session: named on create, kept on change, and the only one whose tickets open it. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Session } from "../../src/core/api.ts";
import { tokenApp, type TokenApp } from "../support/guarded-app.ts";
import type { SessionId } from "../../src/core/id.ts";
import { kill, objectOf, told } from "../support/object.ts";
import { SseReader } from "../support/sse-reader.ts";

const OLD = "old-".padEnd(40, "o");
const NEW = "new-".padEnd(40, "n");

const GRANTS = {
  alice: ["alice", ["sessions:read", "sessions:write", "events:subscribe", "events:publish"]],
  mallory: ["mallory", ["sessions:read", "sessions:write", "events:subscribe"]],
  root: ["root", ["admin"]],
} as const;

let served: TokenApp;
let now: number;

beforeEach(async () => {
  now = Date.now();
  served = await tokenApp(GRANTS, { TICKET_SECRET: NEW }, { now: () => now });
});

async function send(who: string | undefined, method: string, path: string, body?: unknown) {
  const response = await served.app.request(path, {
    method,
    headers: {
      ...(who !== undefined && served.headers[who]),
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
    await response.body?.cancel();
    return { status: response.status, json: undefined as unknown as Session };
  }
  const text = await response.text();
  return { status: response.status, json: (text && JSON.parse(text)) as Session };
}

const make = async (who: string, body: object = {}) =>
  (await send(who, "POST", "/v1/sessions", body)).json;

describe("the subject", () => {
  it("is the caller's", async () => {
    expect((await make("alice")).subject).toBe("alice");
    expect((await make("root")).subject).toBe("root");
  });

  it("may be named by an admin, and by its bearer, and by no one else", async () => {
    expect((await make("root", { subject: "alice" })).subject).toBe("alice");
    expect((await make("alice", { subject: "alice" })).subject).toBe("alice");
    const id = crypto.randomUUID();
    expect((await send("mallory", "POST", "/v1/sessions", { id, subject: "alice" })).status).toBe(
      403,
    );
    expect((await send("mallory", "PUT", `/v1/sessions/${id}`, { subject: "alice" })).status).toBe(
      403,
    );
    expect((await send("root", "GET", `/v1/sessions/${id}`)).status).toBe(404);
  });

  it("stays when an admin replaces the content, and moves when an admin names another", async () => {
    const { id } = await make("alice");
    const path = `/v1/sessions/${id}`;
    expect((await send("root", "PUT", path, { metadata: { a: "1" } })).json.subject).toBe("alice");
    expect((await send("root", "PUT", path, { subject: "mallory" })).json.subject).toBe("mallory");
    expect((await send("alice", "GET", path)).status).toBe(404);
    expect((await send("mallory", "GET", path)).status).toBe(200);
  });

  it("takes the streams along: later events are not sent to the former followers", async () => {
    const { id } = await make("alice");
    const path = `/v1/sessions/${id}`;
    const follow = async (who: string) => {
      const { status, body } = await served.app.request(`${path}/events`, {
        headers: served.headers[who]!,
      });
      expect(status).toBe(200);
      return new SseReader(body!);
    };
    const [hers, admins] = [await follow("alice"), await follow("root")];
    await send("alice", "POST", `${path}/events`, { data: "hers" });
    // The session is replaced and keeps its owner, so its readers stay.
    expect((await send("root", "PUT", path, { subject: "alice" })).json.writers).toBe(2);
    const handed = await send("root", "PUT", path, { subject: "mallory" });
    expect([handed.status, handed.json.writers]).toEqual([200, 0]);
    expect((await send("root", "POST", `${path}/events`, { data: "his" })).status).toBe(202);
    for (const reader of [hers, admins]) {
      expect((await reader.rest()).map(({ data }) => data).filter(Boolean)).toEqual(["hers"]);
    }
    // The session is not disconnected, so its new owner can follow it.
    const his = await follow("mallory");
    await send("root", "POST", `${path}/events`, { data: "more" });
    await his.until(/data: more/);
    await his.leave();
  });

  it("of a session that nobody owns is an admin's only", async () => {
    const { id } = await make("alice");
    await runInDurableObject(objectOf(id), (_object, { storage }) => storage.kv.delete("owner"));
    await evictDurableObject(objectOf(id));
    expect((await send("alice", "GET", `/v1/sessions/${id}`)).status).toBe(404);
    expect((await send("root", "GET", `/v1/sessions/${id}`)).status).toBe(200);
  });
});

describe("a stranger", () => {
  it("does not keep a session alive, however often it asks", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    try {
      const { id } = await make("alice", { ttlSeconds: 10 });
      for (let second = 0; second < 9; second++) {
        vi.setSystemTime(Date.now() + 1000);
        for (const [method, rest] of [
          ["GET", ""],
          ["PATCH", ""],
          ["DELETE", ""],
          ["GET", "/events"],
        ] as const) {
          await send(
            "mallory",
            method,
            `/v1/sessions/${id}${rest}`,
            method === "PATCH" ? {} : undefined,
          );
        }
      }
      const expiresIn =
        Date.parse((await send("root", "GET", `/v1/sessions/${id}?touch=false`)).json.expiresAt) -
        Date.now();
      expect(expiresIn).toBeLessThanOrEqual(1000);
    } finally {
      vi.useRealTimers();
    }
  });
});

/** Every stored value and row, and the alarm. */
function allOf(id: string): Promise<unknown> {
  return runInDurableObject(objectOf(id), async (_object, { storage }) => {
    const tables = storage.sql
      .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'")
      .toArray()
      .filter(({ name }) => !name.startsWith("_cf_"))
      .map(({ name }) => [name, storage.sql.exec(`SELECT * FROM "${name}"`).toArray()]);
    return { values: [...storage.kv.list()], tables, alarm: await storage.getAlarm() };
  });
}

it("a stranger's MCP request does not even tell a session that its exchange was cut", async () => {
  const { app, headers } = await tokenApp({ alice: ["alice", ["mcp"]], mallory: ["m", ["mcp"]] });
  const post = (who: string, message: object, more: Record<string, string> = {}) =>
    app.request("/mcp", {
      method: "POST",
      headers: { ...headers[who], "content-type": "application/json", ...more },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, ...message }),
    });
  const clientInfo = { name: "owner", version: "1" };
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo };
  const made = await post("alice", { method: "initialize", params });
  const id = made.headers.get("mcp-session-id")!;
  await made.text();
  const count = { name: "count", arguments: { steps: 1, seconds: 60 } };
  const call = { method: "tools/call", params: count };
  const stream = await post("alice", call, { "mcp-session-id": id });
  expect(stream.headers.get("content-type")).toBe("text/event-stream");
  await told(id);
  await kill(id);

  const before = await allOf(id);
  const ping = { method: "ping" };
  expect((await post("mallory", ping, { "mcp-session-id": id })).status).toBe(404);
  expect(await allOf(id)).toEqual(before);
  expect((await post("alice", ping, { "mcp-session-id": id })).status).toBe(200);
  expect(await allOf(id)).not.toEqual(before);
});

describe("a ticket", () => {
  const ticketFor = async (who: string, id: string) => {
    const { status, json } = await send(who, "POST", `/v1/sessions/${id}/tickets`);
    expect(status).toBe(201);
    return json as unknown as { ticket: string; url: string; expiresAt: string };
  };

  it("follows its session by URL alone, until its time is up", async () => {
    const { id } = await make("alice");
    const { url, expiresAt } = await ticketFor("alice", id);
    expect(Date.parse(expiresAt) - now).toBe(60_000);
    expect((await send(undefined, "GET", url)).status).toBe(200);
    expect((await send(undefined, "HEAD", url)).status).toBe(200);
    now += 59_999;
    expect((await send(undefined, "GET", url)).status).toBe(200);
    now += 1;
    expect((await send(undefined, "GET", url)).status).toBe(401);
  });

  it("is useless for anything else", async () => {
    const { id } = await make("alice");
    const other = await make("alice");
    const { ticket } = await ticketFor("alice", id);
    const query = `?ticket=${ticket}`;
    for (const [method, path, body] of [
      ["GET", `/v1/sessions/${other.id}/events`],
      ["GET", `/v1/sessions/${id}`],
      ["PATCH", `/v1/sessions/${id}`, {}],
      ["DELETE", `/v1/sessions/${id}`],
      ["POST", `/v1/sessions/${id}/events`, { data: 1 }],
      ["POST", `/v1/sessions/${id}/tickets`],
      ["POST", `/v1/sessions/${id}/disconnect`],
      ["POST", "/v1/sessions", {}],
      ["GET", "/mcp"],
    ] as const) {
      expect([path, (await send(undefined, method, path + query, body)).status]).toEqual([
        path,
        401,
      ]);
    }
    const asToken = { authorization: `Bearer ${ticket}` };
    const response = await served.app.request(`/v1/sessions/${id}/events`, { headers: asToken });
    expect(response.status).toBe(401);
  });

  it("that was changed, cut or made up lets nobody in", async () => {
    const { id } = await make("alice");
    const { ticket } = await ticketFor("alice", id);
    const [payload = "", signature = ""] = ticket.split(".");
    const forged = btoa(JSON.stringify({ s: id, u: "alice", e: now + 1e9 })).replace(/=+$/, "");
    for (const wrong of [
      "",
      "x",
      payload,
      `${payload}.`,
      `.${signature}`,
      `${forged}.${signature}`,
      `${ticket}.x`,
      `${payload}.${"A".repeat(43)}`,
      "é".repeat(20),
      "x".repeat(8000),
    ]) {
      const path = `/v1/sessions/${id}/events?ticket=${encodeURIComponent(wrong)}`;
      expect([400, 401, 414]).toContain((await send(undefined, "GET", path)).status);
    }
  });

  it("does not stand in for a bearer token that is wrong", async () => {
    const { id } = await make("alice");
    const { url } = await ticketFor("alice", id);
    const headers = { authorization: "Bearer wrong" };
    expect((await served.app.request(url, { headers })).status).toBe(401);
  });

  it("is the owner's to ask for, or an admin's", async () => {
    const { id } = await make("alice");
    expect((await send("mallory", "POST", `/v1/sessions/${id}/tickets`)).status).toBe(404);
    const { url } = await ticketFor("root", id);
    expect((await send(undefined, "GET", url)).status).toBe(200);
  });

  it("does not open another's session made later under the same id", async () => {
    const { id } = await make("alice");
    const { url } = await ticketFor("alice", id);
    await send("alice", "DELETE", `/v1/sessions/${id}`);
    await make("mallory", { id });
    expect((await send(undefined, "GET", url)).status).toBe(404);
  });

  it("survives a rotation of the secret while the old one is listed", async () => {
    const { id } = await make("alice");
    served = { ...served, ...(await again(OLD)) };
    const { url } = await ticketFor("alice", id);
    served = { ...served, ...(await again(`${NEW},${OLD}`)) };
    expect((await send(undefined, "GET", url)).status).toBe(200);
    served = { ...served, ...(await again(NEW)) };
    expect((await send(undefined, "GET", url)).status).toBe(401);
  });

  it("cannot be made where no secret is set", async () => {
    served = await tokenApp(GRANTS);
    const { id } = await make("alice");
    const { status, json } = await send("alice", "POST", `/v1/sessions/${id}/tickets`);
    expect([status, (json as unknown as { code: string }).code]).toEqual([404, "not_found"]);
    expect((await send(undefined, "GET", `/v1/sessions/${id}/events?ticket=x.y`)).status).toBe(401);
  });

  const again = (secret: string) => tokenApp(GRANTS, { TICKET_SECRET: secret }, { now: () => now });
});

describe("where an upstream is, and under which id it knows the session", () => {
  const backend = { backend_url: "http://10.0.0.7/mcp", backend_sid: "the-upstream's-own" };

  it("is shown to admins only", async () => {
    const { id } = await make("root", { subject: "alice", metadata: { ...backend, mine: "yes" } });
    const seen = async (who: string) =>
      (await send(who, "GET", `/v1/sessions/${id}?touch=false`)).json.metadata;
    expect(await seen("root")).toEqual({ ...backend, mine: "yes" });
    expect(await seen("alice")).toEqual({ mine: "yes" });
    const patched = await send("alice", "PATCH", `/v1/sessions/${id}`, { metadata: { more: "m" } });
    expect(patched.json.metadata).toEqual({ mine: "yes", more: "m" });
    expect(await seen("root")).toEqual({ ...backend, mine: "yes", more: "m" });
  });

  it("stays when its owner replaces or clears the metadata, with the upstream that it belongs to", async () => {
    const kept = { ...backend, upstream: "default" };
    const { id } = await make("root", { subject: "alice", metadata: { ...kept, note: "a" } });
    const path = `/v1/sessions/${id}`;
    const stored = async () => (await send("root", "GET", path)).json.metadata;
    for (const [method, metadata, left] of [
      ["PUT", { note: "b" }, { note: "b" }],
      ["PATCH", null, {}],
      ["PUT", {}, {}],
    ] as const) {
      const { status, json } = await send("alice", method, path, { metadata });
      expect([status, json.metadata]).toEqual([200, { ...left, upstream: "default" }]);
      expect(await stored()).toEqual({ ...left, ...kept });
    }
    const moved = await send("alice", "PUT", path, { metadata: { upstream: "other" } });
    expect([moved.status, moved.json]).toMatchObject([403, { code: "forbidden" }]);
    expect(await stored()).toEqual(kept);
    expect((await send("root", "PATCH", path, { metadata: null })).status).toBe(200);
    expect(await stored()).toEqual({});
  });

  it("is kept or refused, and never passed over, where its owner is a library's caller", async () => {
    const { id } = await make("root", { subject: "alice", metadata: { ...backend, note: "a" } });
    const alice = { admin: false, subject: "alice" };
    const object = objectOf(id);
    const content = (metadata: Record<string, string>) => ({
      type: "mcp" as const,
      metadata,
      ttlMs: 60_000,
      maxLifetimeMs: 0,
    });
    const stored = async () =>
      (await send("root", "GET", `/v1/sessions/${id}?touch=false`)).json.metadata;
    // A caller may store a read session again, with the members that it cannot change or without them.
    for (const metadata of [{ ...backend, note: "b" }, { note: "b" }]) {
      expect((await object.upsert(alice, id as SessionId, content(metadata))).ok).toBe(true);
      expect(await stored()).toEqual({ ...backend, note: "b" });
    }
    for (const changed of [
      object.upsert(alice, id as SessionId, content({ ...backend, backend_sid: "two" })),
      object.patch(alice, { metadata: { backend_sid: "two" } }),
      object.patch(alice, { metadata: { backend_url: null } }),
    ]) {
      expect(await changed).toMatchObject({ ok: false, code: "forbidden" });
    }
    expect(await stored()).toEqual({ ...backend, note: "b" });
  });

  it.each(Object.entries(backend))("cannot be set by its owner: %s", async (key, value) => {
    const { id } = await make("root", { subject: "alice", metadata: backend });
    for (const [method, path, body] of [
      ["POST", "/v1/sessions", { metadata: { [key]: value } }],
      ["PUT", `/v1/sessions/${id}`, { metadata: { [key]: value } }],
      ["PATCH", `/v1/sessions/${id}`, { metadata: { [key]: value } }],
      ["PATCH", `/v1/sessions/${id}`, { metadata: { [key]: null } }],
    ] as const) {
      const { status, json } = await send("alice", method, path, body);
      expect([status, json]).toMatchObject([
        403,
        { code: "forbidden", detail: `metadata.${key}: only an admin may set it.` },
      ]);
    }
    const { json } = await send("root", "GET", `/v1/sessions/${id}`);
    expect(json.metadata).toEqual(backend);
  });
});

it.each([["other"], [null]])(
  "a session that an upstream knows is not moved to another by its owner: %s",
  async (to) => {
    const metadata = { backend_sid: "the-upstream's-own", upstream: "default" };
    const { id } = await make("root", { subject: "alice", metadata });
    const move = (who: string, upstream: string | null) =>
      send(who, "PATCH", `/v1/sessions/${id}`, { metadata: { upstream } });
    const { status, json } = await move("alice", to);
    expect([status, json]).toMatchObject([
      403,
      { code: "forbidden", detail: "metadata.upstream: only an admin may move a session." },
    ]);
    expect((await send("root", "GET", `/v1/sessions/${id}`)).json.metadata).toEqual(metadata);
    expect((await move("alice", "default")).status).toBe(200);
    expect((await move("root", to)).status).toBe(200);
  },
);

it("no session outlives what the operator allows, whatever it asks for", async () => {
  const { app, headers } = await tokenApp(GRANTS, { SESSION_MAX_LIFETIME_SECONDS: "60" });
  const ask = async (body: object) => {
    const response = await app.request("/v1/sessions", {
      method: "POST",
      headers: { ...headers["alice"], "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return ((await response.json()) as Session).maxLifetimeSeconds;
  };
  expect(await ask({})).toBe(60);
  expect(await ask({ maxLifetimeSeconds: 30 })).toBe(30);
  expect(await ask({ maxLifetimeSeconds: 61 })).toBe(60);
  expect(await ask({ maxLifetimeSeconds: 0, ttlSeconds: 31_536_000 })).toBe(60);
});
