/** `createHoldfast` within an app that has routes, a login by cookie and a base path of its own. */
import { env as platformEnv } from "cloudflare:workers";
import { Hono } from "hono";
import { getCookie } from "hono/cookie";
import {
  createRemoteJWKSet,
  customFetch,
  errors,
  exportJWK,
  generateKeyPair,
  jwtVerify,
  SignJWT,
} from "jose";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createHoldfast, SessionError } from "../../src/entries/worker.ts";
import type { HoldfastOptions, Scope } from "../../src/entries/worker.ts";
import { newApiToken } from "../../src/auth/api-tokens.ts";
import { SseReader } from "../support/sse-reader.ts";

type Env = Readonly<Record<string, unknown>>;

const env = platformEnv as unknown as Env;
const ORIGIN = "https://app.example";
const PAGE = "https://page.example";

/** The users who are logged in, by cookie, and what each may do. */
const LOGINS: Readonly<Record<string, { subject: string; scopes: readonly Scope[] }>> = {
  ada: { subject: "ada", scopes: ["sessions:read", "sessions:write", "events:subscribe"] },
  bob: { subject: "bob", scopes: ["sessions:read", "sessions:write", "events:subscribe", "mcp"] },
  guest: { subject: "guest", scopes: [] },
};

const loginOf = (request: Request) =>
  LOGINS[/(?:^|; )login=(\w+)/.exec(request.headers.get("cookie") ?? "")?.[1] ?? ""] ?? null;

function appWith(options: HoldfastOptions<Env> = {}) {
  const holdfast = createHoldfast<Env>({
    basePath: "/live",
    authenticate: loginOf,
    allowedOrigins: [PAGE],
    cors: { credentials: true },
    ticketSecret: "t".repeat(32),
    ...options,
  });
  const app = new Hono<{ Bindings: Env }>();
  app.get("/", (c) => c.text("the app's own page"));
  app.all("/live/*", (c) => holdfast.fetch(c.req.raw, c.env));
  app.all("/.well-known/*", (c) => holdfast.fetch(c.req.raw, c.env));
  app.get("/answers/:id/events", (c) =>
    holdfast
      .sessions(c.env, { subject: getCookie(c, "login") ?? "nobody" })
      .follow(c.req.raw, c.req.param("id")),
  );
  const request = (path: string, init: RequestInit & { login?: string } = {}, at = env) => {
    const { login, ...rest } = init;
    const headers = new Headers(rest.headers);
    if (login !== undefined) headers.set("cookie", `theme=dark; login=${login}`);
    return app.fetch(new Request(ORIGIN + path, { ...rest, headers }), at);
  };
  return { holdfast, app, request, sessions: holdfast.sessions(env) };
}

const { holdfast, request, sessions } = appWith();

const json = (body: unknown): RequestInit => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" },
});

/** The error that a promise is rejected with, as a client over HTTP sees one. */
async function refusalOf(promise: Promise<unknown>) {
  const failure: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(failure instanceof SessionError)) throw new Error(`not refused: ${String(failure)}`);
  return { code: failure.code, status: failure.status, detail: failure.message };
}

describe("beside an app's own routes", () => {
  it("serves what lies below its base path, and nothing else", async () => {
    expect(await (await request("/")).text()).toBe("the app's own page");
    expect((await request("/live/healthz")).status).toBe(200);
    const made = await request("/live/v1/sessions", { method: "POST", login: "ada" });
    const { id } = await made.json<{ id: string }>();
    expect(made.headers.get("location")).toBe(`/live/v1/sessions/${id}`);
    expect((await request(`/live/v1/sessions/${id}`, { login: "ada" })).status).toBe(200);
    const elsewhere = (path: string) =>
      holdfast.fetch(new Request(ORIGIN + path, { headers: { cookie: "login=ada" } }), env);
    for (const path of [`/v1/sessions/${id}`, "/healthz", "/livev1/sessions", "/live%2Fhealthz"]) {
      expect([path, (await elsewhere(path)).status]).toEqual([path, 404]);
    }
  });

  it("names its addresses with the base path", async () => {
    // Nothing listens there: the stream opens all the same.
    const upstreams = { default: { url: "http://127.0.0.1:9/mcp" } };
    const opened = await appWith({ upstreams }).request("/live/sse", {
      login: "bob",
      headers: { accept: "text/event-stream" },
    });
    const reader = new SseReader(opened.body!);
    const [endpoint] = await reader.take(1);
    expect(endpoint?.data).toMatch(/^\/live\/messages\?session_id=/);
    await reader.leave();
    const described = await request("/live/openapi.json");
    expect(await described.json()).toMatchObject({ servers: [{ url: "/live" }] });
    const { id } = await sessions.create({ subject: "ada" });
    const { url } = await (
      await request(`/live/v1/sessions/${id}/tickets`, { method: "POST", login: "ada" })
    ).json<{ url: string }>();
    expect(url.startsWith(`${ORIGIN}/live/v1/sessions/${id}/events?ticket=`)).toBe(true);
    // The ticket alone opens the stream, at the address that it came with.
    const stream = await request(url.slice(ORIGIN.length));
    expect(stream.status).toBe(200);
    await stream.body?.cancel();
  });

  it("describes its resource under the base path, where tokens let callers in", async () => {
    const { entry } = await newApiToken("ada", ["mcp"]);
    const guarded = appWith({ authenticate: undefined, auth: "token", apiTokens: [entry] });
    const challenge = (await guarded.request("/live/mcp", { method: "POST" })).headers.get(
      "www-authenticate",
    );
    const address = `${ORIGIN}/.well-known/oauth-protected-resource/live/mcp`;
    expect(challenge).toContain(`resource_metadata="${address}"`);
    expect(challenge).toContain('scope="mcp"');
    const described = await guarded.request(address.slice(ORIGIN.length));
    expect(await described.json()).toMatchObject({
      resource: `${ORIGIN}/live/mcp`,
      scopes_supported: ["mcp"],
    });
    // Where the service's own document says that it is.
    const { paths } = await (
      await guarded.request("/live/openapi.json")
    ).json<{ paths: Record<string, { servers?: readonly { url: string }[] }> }>();
    const [path = "", item] =
      Object.entries(paths).find(([name]) => name.startsWith("/.well-known/")) ?? [];
    expect(item?.servers?.map(({ url }) => url)).toEqual(["/"]);
    expect((await guarded.request(path)).status).toBe(200);
  });
});

describe("an app's own authentication", () => {
  const create = (login?: string, path = "/live/v1/sessions") =>
    request(path, { method: "POST", ...(login !== undefined && { login }) });

  it("decides who calls, and keeps callers apart", async () => {
    expect((await create()).status).toBe(401);
    expect((await create("nobody")).status).toBe(401);
    expect((await create("guest")).status).toBe(403);
    const made = await create("ada");
    const { id, subject } = await made.json<{ id: string; subject: string }>();
    expect([made.status, subject]).toEqual([201, "ada"]);
    expect((await request(`/live/v1/sessions/${id}`, { login: "bob" })).status).toBe(404);
    const bearer = { headers: { authorization: "Bearer anything" } };
    expect((await request(`/live/v1/sessions/${id}`, bearer)).status).toBe(401);
  });

  it("may be by the platform's token, as docs/own-worker.md shows for Cloudflare Access", async () => {
    const { publicKey, privateKey } = await generateKeyPair("RS256");
    const other = await generateKeyPair("RS256");
    const keysOf = vi.fn(async () =>
      Response.json({ keys: [{ ...(await exportJWK(publicKey)), alg: "RS256", kid: "1" }] }),
    );
    const [issuer, audience] = ["https://team.cloudflareaccess.com", "tag"];
    const keysUrl = new URL("/cdn-cgi/access/certs", issuer);
    // As the page has it, but for the fetch.
    const authenticateBy = (keys: ReturnType<typeof createRemoteJWKSet>) => async (of: Request) => {
      const token = of.headers.get("cf-access-jwt-assertion");
      if (token === null) return null;
      try {
        const { payload } = await jwtVerify(token, keys, { issuer, audience });
        if (!payload.sub) return null;
        return { subject: payload.sub, scopes: ["sessions:write"] as const };
      } catch (failure) {
        const { code } = failure instanceof errors.JOSEError ? failure : { code: "" };
        if (/^ERR_JW[ST]_|_NO_MATCHING_KEY$/.test(code)) return null;
        throw failure;
      }
    };
    const authenticate = authenticateBy(createRemoteJWKSet(keysUrl, { [customFetch]: keysOf }));
    const access = appWith({ authenticate });
    const signed = (claims: object, key = privateKey, kid = "1") =>
      new SignJWT({ iss: issuer, aud: [audience], sub: "ada", ...claims })
        .setProtectedHeader({ alg: "RS256", kid })
        .setExpirationTime("1m")
        .sign(key);
    const status = async (token: string | Promise<string>, at = access) => {
      const headers = { "cf-access-jwt-assertion": await token };
      const made = await at.request("/live/v1/sessions", { method: "POST", headers });
      const { subject } = await made.json<{ subject?: string }>();
      return subject ?? made.status;
    };
    expect(await status(signed({}))).toBe("ada");
    const bad = [
      signed({ aud: ["another"] }),
      signed({ iss: "https://evil.example" }),
      signed({ sub: "" }),
      signed({}, other.privateKey),
      signed({}, privateKey, "2"),
      "no token",
    ];
    for (const token of bad) expect(await status(token)).toBe(401);
    // The service does not let in a caller that it cannot verify now, and does not send it away for good.
    const away = createRemoteJWKSet(keysUrl, {
      [customFetch]: async () => new Response(null, { status: 500 }),
    });
    expect(await status(signed({}), appWith({ authenticate: authenticateBy(away) }))).toBe(503);
  });

  it("refuses a page of another origin, whose requests carry the cookie too", async () => {
    const from = (headers: Record<string, string>) =>
      request("/live/sse", { login: "bob", headers: { accept: "text/event-stream", ...headers } });
    expect((await from({ origin: "https://evil.example" })).status).toBe(403);
    expect(
      (await from({ "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" })).status,
    ).toBe(403);
  });

  it("lets pages of allowed origins send cookies, and no others", async () => {
    const preflight = { origin: PAGE, "access-control-request-method": "POST" };
    const { headers } = await request("/live/v1/sessions", {
      method: "OPTIONS",
      headers: preflight,
    });
    expect(headers.get("access-control-allow-credentials")).toBe("true");
    expect(headers.get("access-control-allow-origin")).toBe(PAGE);
    const made = await request("/live/v1/sessions", {
      method: "POST",
      login: "ada",
      headers: { origin: PAGE },
    });
    expect([made.status, made.headers.get("access-control-allow-credentials")]).toEqual([
      201,
      "true",
    ]);
    const without = appWith({ cors: undefined });
    const plain = await without.request("/live/healthz", { headers: { origin: PAGE } });
    expect(plain.headers.get("access-control-allow-origin")).toBe(PAGE);
    expect(plain.headers.get("access-control-allow-credentials")).toBeNull();
  });

  it.each([
    ["throws", () => Promise.reject(new Error("the login service is away"))],
    ["gives no scopes", () => ({ subject: "ada" })],
    ["gives an empty subject", () => ({ subject: "", scopes: ["admin"] })],
    ["gives text", () => "ada"],
    ["reads the body", (request: Request) => request.text().then(() => LOGINS["ada"])],
  ])("lets nobody in where it %s", async (_what, authenticate) => {
    const lines: string[] = [];
    const spy = vi
      .spyOn(console, "log")
      .mockImplementation((line: string) => void lines.push(line));
    onTestFinished(() => spy.mockRestore());
    const failing = appWith({ authenticate: authenticate as never });
    const answer = await failing.request("/live/v1/sessions", json({ metadata: { a: "b" } }));
    expect(answer.status).toBe(503);
    expect(await answer.text()).not.toMatch(/authenticate|login service/);
    expect(lines.join()).toMatch(/"request.crashed".*(authenticate must|login service is away)/);
  });

  it("ignores scopes that are none of the service's", async () => {
    const authenticate = () => ({
      subject: "ada",
      scopes: ["sessions:write", "billing"] as Scope[],
    });
    const made = await appWith({ authenticate }).request("/live/v1/sessions", { method: "POST" });
    expect(made.status).toBe(201);
  });
});

describe("sessions(env)", () => {
  it("makes, reads, changes and ends a session, as the routes do", async () => {
    const made = await sessions.create({ metadata: { a: "1" }, data: { n: [1] }, ttlSeconds: 60 });
    const overHttp = async () =>
      (await request(`/live/v1/sessions/${made.id}?touch=false`, { login: "ada" })).json();
    expect(made).toMatchObject({ type: "mcp", data: { n: [1] }, ttlSeconds: 60, ended: false });
    const owned = await sessions.put(made.id, { subject: "ada", data: "text" });
    expect(owned).toMatchObject({ created: false, subject: "ada", data: "text" });
    const { etag, ...session } = await sessions.get(made.id, { touch: false });
    expect(await overHttp()).toEqual(session);
    const patched = await sessions.patch(made.id, { metadata: { b: "2" } }, { ifMatch: etag });
    expect(patched).toMatchObject({ metadata: { b: "2" }, data: "text" });
    expect(await refusalOf(sessions.patch(made.id, {}, { ifMatch: etag }))).toMatchObject({
      code: "precondition_failed",
    });
    expect(await refusalOf(sessions.delete(made.id, { ifMatch: etag }))).toMatchObject({
      status: 412,
    });
    await sessions.delete(made.id, { ifMatch: patched.etag });
    await sessions.delete(made.id);
    expect(await refusalOf(sessions.get(made.id))).toMatchObject({ code: "session_not_found" });
    expect(await sessions.put(made.id, {}, { ifNoneMatch: "*" })).toMatchObject({ created: true });
    expect(await refusalOf(sessions.put(made.id, {}, { ifNoneMatch: "*" }))).toMatchObject({
      status: 412,
    });
  });

  it("publishes, reads and ends a stream", async () => {
    const { id } = await sessions.create();
    const one = await sessions.publish(
      id,
      { event: "token", data: { n: 1 } },
      { idempotencyKey: "k" },
    );
    const again = await sessions.publish(
      id,
      { event: "token", data: { n: 1 } },
      { idempotencyKey: "k" },
    );
    expect(again).toEqual({ ...one, replayed: true });
    const two = await sessions.publish(id, [{ data: "a" }, { data: new Date(0) }]);
    expect(two.ids).toHaveLength(2);
    const { id: end } = await sessions.end(id, { data: "bye" });
    expect(await sessions.end(id)).toEqual({ id: end });
    const page = await sessions.read(id, { limit: 3 });
    expect(page.events.map(({ event, data }) => [event, data])).toEqual([
      ["token", '{"n":1}'],
      [undefined, "a"],
      [undefined, "1970-01-01T00:00:00.000Z"],
    ]);
    const rest = await sessions.read(id, { after: page.lastEventId, wait: 1 });
    expect(rest).toMatchObject({ events: [{ data: "bye" }], ended: true });
    expect(await refusalOf(sessions.publish(id, { data: 1 }))).toMatchObject({
      code: "stream_ended",
    });
  });

  it("lists, counts and revokes", async () => {
    const subject = `subject-${crypto.randomUUID()}`;
    const own = holdfast.sessions(env, { subject });
    const made = await Promise.all([own.create(), own.create({ type: "sse" })]);
    await expect.poll(() => sessions.count({ subject })).toEqual({ count: 2 });
    const first = await own.list({ limit: 1 });
    const second = await own.list({ limit: 1, cursor: first.cursor });
    const ids = [...first.sessions, ...second.sessions].map(({ id }) => id);
    expect(ids.toSorted()).toEqual(made.map(({ id }) => id).toSorted());
    expect(await own.count({ type: "sse" })).toEqual({ count: 1 });
    expect(await refusalOf(own.list({ subject: "ada" }))).toMatchObject({ code: "forbidden" });
    expect(await refusalOf(own.revoke({ subject: "ada" }))).toMatchObject({ code: "forbidden" });
    expect(await refusalOf(sessions.revoke())).toMatchObject({ code: "invalid_request" });
    expect(await sessions.revoke({ subject })).toEqual({ deleted: 2 });
    await expect.poll(() => own.count()).toEqual({ count: 0 });
  });

  it("acts for a subject, which reaches its own sessions alone", async () => {
    const ada = holdfast.sessions(env, { subject: "ada" });
    const bob = holdfast.sessions(env, { subject: "bob" });
    const { id, subject } = await ada.create();
    expect(subject).toBe("ada");
    for (const call of [
      () => bob.get(id),
      () => bob.publish(id, { data: 1 }),
      () => bob.end(id),
      () => bob.read(id),
    ]) {
      expect(await refusalOf(call())).toMatchObject({ code: "session_not_found" });
    }
    expect(await refusalOf(ada.create({ subject: "bob" }))).toMatchObject({ code: "forbidden" });
    // Somebody who is not logged in must not reach everything.
    for (const nobody of [undefined, "", null, 7]) {
      expect(() => holdfast.sessions(env, { subject: nobody as string })).toThrow(
        "subject must be a text of 1 to 1024 characters",
      );
    }
  });

  const { id } = { id: "8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01" };
  const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)]);
  it.each<[string, (login: typeof sessions) => Promise<unknown>, string, RequestInit]>([
    ["an id", (s) => s.create({ id: "x" }), "", json({ id: "x" })],
    ["a type", (s) => s.create({ type: "x" as "mcp" }), "", json({ type: "x" })],
    ["a TTL", (s) => s.create({ ttlSeconds: 0 }), "", json({ ttlSeconds: 0 })],
    ["a member", (s) => s.create({ ttl: 1 } as object), "", json({ ttl: 1 })],
    [
      "metadata",
      (s) => s.create({ metadata: { a: 1 } as never }),
      "",
      json({ metadata: { a: 1 } }),
    ],
    [
      "a number",
      (s) => s.patch(id, { ttlSeconds: 1e9 }),
      `/${id}`,
      { ...json({ ttlSeconds: 1e9 }), method: "PATCH" },
    ],
    ["depth", (s) => s.create({ data: deep(80) }), "", json({ data: deep(80) })],
    [
      "size",
      (s) => s.create({ data: "x".repeat(800_000) }),
      "",
      json({ data: "x".repeat(800_000) }),
    ],
    ["no data", (s) => s.publish(id, { data: undefined }), `/${id}/events`, json({})],
    ["no events", (s) => s.publish(id, []), `/${id}/events`, json([])],
    [
      "a reserved name",
      (s) => s.publish(id, { event: "gap", data: 1 }),
      `/${id}/events`,
      json({ event: "gap", data: 1 }),
    ],
    ["no UUID", (s) => s.end("x"), "/x/end", { method: "POST" }],
    ["no session", (s) => s.end(id), `/${id}/end`, { method: "POST" }],
    ["a limit", (s) => s.list({ limit: 0 }), "?limit=0", {}],
    ["a cursor", (s) => s.list({ cursor: "x" }), "?cursor=x", {}],
    [
      "an ETag",
      (s) => s.delete(id, { ifMatch: "x" }),
      `/${id}`,
      { method: "DELETE", headers: { "if-match": "x" } },
    ],
  ])("refuses %s as the route does", async (_what, call, path, init) => {
    const open = appWith({ authenticate: undefined, auth: "none" });
    const answer = await open.request(`/live/v1/sessions${path}`, init);
    const { code, status, detail } = await answer.json<Record<string, unknown>>();
    const refusal = await refusalOf(call(sessions));
    // A body is what has the depth over HTTP.
    const expected = { code, status, detail: String(detail).replace(/^The body/, "It") };
    expect(refusal).toEqual(expected);
  });

  it("refuses what JSON cannot hold, where a client would have sent something else", async () => {
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    for (const data of [cyclic, 1n, NaN, { a: [Infinity] }]) {
      expect(await refusalOf(sessions.create({ data }))).toMatchObject({ code: "invalid_request" });
    }
    expect((await refusalOf(sessions.publish("x", { data: { a: [NaN] } }))).detail).toBe(
      "data.a.0: JSON cannot hold this number",
    );
  });

  it("gives tickets with a path, or with the address that is known", async () => {
    const { id: made } = await sessions.create();
    const { url, ticket } = await sessions.ticket(made);
    expect(url).toBe(`/live/v1/sessions/${made}/events?ticket=${ticket}`);
    expect((await sessions.ticket(made, { origin: ORIGIN })).url).toMatch(`${ORIGIN}/live/v1/`);
    const known = appWith({ publicUrl: "https://known.example" }).sessions;
    expect((await known.ticket(made, { origin: ORIGIN })).url).toMatch(
      /^https:\/\/known.example\/live/,
    );
    const off = appWith({ ticketSecret: undefined }).sessions;
    expect(await refusalOf(off.ticket(made))).toMatchObject({ code: "not_found" });
  });
});

describe("follow", () => {
  const open = async (id: string, init: RequestInit & { login?: string } = {}, query = "") =>
    request(`/answers/${id}/events${query}`, { login: "ada", ...init });

  it("is the route's stream: it resumes, keeps alive, ends, and says when it is over", async () => {
    const quick = appWith({ keepaliveSeconds: 0.05 });
    const { id } = await quick.sessions.create({ subject: "ada" });
    const { ids } = await quick.sessions.publish(id, [{ data: "1" }, { event: "e", data: "2" }]);
    const path = `/answers/${id}/events`;
    const response = await quick.request(path, { login: "ada" });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(response.headers.get("cache-control")).toContain("no-transform");
    const reader = new SseReader(response.body!);
    expect((await reader.take(2)).map(({ data }) => data)).toEqual(["1", "2"]);
    await reader.until(/^:.*\n/m);
    await reader.leave();
    const resumed = await quick.request(path, {
      login: "ada",
      headers: { "last-event-id": ids[0]! },
    });
    const again = new SseReader(resumed.body!);
    expect(await again.take(1)).toEqual([{ id: ids[1], event: "e", data: "2" }]);
    const { id: end } = await quick.sessions.end(id);
    expect(await again.rest()).toMatchObject([{ event: "ended", id: end }]);
    const over = await quick.request(`${path}?lastEventId=${end}`, { login: "ada" });
    expect(over.status).toBe(204);
    const page = await quick.request(`${path}?limit=1`, {
      login: "ada",
      headers: { accept: "application/json" },
    });
    expect(await page.json()).toMatchObject({ events: [{ data: "1" }] });
  });

  it("answers errors as responses", async () => {
    const { id } = await sessions.create({ subject: "bob" });
    const missing = await open(id);
    expect(missing.status).toBe(404);
    expect(missing.headers.get("content-type")).toBe("application/problem+json");
    expect((await open("x")).status).toBe(400);
    expect((await open(id, {}, "?from=home")).status).toBe(400);
    const full = appWith({ authenticate: undefined, auth: "none" });
    const { id: narrow } = await full.sessions.create({ subject: "ada" });
    const streams = await Promise.all(
      Array.from({ length: 33 }, () => open(narrow, { login: "ada" })),
    );
    const refused = streams.find(({ status }) => status === 429);
    expect(refused?.headers.get("retry-after")).toBe("5");
    await Promise.all(streams.map(({ body }) => body?.cancel()));
  });
});

describe("what it cannot use", () => {
  const { SESSIONS, DIRECTORY } = env;

  it.each<[string, Env, HoldfastOptions, string]>([
    [
      "no SESSIONS",
      { DIRECTORY },
      {},
      'SESSIONS is not bound: add [[durable_objects.bindings]] with name = "SESSIONS" and class_name = "SessionObject" to wrangler.toml',
    ],
    [
      "no DIRECTORY",
      { SESSIONS },
      {},
      'DIRECTORY is not bound: add [[durable_objects.bindings]] with name = "DIRECTORY" and class_name = "DirectoryObject" to wrangler.toml, or set directoryShards to 0',
    ],
    [
      "a SESSIONS of another kind",
      { SESSIONS: "x", DIRECTORY },
      {},
      "SESSIONS is bound to something else: add",
    ],
    [
      "an option",
      env,
      { maxWriters: 0 },
      'maxWriters must be a whole number from 1 to 10000, not "0"',
    ],
    [
      "a variable",
      { ...env, MAX_WRITERS: "0" },
      {},
      'MAX_WRITERS must be a whole number from 1 to 10000, not "0"',
    ],
    [
      "an unknown option",
      env,
      { maxWriter: 1 } as object,
      "maxWriter is no option of createHoldfast",
    ],
    [
      "an upstream's binding",
      env,
      { upstreams: { a: { binding: "TOOLS" } } },
      'upstreams a: there is no service binding TOOLS: add [[services]] with binding = "TOOLS"',
    ],
    [
      "a rate limit that is something else",
      { ...env, SUBJECT_LIMIT: "100" },
      {},
      "SUBJECT_LIMIT is bound to something else: it must be one of [[ratelimits]]",
    ],
    [
      "a token that would go on",
      env,
      {
        auth: "token",
        apiTokens: [{ sha256: "ab".repeat(32), subject: "ada", scopes: [] }],
        upstreams: { a: { url: "https://a.example/mcp", forwardAuthorization: true } },
      },
      "upstreams a: forwardAuthorization true would pass on tokens",
    ],
  ])("%s is refused at the first request, and at each", async (_what, bindings, options, line) => {
    const bad = createHoldfast<Env>(options);
    for (const _ of [1, 2]) {
      await expect(bad.fetch(new Request(`${ORIGIN}/healthz`), bindings)).rejects.toThrow(line);
    }
    expect(() => bad.sessions(bindings)).toThrow(line);
  });

  it("needs no directory where there is none to be", async () => {
    const small = createHoldfast<Env>({ directoryShards: 0, auth: "none" });
    expect((await small.fetch(new Request(`${ORIGIN}/healthz`), { SESSIONS })).status).toBe(200);
    expect(await refusalOf(small.sessions({ SESSIONS }).list())).toMatchObject({ status: 503 });
  });

  it("says what env is, to a caller that forgot it", async () => {
    const bare = createHoldfast();
    await expect(bare.fetch(new Request(ORIGIN), undefined as never)).rejects.toThrow(
      "env must be the second argument of the Worker's fetch",
    );
  });
});
