/** The guard by itself: which request it refuses, why, in which order, and the headers of every answer. */
import { Hono, type Context } from "hono";
import { expect, it, vi } from "vitest";
import { createAccess, type AccessPlatform } from "../../../src/auth/access.ts";
import { ANYBODY, NOBODY } from "../../../src/auth/identity.ts";
import { loadAuthSettings } from "../../../src/auth/settings.ts";
import type { Environment } from "../../../src/config/env.ts";
import { SessionError } from "../../../src/core/errors.ts";
import { parseSessionId } from "../../../src/core/id.ts";
import { MAX_HEADER_BYTES, MAX_URL_LENGTH } from "../../../src/core/limits.ts";
import { createGuard, failureAnswer, finish } from "../../../src/http/guard.ts";
import { RequestSignals } from "../../../src/http/request-signals.ts";
import { PUBLIC, UNGUARDED, type RouteScope } from "../../../src/http/route.ts";
import type { Logger } from "../../../src/logger.ts";
import { apiTokens } from "../../support/api-tokens.ts";

const SESSION = parseSessionId("8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01")!;
const SECRET = "s".repeat(32);
const URL_BASE = "https://sessions.example";

interface Behind {
  readonly scope?: RouteScope | undefined;
  readonly takesTicket?: boolean;
  readonly ownAuthentication?: boolean;
  readonly answer?: () => Response;
  readonly isPage?: boolean;
  readonly admitted?: boolean;
}

/** An app of one route behind the guard. It notes who was let in, and every line of the log. */
function guarded(variables: Environment, platform: AccessPlatform = {}, behind: Behind = {}) {
  const lines: unknown[][] = [];
  const note = (...line: unknown[]) => void lines.push(line);
  const log = { debug: note, info: note, warn: note, error: note } as unknown as Logger;
  const ownAuthentication = behind.ownAuthentication ?? false;
  const access = createAccess(loadAuthSettings(variables, { ownAuthentication }), platform);
  const guard = createGuard(access, log);
  const entered: unknown[] = [];
  const app = new Hono();
  const pass = finish(access, new RequestSignals(log));
  const failed = failureAnswer(log);
  const serve = async (c: Context) => {
    const { scope, takesTicket } = behind;
    const asked = takesTicket === undefined ? { scope } : { scope, takesTicket };
    const identity = await guard(c, asked);
    if (identity instanceof Response) return identity;
    entered.push(identity);
    if (behind.isPage) c.set("isPage", true);
    if (behind.admitted) c.set("admittedToGateway", true);
    return behind.answer?.() ?? new Response("served");
  };
  app.all("/:place/:id", (c) => pass(c, () => serve(c).catch((failure) => failed(c, failure))));
  const ask = async (headers: HeadersInit = {}, url = `${URL_BASE}/v1/${SESSION}`) => {
    const response = await app.request(url, { headers });
    const refusal = lines.find(([event]) => event === "request.refused")?.[1];
    const events = lines.map(([event]) => event);
    lines.length = 0;
    return { response, status: response.status, refusal, events };
  };
  return { ask, entered, lines, access };
}

async function ofTokens(
  platform: AccessPlatform = {},
  behind: Behind = {},
  more: Environment = {},
) {
  const { variable, headers } = await apiTokens({
    reader: ["alice", ["sessions:read"]],
    admin: ["root", ["admin"]],
  });
  const app = guarded({ AUTH: "token", API_TOKENS: variable, ...more }, platform, behind);
  return { ...app, reader: headers["reader"]!, admin: headers["admin"]! };
}

/** The problem of an answer that refuses. */
async function problemOf(response: Response) {
  return (await response.json()) as { code: string; detail: string };
}

it("checks nothing of an unguarded route, not even its host", async () => {
  const app = guarded({ ALLOWED_HOSTS: "other.example" }, {}, { scope: UNGUARDED });
  expect((await app.ask()).status).toBe(200);
  expect(app.entered).toEqual([NOBODY]);
});

it("lets anybody into a public route, without looking at the credential, but not past Host and rates", async () => {
  const { ask, entered, reader } = await ofTokens({}, { scope: PUBLIC });
  await ask(reader);
  await ask({ authorization: "Bearer nonsense" });
  expect(entered).toEqual([NOBODY, NOBODY]);
  const elsewhere = guarded({ ALLOWED_HOSTS: "other.example" }, {}, { scope: PUBLIC });
  expect((await elsewhere.ask()).status).toBe(403);
  const full = { limit: async () => ({ success: false }) };
  const platform = { addressOf: () => "192.0.2.1", addressLimit: full };
  const busy = guarded({ AUTH: "none" }, platform, { scope: PUBLIC });
  expect((await busy.ask()).status).toBe(429);
});

it("refuses a host and an origin that are not listed, and names the list", async () => {
  const variables = {
    AUTH: "none",
    ALLOWED_HOSTS: "sessions.example",
    ALLOWED_ORIGINS: "https://app.example",
  };
  const app = guarded(variables);
  const host = await app.ask({ host: "evil.example" });
  expect([host.status, host.refusal]).toMatchObject([403, { reason: "host" }]);
  expect((await problemOf(host.response)).detail).toBe("This Host is not in ALLOWED_HOSTS.");
  const origin = await app.ask({ origin: "https://evil.example" });
  expect([origin.status, origin.refusal]).toMatchObject([403, { reason: "origin" }]);
  expect((await problemOf(origin.response)).detail).toBe("This Origin is not in ALLOWED_ORIGINS.");
  expect((await app.ask({ origin: "https://app.example" })).status).toBe(200);
  expect(app.entered).toEqual([ANYBODY]);
});

it("without AUTH serves this machine under a name of this machine, and nobody else", async () => {
  const here = `http://localhost:8787/v1/${SESSION}`;
  const near = guarded({});
  expect((await near.ask({}, here)).status).toBe(200);
  const named = await near.ask();
  expect([named.status, named.refusal]).toMatchObject([401, { reason: "auth_unset" }]);
  expect((await problemOf(named.response)).detail).toMatch(/^Set AUTH to serve more/);
  const isFromThisMachine = vi.fn(
    (_request: Request, headers: ReadonlyMap<string, string>) => !headers.has("x-forwarded-for"),
  );
  const proxied = guarded({}, { isFromThisMachine });
  expect((await proxied.ask({ "x-forwarded-for": "192.0.2.1" }, here)).status).toBe(401);
  expect((await proxied.ask({}, here)).status).toBe(200);
  expect((await proxied.ask()).status).toBe(401);
  const open = guarded({ AUTH: "none" }, { isFromThisMachine: () => false });
  expect((await open.ask()).status).toBe(200);
});

const NAVIGATION = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };

it.each<[string, Record<string, string>, boolean]>([
  ["an image of another site", { "sec-fetch-site": "cross-site" }, false],
  ["a script of a sister site", { "sec-fetch-site": "same-site" }, false],
  ["a link on another site", { "sec-fetch-site": "cross-site", ...NAVIGATION }, true],
  ["a frame", { "sec-fetch-site": "cross-site", ...NAVIGATION, "sec-fetch-dest": "frame" }, false],
  ["no page's document", { "sec-fetch-site": "cross-site", "sec-fetch-dest": "document" }, false],
  ["the service's own page", { "sec-fetch-site": "same-origin" }, true],
  ["the user", { "sec-fetch-site": "none" }, true],
  ["no browser", {}, true],
  ["a listed page", { origin: "https://app.example", "sec-fetch-site": "cross-site" }, true],
])(
  "without a credential in the request, that of %s passes: %s",
  async (_whose, headers, passes) => {
    const listed = { ALLOWED_ORIGINS: "https://app.example" };
    const open = guarded({ AUTH: "none", ...listed });
    const { status, refusal, response } = await open.ask(headers);
    expect(status).toBe(passes ? 200 : 403);
    if (passes) return;
    expect(refusal).toMatchObject({ reason: "cross_site" });
    expect((await problemOf(response)).detail).toBe("Another site's page may not load this.");
    // A browser adds cookies by itself too, but never a token.
    const app = guarded(listed, { authenticate: async () => ANYBODY }, { ownAuthentication: true });
    expect((await app.ask(headers)).status).toBe(403);
    const jwt = guarded({
      ...listed,
      AUTH: "jwt",
      JWT_ISSUER: "https://issuer.example",
      JWT_AUDIENCE: URL_BASE,
      JWKS_URL: "https://issuer.example/jwks.json",
    });
    expect((await jwt.ask(headers)).refusal).toMatchObject({ reason: "no_credential" });
    const { ask, reader } = await ofTokens({}, {}, listed);
    expect((await ask({ ...headers, ...reader })).status).toBe(200);
  },
);

it("takes a URL and headers up to their bounds, and not one more", async () => {
  const app = guarded({ AUTH: "none" });
  const url = (length: number) => `${URL_BASE}/v1/x?`.padEnd(length, "x");
  expect((await app.ask({}, url(MAX_URL_LENGTH))).status).toBe(200);
  const long = await app.ask({}, url(MAX_URL_LENGTH + 1));
  expect((await problemOf(long.response)).code).toBe("uri_too_long");
  // "a" and "bb" are three bytes of names.
  const headers = (bytes: number) => ({ a: "x".repeat(bytes - 3 - 1000), bb: "x".repeat(1000) });
  expect((await app.ask(headers(MAX_HEADER_BYTES))).status).toBe(200);
  const large = await app.ask(headers(MAX_HEADER_BYTES + 1));
  expect((await problemOf(large.response)).code).toBe("headers_too_large");
  expect(app.entered).toHaveLength(2);
});

it("asks for a credential, and says the same of every wrong one", async () => {
  const { ask, entered, reader } = await ofTokens();
  const none = await ask();
  expect([none.status, none.refusal]).toMatchObject([401, { reason: "no_credential" }]);
  expect((await problemOf(none.response)).detail).toBe("A bearer token is needed.");
  const challenge = none.response.headers.get("www-authenticate");
  expect(challenge).toMatch(/^Bearer realm="holdfast"/);
  expect(challenge).not.toContain("error");
  const wrong = await ask({ authorization: "Bearer nonsense" });
  expect([wrong.status, wrong.refusal]).toMatchObject([401, { reason: "invalid_token" }]);
  expect((await problemOf(wrong.response)).detail).toBe("The bearer token is not valid.");
  expect(wrong.response.headers.get("www-authenticate")).toContain('error="invalid_token"');
  expect(entered).toEqual([]);
  const right = await ask(reader);
  expect(right.status).toBe(200);
  expect(right.response.headers.has("www-authenticate")).toBe(false);
  expect(entered).toMatchObject([{ subject: "alice" }]);
});

it("tells a visitor of an app with its own logins to log in", async () => {
  const app = guarded({}, { authenticate: async () => undefined }, { ownAuthentication: true });
  const { status, response } = await app.ask();
  expect([status, (await problemOf(response)).detail]).toEqual([401, "Log in first."]);
});

it("lets in who has the scope or is admin, and tells others which scope is missing", async () => {
  const { ask, entered, reader, admin } = await ofTokens({}, { scope: "sessions:write" });
  const refused = await ask(reader);
  expect([refused.status, refused.refusal]).toMatchObject([403, { reason: "insufficient_scope" }]);
  expect((await problemOf(refused.response)).detail).toBe("This needs the scope sessions:write.");
  const challenge = refused.response.headers.get("www-authenticate");
  expect(challenge).toContain('error="insufficient_scope", scope="sessions:write"');
  expect((await ask(admin)).status).toBe(200);
  expect(entered).toMatchObject([{ subject: "root" }]);
});

it("counts by address before it looks at the credential, and by subject before the scope", async () => {
  const taken: string[] = [];
  const full = new Set<string>();
  const limit = async ({ key }: { key: string }) => {
    taken.push(key);
    return { success: !full.has(key) };
  };
  const platform = {
    addressOf: (request: Request) => request.headers.get("x-test-address") ?? undefined,
    addressLimit: { limit },
    subjectLimit: { limit },
  };
  const { ask, reader } = await ofTokens(platform, { scope: "sessions:write" });
  const at = { "x-test-address": "2001:db8:1:2:3:4:5:6" };
  await ask({ ...at, ...reader });
  expect(taken.splice(0)).toEqual(["2001:db8:1:2", "alice"]);
  await ask(reader);
  await ask({ ...at, authorization: "Bearer nonsense" });
  expect(taken.splice(0)).toEqual(["alice", "2001:db8:1:2"]);
  full.add("alice");
  const ofSubject = await ask({ ...at, ...reader });
  expect([ofSubject.status, ofSubject.refusal]).toMatchObject([429, { reason: "rate_of_subject" }]);
  expect(ofSubject.response.headers.get("retry-after")).toBe("60");
  full.add("2001:db8:1:2");
  const ofAddress = await ask({ ...at, authorization: "Bearer nonsense" });
  expect([ofAddress.status, ofAddress.refusal]).toMatchObject([429, { reason: "rate_of_address" }]);
});

it("serves while a limiter fails, says so, and never counts a caller without a subject", async () => {
  const limit = vi.fn(() => Promise.reject(new Error("the binding is down")));
  const platform = { subjectLimit: { limit } };
  const { ask, reader, lines } = await ofTokens(platform, {
    answer: () => Response.json(lines),
  });
  const { status, response } = await ask(reader);
  const cause = expect.stringContaining("the binding is down");
  expect([status, await response.json()]).toEqual([200, [["rate-limit.failed", { cause }]]]);
  const open = guarded({ AUTH: "none", RATE_LIMIT_PER_SUBJECT: "1" }, platform);
  expect((await open.ask()).status).toBe(200);
  expect(limit).toHaveBeenCalledOnce();
});

it("takes a ticket where the route does, for its own session, unless a header is there", async () => {
  const more = { TICKET_SECRET: SECRET };
  const streams = await ofTokens({}, { takesTicket: true, scope: "events:subscribe" }, more);
  const ticket = await streams.access.tickets()!.sign({
    session: SESSION,
    subject: "alice",
    expiresAt: Date.now() + 60_000,
  });
  const url = `${URL_BASE}/v1/${SESSION}?ticket=${ticket}`;
  expect((await streams.ask({}, url)).status).toBe(200);
  expect(streams.entered).toMatchObject([{ subject: "alice" }]);
  const other = await streams.ask({}, url.replace("4e3c0b6c1a01", "4e3c0b6c1a02"));
  expect([other.status, other.refusal]).toMatchObject([401, { reason: "invalid_ticket" }]);
  expect((await problemOf(other.response)).detail).toMatch(/^The ticket is not for this stream/);
  expect(other.response.headers.get("www-authenticate")).toContain('error="invalid_token"');
  const both = await streams.ask({ authorization: "Bearer nonsense" }, url);
  expect([both.status, both.refusal]).toMatchObject([401, { reason: "invalid_token" }]);
  const elsewhere = await ofTokens({}, {}, more);
  expect((await elsewhere.ask({}, url)).refusal).toMatchObject({ reason: "no_credential" });
});

it("answers a request that failed with what the caller may know, and logs the rest", async () => {
  const failing = (failure: Error) => () => {
    throw failure;
  };
  const crashed = { answer: failing(new TypeError("secret")) };
  const crash = await guarded({ AUTH: "none" }, {}, crashed).ask();
  expect([crash.status, crash.events]).toEqual([503, ["request.crashed"]]);
  const { code, detail } = await problemOf(crash.response);
  expect([code, detail]).toEqual(["unavailable", "Service unavailable"]);
  const cause = new Error("secret");
  const refused = {
    answer: failing(new SessionError("too_many_writers", "Five are open.", { cause })),
  };
  const refusal = await guarded({ AUTH: "none" }, {}, refused).ask();
  expect([refusal.status, refusal.refusal]).toMatchObject([429, { reason: "too_many_writers" }]);
  expect(refusal.events).toEqual(["request.failed", "request.refused"]);
  expect((await problemOf(refusal.response)).detail).toBe("Five are open.");
  expect(refusal.response.headers.get("cache-control")).toBe("no-store");
});

const SAFE = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-frame-options": "DENY",
  "strict-transport-security": "max-age=31536000",
  "cache-control": "no-store",
};

it("gives every answer the headers that restrain browsers and caches, an upstream's too", async () => {
  const upstreams = () =>
    Object.defineProperty(
      new Response("upstream", { headers: { "x-of": "upstream" } }),
      "headers",
      {
        value: immutable(new Headers({ "x-of": "upstream", "cache-control": "public" })),
      },
    );
  const answers = [
    await guarded({ AUTH: "none" }).ask(),
    await guarded({}).ask(),
    await guarded({ AUTH: "none" }, {}, { answer: upstreams }).ask(),
  ];
  for (const { response } of answers) {
    expect(Object.fromEntries(response.headers)).toMatchObject(SAFE);
    expect(response.headers.has("cross-origin-opener-policy")).toBe(false);
  }
  expect(await answers[2]!.response.text()).toBe("upstream");
  expect(answers[2]!.response.headers.get("x-of")).toBe("upstream");
});

/** Headers as those of a fetched response. */
function immutable(headers: Headers): Headers {
  headers.set = () => {
    throw new TypeError("immutable");
  };
  return headers;
}

it("keeps what an answer says of caches beyond no-store, and says nothing of https without it", async () => {
  const streamed = { "cache-control": "no-store, no-transform" };
  const behind = { answer: () => new Response("", { headers: streamed }) };
  const { response } = await guarded({ AUTH: "none" }, {}, behind).ask(
    {},
    `http://sessions.example/v1/${SESSION}`,
  );
  expect(response.headers.get("cache-control")).toBe("no-store, no-transform");
  expect(response.headers.has("strict-transport-security")).toBe(false);
  const cached = { answer: () => new Response("", { headers: { "cache-control": "max-age=60" } }) };
  const other = await guarded({ AUTH: "none" }, {}, cached).ask();
  expect(other.response.headers.get("cache-control")).toBe("no-store");
});

it("lets a page load what its policy lists, and be opened by no other site", async () => {
  const { response } = await guarded({ AUTH: "none" }, {}, { isPage: true }).ask();
  expect(response.headers.get("content-security-policy")).toContain("script-src 'self'");
  expect(response.headers.get("cross-origin-opener-policy")).toBe("same-origin");
  expect(response.headers.get("cross-origin-resource-policy")).toBe("same-origin");
});

it.each([
  [401, false, true],
  [403, false, true],
  [404, false, false],
  [401, true, false],
  [403, true, false],
])(
  "a %i behind the guard, from the upstream: %s, has a challenge: %s",
  async (status, admitted, has) => {
    const behind = { admitted, answer: () => new Response(null, { status }) };
    const { response } = await guarded({ AUTH: "none" }, {}, behind).ask();
    expect(response.headers.has("www-authenticate")).toBe(has);
  },
);
