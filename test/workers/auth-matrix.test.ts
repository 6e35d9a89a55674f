/**
 * Every route of the OpenAPI document and of the gateway, for every scope, owner state and
 * credential state, with the answer that the contract expects. The expectation comes from
 * the table below, and uses no code of the guard.
 */
import { runInDurableObject } from "cloudflare:test";
import type { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ROUTES } from "../../src/app.ts";
import { SCOPES, type Scope } from "../../src/auth/identity.ts";
import { guardedApp } from "../support/guarded-app.ts";
import { Issuer } from "../support/issuer.ts";
import { objectOf, socketsOf, storedBy, told } from "../support/object.ts";
import { SseReader } from "../support/sse-reader.ts";

const OWNER_STATES = ["own", "other's", "unknown", "expired", "deleted"] as const;
type OwnerState = (typeof OWNER_STATES)[number];

interface Row {
  readonly method: string;
  /** `:id` stands for the session. */
  readonly path: string;
  /** The caller; `me` by default. */
  readonly caller?: string;
  /** How its session is made; `/v1` unless said otherwise. */
  readonly session?: "mcp" | "legacy";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** The scope that opens the route, besides `admin`. Undefined: the route is public. */
  readonly scope?: Scope;
  /** The status for a caller with the scope, by the state of the session. */
  readonly answers: Readonly<Record<OwnerState, number>>;
}

const always = (status: number) => ({
  own: status,
  "other's": status,
  unknown: status,
  expired: status,
  deleted: status,
});
/** Any operation on an existing session answers `status` for the caller's own session, and 404 for all others. */
const owned = (status: number) => ({ ...always(404), own: status });

const ROWS: Readonly<Record<string, Row>> = {
  listSessions: {
    method: "GET",
    path: "/v1/sessions",
    scope: "sessions:read",
    answers: always(200),
  },
  countSessions: {
    method: "GET",
    path: "/v1/sessions/count",
    scope: "sessions:read",
    answers: always(200),
  },
  revokeSessions: {
    method: "DELETE",
    // All sessions of this subject end, so no other row's test makes sessions for it.
    path: `/v1/sessions?subject=${encodeURIComponent("https://idp.example#leaver")}`,
    caller: "leaver",
    scope: "sessions:write",
    answers: always(202),
  },
  createSession: {
    method: "POST",
    path: "/v1/sessions",
    body: {},
    scope: "sessions:write",
    answers: always(201),
  },
  readSession: {
    method: "GET",
    path: "/v1/sessions/:id",
    scope: "sessions:read",
    answers: owned(200),
  },
  putSession: {
    method: "PUT",
    path: "/v1/sessions/:id",
    body: { metadata: { by: "put" } },
    scope: "sessions:write",
    answers: { own: 200, "other's": 404, unknown: 201, expired: 201, deleted: 201 },
  },
  patchSession: {
    method: "PATCH",
    path: "/v1/sessions/:id",
    body: { metadata: { by: "patch" }, ttlSeconds: 60 },
    scope: "sessions:write",
    answers: owned(200),
  },
  deleteSession: {
    method: "DELETE",
    path: "/v1/sessions/:id",
    scope: "sessions:write",
    answers: always(204),
  },
  publishEvents: {
    method: "POST",
    path: "/v1/sessions/:id/events",
    body: { data: "x" },
    scope: "events:publish",
    answers: owned(202),
  },
  followEvents: {
    method: "GET",
    path: "/v1/sessions/:id/events",
    scope: "events:subscribe",
    answers: owned(200),
  },
  endStream: {
    method: "POST",
    path: "/v1/sessions/:id/end",
    scope: "events:publish",
    answers: owned(202),
  },
  disconnectSession: {
    method: "POST",
    path: "/v1/sessions/:id/disconnect",
    scope: "sessions:write",
    answers: owned(204),
  },
  createTicket: {
    method: "POST",
    path: "/v1/sessions/:id/tickets",
    scope: "events:subscribe",
    answers: owned(201),
  },
  resourceMetadata: {
    method: "GET",
    path: "/.well-known/oauth-protected-resource",
    answers: always(200),
  },
  health: { method: "GET", path: "/healthz", answers: always(200) },
  ready: { method: "GET", path: "/readyz", answers: always(200) },
  openapi: { method: "GET", path: "/openapi.json", answers: always(200) },
};

const ping = { jsonrpc: "2.0", id: 7, method: "ping" };
const initialize = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "matrix", version: "1" },
  },
};
const takesBoth = { accept: "application/json, text/event-stream" };
const takesEvents = { accept: "text/event-stream" };
const ofMcp = { session: "mcp", scope: "mcp", headers: { "mcp-session-id": ":id" } } as const;
const ofLegacy = { session: "legacy", scope: "mcp" } as const;
const withMcp = (headers: Record<string, string>) => ({ ...ofMcp.headers, ...headers });

/** The gateway's routes, which have no description. No session here belongs to the upstream `other`. */
const GATEWAY_ROWS: Readonly<Record<string, Row>> = {
  "MCP initialize": {
    method: "POST",
    path: "/mcp",
    scope: "mcp",
    headers: takesBoth,
    body: initialize,
    answers: always(200),
  },
  "MCP request": {
    ...ofMcp,
    method: "POST",
    path: "/mcp",
    headers: withMcp(takesBoth),
    body: ping,
    answers: owned(200),
  },
  "MCP notification": {
    ...ofMcp,
    method: "POST",
    path: "/mcp",
    headers: withMcp(takesBoth),
    body: { jsonrpc: "2.0", method: "notifications/initialized" },
    answers: owned(202),
  },
  "MCP stream": {
    ...ofMcp,
    method: "GET",
    path: "/mcp",
    headers: withMcp(takesEvents),
    answers: owned(200),
  },
  "MCP resumption of a stream that was never": {
    ...ofMcp,
    method: "GET",
    path: "/mcp",
    headers: withMcp({ ...takesEvents, "last-event-id": "0mwsb9seoysobdq-000000000001-2" }),
    answers: owned(400),
  },
  "MCP end": { ...ofMcp, method: "DELETE", path: "/mcp", answers: owned(204) },
  "MCP request without a session": {
    method: "POST",
    path: "/mcp",
    scope: "mcp",
    headers: takesBoth,
    body: ping,
    answers: always(400),
  },
  "MCP by a method it has not": { ...ofMcp, method: "PUT", path: "/mcp", answers: always(405) },
  "MCP request to another upstream": {
    ...ofMcp,
    method: "POST",
    path: "/mcp/other",
    headers: withMcp(takesBoth),
    body: ping,
    answers: always(404),
  },
  "MCP stream of another upstream": {
    ...ofMcp,
    method: "GET",
    path: "/mcp/other",
    headers: withMcp(takesEvents),
    answers: always(404),
  },
  "MCP end at another upstream": {
    ...ofMcp,
    method: "DELETE",
    path: "/mcp/other",
    answers: always(404),
  },
  "MCP request to no upstream": {
    ...ofMcp,
    method: "POST",
    path: "/mcp/nowhere",
    body: ping,
    answers: always(404),
  },
  "legacy stream": {
    method: "GET",
    path: "/sse",
    scope: "mcp",
    headers: takesEvents,
    answers: always(200),
  },
  "legacy stream of another upstream": {
    method: "GET",
    path: "/sse/other",
    scope: "mcp",
    headers: takesEvents,
    answers: always(200),
  },
  "legacy stream of no upstream": {
    method: "GET",
    path: "/sse/nowhere",
    scope: "mcp",
    answers: always(404),
  },
  "legacy message": {
    ...ofLegacy,
    method: "POST",
    path: "/messages?session_id=:id",
    body: ping,
    answers: owned(202),
  },
  "legacy message to another upstream": {
    ...ofLegacy,
    method: "POST",
    path: "/messages/other?session_id=:id",
    body: ping,
    answers: always(404),
  },
  "legacy message without a session": {
    ...ofLegacy,
    method: "POST",
    path: "/messages",
    body: ping,
    answers: always(400),
  },
  "legacy message in an MCP session": {
    ...ofMcp,
    method: "POST",
    path: "/messages?session_id=:id",
    body: ping,
    answers: always(404),
  },
  "MCP request in a legacy session": {
    ...ofLegacy,
    method: "POST",
    path: "/mcp",
    headers: withMcp(takesBoth),
    body: ping,
    answers: always(404),
  },
};

const ALL_ROWS = { ...ROWS, ...GATEWAY_ROWS };

/** The gateway's paths as a client's configuration names them. */
const PREFIXES = [
  "/mcp",
  "/mcp/",
  "/mcp/other",
  "/mcp/other/",
  "/mcp/other/below",
  "/sse",
  "/sse/",
  "/messages?session_id=x",
];

let issuer: Issuer;
let app: Hono;

// One clock for all tests, which run beside each other: each lets some sessions expire, in a fraction
// of a second, and all others live for ten minutes.
beforeAll(async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  issuer = await Issuer.make("https://idp.example");
  app = guardedApp(
    {
      AUTH: "jwt",
      ...issuer.variables,
      TICKET_SECRET: "t".repeat(32),
      UPSTREAMS: '{"default":"demo","other":"demo"}',
    },
    { fetch: issuer.fetch },
  );
});
afterAll(() => void vi.useRealTimers());

/** A session in that state, as seen by `me`. */
async function sessionThatIs(state: OwnerState, kind?: Row["session"]): Promise<string> {
  if (state === "unknown") return crypto.randomUUID();
  const owner = state === "other's" ? "alice" : "me";
  const headers = { ...(await issuer.bearer(owner, ["sessions:write", "mcp"])), ...asJson };
  const id = await newSession(headers, kind);
  await told(id);
  if (state === "deleted") await app.request(`/v1/sessions/${id}`, { method: "DELETE", headers });
  if (state === "expired") {
    const ttl = JSON.stringify({ ttlSeconds: 0.1 });
    await app.request(`/v1/sessions/${id}`, { method: "PATCH", headers, body: ttl });
    vi.setSystemTime(Date.now() + 200);
  }
  return id;
}

async function newSession(headers: Record<string, string>, kind: Row["session"]): Promise<string> {
  if (kind === undefined) {
    const id = crypto.randomUUID();
    const body = JSON.stringify({ id, ttlSeconds: 600 });
    const made = await app.request("/v1/sessions", { method: "POST", headers, body });
    expect(made.status).toBe(201);
    return id;
  }
  if (kind === "mcp") {
    const made = await app.request("/mcp", {
      method: "POST",
      headers: { ...headers, ...takesBoth },
      body: JSON.stringify(initialize),
    });
    expect(made.status).toBe(200);
    await made.text();
    return made.headers.get("mcp-session-id")!;
  }
  const stream = await app.request("/sse", { headers: { ...headers, ...takesEvents } });
  const reader = new SseReader(stream.body!);
  await reader.until(/session_id=[\w-]{36}/);
  await reader.leave();
  const id = /session_id=([\w-]{36})/.exec(reader.text)![1]!;
  // A leaving reader counts as use, so it must have left before the test compares states.
  await vi.waitUntil(async () => (await socketsOf(id)) === 0, { timeout: 60_000 });
  return id;
}

const asJson = { "content-type": "application/json" };

async function send(row: Row, id: string, headers: Record<string, string>) {
  const { method, path, body } = row;
  const own = Object.entries(row.headers ?? {}).map(([name, value]) => [
    name,
    value.replace(":id", id),
  ]);
  const response = await app.request(path.replace(":id", id), {
    method,
    headers: { ...headers, ...(body !== undefined && asJson), ...Object.fromEntries(own) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const streams = response.headers.get("content-type")?.startsWith("text/event-stream");
  if (streams) await response.body?.cancel();
  const text = streams ? "" : await response.text();
  return { status: response.status, text, challenge: response.headers.get("www-authenticate") };
}

it("has a row for every route that is described", () => {
  const described = ROUTES.map(({ operationId, method, path, scope }) => {
    const isScope = SCOPES.some((known) => known === scope);
    return [operationId, `${method.toUpperCase()} ${path}`, isScope ? scope : undefined];
  });
  const rows = Object.entries(ROWS).map(([id, row]) => [
    id,
    `${row.method} ${row.path.split("?")[0]}`,
    row.scope,
  ]);
  expect(described.toSorted()).toEqual(rows.toSorted());
});

// A refusal takes its time, so the tests wait beside each other. Each makes up to eight sessions, and a
// busy machine may be slow at that.
describe.concurrent.each(Object.entries(ALL_ROWS))(
  "%s",
  { timeout: 120_000 },
  (_operation, row) => {
    it.each(OWNER_STATES)(
      "answers each scope as it should on a session that is %s",
      async (state) => {
        // All refused callers share one session, because none of them changes it.
        const sparedId = await sessionThatIs(state, row.session);
        const answersTo = async (held: Scope | undefined) => {
          const allowed = row.scope === undefined || held === row.scope || held === "admin";
          const id = allowed ? await sessionThatIs(state, row.session) : sparedId;
          const before = state === "other's" ? await objectState(id) : undefined;
          const headers = await issuer.bearer(row.caller ?? "me", held ? [held] : []);
          const { status, challenge } = await send(row, id, headers);
          const others = held === "admin" && state === "other's";
          const expected = allowed ? row.answers[others ? "own" : state] : 403;
          expect([held, status]).toEqual([held, expected]);
          if (status === 403) {
            expect(challenge).toContain(`error="insufficient_scope", scope="${row.scope}"`);
            expect(challenge).toContain('resource_metadata="http');
          }
          if (before && !others) expect(await objectState(id)).toEqual(before);
        };
        // A refusal takes its time, so they ask at once.
        await Promise.all([...SCOPES, undefined].map(answersTo));
      },
    );

    it("answers each wrong credential with 401, and changes nothing", async () => {
      const id = await sessionThatIs("other's", row.session);
      const before = await objectState(id);
      for (const [name, headers] of Object.entries(await issuer.wrongCredentials("alice"))) {
        const { status, challenge, text } = await send(row, id, headers);
        expect([name, status]).toEqual([name, row.scope ? 401 : row.answers.own]);
        if (!row.scope) continue;
        expect(challenge).toMatch(
          /^Bearer realm="holdfast",.* resource_metadata="http:\/\/localhost\/\.well-known/,
        );
        expect(challenge?.includes('error="invalid_token"')).toBe(
          !["none", "basic"].includes(name),
        );
        expect(text).not.toContain(id);
      }
      expect(await objectState(id)).toEqual(before);
    });
  },
);

describe.concurrent.each(PREFIXES)("%s", (path) => {
  // A legacy client POSTs to a URL that it does not know the service by.
  const resource = path.startsWith("/messages") ? "/sse" : path;
  const row: Row = { method: "POST", path, body: {}, scope: "mcp", answers: always(404) };

  it("needs the scope mcp", async () => {
    for (const held of [...SCOPES, undefined]) {
      const { status } = await send(row, "", await issuer.bearer("me", held ? [held] : []));
      if (held === "mcp" || held === "admin") expect([401, 403]).not.toContain(status);
      else expect([held, status]).toEqual([held, 403]);
    }
  });

  it("answers each wrong credential with 401", async () => {
    for (const [name, headers] of Object.entries(await issuer.wrongCredentials("alice"))) {
      const { status, challenge } = await send(row, "", headers);
      expect([name, status]).toEqual([name, 401]);
      expect(challenge).toContain('scope="mcp"');
      expect(challenge).toContain(
        `resource_metadata="http://localhost/.well-known/oauth-protected-resource${resource}"`,
      );
    }
  });
});

it(
  "answers a stranger byte for byte as it answers for an id that was never made",
  { timeout: 60_000 },
  async () => {
    const rows = Object.values(ALL_ROWS).filter(
      ({ answers }) => answers["other's"] === 404 && answers.unknown === 404,
    );
    const compare = async (row: Row) => {
      const headers = await issuer.bearer(
        "me",
        SCOPES.filter((scope) => scope !== "admin"),
      );
      const stranger = await send(row, await sessionThatIs("other's", row.session), headers);
      for (const state of ["unknown", "expired", "deleted"] as const) {
        expect(await send(row, await sessionThatIs(state, row.session), headers)).toEqual(stranger);
      }
    };
    await Promise.all(rows.map(compare));
  },
);

it("answers a stranger's conditional PUT as it answers for an id that was never made", async () => {
  const row = ROWS["putSession"]!;
  const headers = { ...(await issuer.bearer("me", ["sessions:write"])), "if-match": "*" };
  const stranger = await send(row, await sessionThatIs("other's"), headers);
  expect(stranger.status).toBe(412);
  expect(await send(row, await sessionThatIs("unknown"), headers)).toEqual(stranger);
});

it("answers a create under another's id as it answers its owner", async () => {
  const id = await sessionThatIs("other's");
  const row: Row = { ...ROWS["createSession"]!, body: { id, ttlSeconds: 1 } };
  const before = await objectState(id);
  const stranger = await send(row, id, await issuer.bearer("me", ["sessions:write"]));
  expect(stranger.status).toBe(409);
  expect(await send(row, id, await issuer.bearer("alice", ["sessions:write"]))).toEqual(stranger);
  expect(await objectState(id)).toEqual(before);
});

/** Everything that a stranger could have changed: every stored value, and the alarm. */
async function objectState(id: string): Promise<unknown> {
  const values = await runInDurableObject(objectOf(id), (_object, { storage }) => [
    ...storage.kv.list(),
  ]);
  return { values, ...(await storedBy(id)) };
}
