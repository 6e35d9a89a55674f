/** The checks of the guard (Host, Origin, sizes, rates), and the headers of every answer. */
import { expect, describe, it } from "vitest";
import { ROUTES } from "../../src/app.ts";
import { UNGUARDED } from "../../src/http/route.ts";
import { MAX_HEADER_BYTES, MAX_JSON_DEPTH, MAX_URL_LENGTH } from "../../src/core/limits.ts";
import { request } from "../support/call.ts";
import { guardedApp, tokenApp } from "../support/guarded-app.ts";
import { storedBy } from "../support/object.ts";

const GUARDED = ROUTES.filter(({ scope }) => scope !== UNGUARDED).map(
  ({ method, path }) => [method.toUpperCase(), path.replace(":id", crypto.randomUUID())] as const,
);

interface RpcError {
  readonly error: { readonly message: string };
}

const codeOf = async (response: Response) => ((await response.json()) as { code: string }).code;

describe("without AUTH", () => {
  const app = guardedApp({});

  it.each(GUARDED)(
    "%s %s on another host answers 401 with how to set it up",
    async (method, path) => {
      const response = await app.request(`https://sessions.example${path}`, { method });
      expect(response.status).toBe(401);
      const { detail } = (await response.json()) as { detail: string };
      expect(detail).toMatch(/^Set AUTH to serve more than this machine: .*npm run token.*$/);
      expect(response.headers.get("www-authenticate")).toBe('Bearer realm="holdfast"');
    },
  );

  it.each([
    "localhost",
    "localhost:8787",
    "127.0.0.1:8787",
    "127.8.9.1",
    "[::1]:8787",
    "app.localhost",
  ])("serves %s", async (host) => {
    const path = `/v1/sessions/${crypto.randomUUID()}`;
    expect((await app.request(`http://${host}${path}`)).status).toBe(404);
    expect((await app.request(`http://localhost${path}`, { headers: { host } })).status).toBe(404);
  });

  it.each([
    "sessions.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "10.0.0.1",
    "[::2]",
    "a b",
    "evil@localhost",
  ])("does not serve a Host header of %s, whatever the URL says", async (host) => {
    const response = await app.request("http://localhost/openapi.json", { headers: { host } });
    expect([401, 403]).toContain(response.status);
  });

  it("serves nobody but this machine, whatever Host a stranger sends", async () => {
    const isFromThisMachine = (request: Request) => !request.headers.has("x-real-ip");
    const near = guardedApp({}, { isFromThisMachine });
    const path = `/v1/sessions/${crypto.randomUUID()}`;
    const headers = { "x-real-ip": "192.0.2.2" };
    expect((await near.request(`http://localhost${path}`, { headers })).status).toBe(401);
    expect((await near.request("http://localhost/mcp", { headers })).status).toBe(401);
    expect((await near.request(`http://localhost${path}`)).status).toBe(404);
    const open = guardedApp({ AUTH: "none" }, { isFromThisMachine });
    expect((await open.request(`http://localhost${path}`, { headers })).status).toBe(404);
  });

  it("asks the platform which address that is", async () => {
    const status = async (headers: HeadersInit) =>
      (await request("GET", "/openapi.json", undefined, headers)).status;
    expect(await status({})).toBe(200);
    expect(await status({ "cf-connecting-ip": "192.0.2.2" })).toBe(401);
    expect(await status({ "x-forwarded-for": "192.0.2.2" })).toBe(401);
  });

  it("lets no page of another port act, unless it is listed", async () => {
    const create = { method: "POST", headers: { origin: "http://localhost:3000" } };
    const url = "http://localhost:8787/v1/sessions";
    expect((await app.request(url, create)).status).toBe(403);
    const listed = guardedApp({ ALLOWED_ORIGINS: "http://localhost:3000" });
    expect((await listed.request(url, create)).status).toBe(201);
  });

  it("serves /healthz on any host", async () => {
    const headers = { host: "evil.example", origin: "https://evil.example" };
    expect((await app.request("https://evil.example/healthz", { headers })).status).toBe(200);
  });

  it("makes and takes tickets without configuration", async () => {
    const id = crypto.randomUUID();
    const headers = { "content-type": "application/json" };
    await app.request(`/v1/sessions/${id}`, { method: "PUT", body: "{}", headers });
    const made = await app.request(`/v1/sessions/${id}/tickets`, { method: "POST" });
    const { url } = (await made.json()) as { url: string };
    expect((await app.request(url, { method: "HEAD" })).status).toBe(200);
  });
});

it("AUTH=none lets anybody in, on any host", async () => {
  const app = guardedApp({ AUTH: "none" });
  const response = await app.request("https://sessions.example/v1/sessions", { method: "POST" });
  expect(response.status).toBe(201);
});

describe("ALLOWED_HOSTS", () => {
  const app = guardedApp({ AUTH: "none", ALLOWED_HOSTS: "sessions.example, other.example:8443" });
  it.each([
    ["https://sessions.example", 200],
    ["https://sessions.example:444", 200],
    ["https://other.example:8443", 200],
    ["https://other.example", 403],
    ["https://evil.example", 403],
    ["http://localhost:8787", 200],
  ])("%s answers %i", async (origin, status) => {
    expect((await app.request(`${origin}/openapi.json`)).status).toBe(status);
  });
});

describe("Origin", () => {
  const app = guardedApp({ AUTH: "none", ALLOWED_ORIGINS: "https://app.example" });
  it.each([
    ["http://localhost", "https://app.example", 404],
    ["http://localhost:8787", "http://localhost:8787", 404],
    ["http://127.0.0.1:8787", "http://127.0.0.1:8787", 404],
    ["http://localhost:8787", "http://localhost:3000", 403],
    ["http://localhost:8787", "http://localhost", 403],
    ["http://localhost:8787", "http://127.0.0.1:8787", 403],
    ["http://127.0.0.1:8787", "http://app.localhost:8787", 403],
    ["https://sessions.example", "https://app.example", 404],
    ["https://sessions.example", "https://sessions.example", 404],
    ["https://sessions.example", "http://localhost:3000", 403],
    ["https://sessions.example", "https://evil.example", 403],
    ["https://sessions.example", "https://app.example.evil.example", 403],
    ["https://sessions.example", "https://app.example:444", 403],
    ["http://localhost", "https://evil.example", 403],
    ["http://localhost", "null", 403],
    ["http://localhost", "", 403],
    ["http://localhost", "https://localhost.evil.example", 403],
    ["http://localhost", "http://localhost@evil.example", 403],
    ["http://localhost", "chrome-extension://localhost", 403],
    ["https://sessions.example", "app://sessions.example", 403],
  ])("to %s from a page of %s answers %i, before any work", async (base, origin, status) => {
    const id = crypto.randomUUID();
    const response = await app.request(`${base}/v1/sessions/${id}`, { headers: { origin } });
    expect(response.status).toBe(status);
    const allowed = response.headers.get("access-control-allow-origin");
    expect(allowed).toBe(origin === "https://app.example" ? origin : null);
    if (status === 403) expect(await codeOf(response)).toBe("forbidden");
  });
});

describe("a load without an Origin that a page of another site causes", () => {
  const image = { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image", accept: "*/*" };
  it.each([
    ["cross-site", image, 403],
    ["same-site", image, 403],
    ["same-origin", image, 200],
    ["none", { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" }, 200],
    ["cross-site", { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" }, 200],
    ["cross-site", { "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" }, 403],
  ])("%s, %j, answers %i where nobody is asked for a credential", async (site, headers, status) => {
    for (const [variables, base] of [
      [{}, "http://localhost"],
      [{ AUTH: "none" }, "https://sessions.example"],
    ] as const) {
      const response = await guardedApp(variables).request(`${base}/v1/sessions/count`, {
        headers: { "sec-fetch-site": site, ...headers },
      });
      expect(response.status).toBe(status);
    }
  });
});

describe("CORS", () => {
  const origin = "https://app.example";
  const setUp = () =>
    tokenApp({ me: ["me", ["admin"]] }, { ALLOWED_ORIGINS: origin, TICKET_SECRET: "t".repeat(32) });

  it("answers a preflight without a credential, and allows the headers that it asks for", async () => {
    const { app } = await setUp();
    for (const path of ["/v1/sessions/x/events", "/mcp"]) {
      const response = await app.request(path, {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "PATCH",
          "access-control-request-headers": "authorization, mcp-param-region, x-other",
        },
      });
      expect(response.status).toBe(204);
      expect(response.headers.get("access-control-allow-origin")).toBe(origin);
      expect(response.headers.get("access-control-allow-credentials")).toBeNull();
      expect(response.headers.get("access-control-allow-headers")).toBe(
        "authorization,mcp-param-region,x-other",
      );
      expect(response.headers.get("access-control-allow-methods")).toContain("DELETE");
    }
  });

  it("does not answer another origin's preflight", async () => {
    const { app } = await setUp();
    const response = await app.request("/v1/sessions", {
      method: "OPTIONS",
      headers: { origin: "https://evil.example", "access-control-request-method": "POST" },
    });
    expect(response.status).toBe(403);
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
  });

  it("is on errors and on streams", async () => {
    const { app, headers } = await setUp();
    const id = crypto.randomUUID();
    const as = { ...headers["me"], origin, "content-type": "application/json" };
    const answers = [
      await app.request(`/v1/sessions/${id}`, { headers: { origin } }),
      await app.request(`/v1/sessions/${id}`, { headers: as }),
      await app.request("/nowhere", { headers: as }),
      await app.request(`/v1/sessions/${id}`, { method: "PUT", body: "{", headers: as }),
      await app.request(`/v1/sessions/${id}`, { method: "PUT", body: "{}", headers: as }),
      await app.request(`/v1/sessions/${id}/events`, { headers: as }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([401, 404, 404, 400, 201, 200]);
    for (const { headers } of answers) {
      expect(headers.get("access-control-allow-origin")).toBe(origin);
      expect(headers.get("vary")).toContain("Origin");
      expect(headers.get("access-control-expose-headers")).toContain("Mcp-Session-Id");
    }
    await answers.at(-1)?.body?.cancel();
  });
});

describe("limits", () => {
  it.each(GUARDED)("%s %s refuses a URL and headers that are too long", async (method, path) => {
    const app = guardedApp({});
    const long = await app.request(`${path}?x=${"x".repeat(MAX_URL_LENGTH)}`, { method });
    expect([long.status, await codeOf(long)]).toEqual([414, "uri_too_long"]);
    const headers = { "x-large": "x".repeat(MAX_HEADER_BYTES) };
    const large = await app.request(path, { method, headers });
    expect([large.status, await codeOf(large)]).toEqual([431, "headers_too_large"]);
  });

  it.each(["/mcp", "/messages?session_id=x"])(
    "POST %s refuses a body that is nested too deep, wherever it is",
    async (path) => {
      const app = guardedApp({});
      const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
      const send = async (levels: number) => {
        const body = `{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":${nested(levels)}}}`;
        const headers = { "content-type": "application/json", accept: "*/*" };
        const response = await app.request(path, { method: "POST", headers, body });
        return [response.status, ((await response.json()) as RpcError).error.message];
      };
      const refused = [400, `The body is nested deeper than ${MAX_JSON_DEPTH} levels`];
      expect(await send(MAX_JSON_DEPTH - 1)).toEqual(refused);
      expect(await send(100_000)).toEqual(refused);
      expect(await send(MAX_JSON_DEPTH - 2)).not.toEqual(refused);
    },
  );

  it.each(GUARDED)("%s %s answers 429 past the limit of its address", async (method, path) => {
    const app = guardedApp(
      { AUTH: "none", RATE_LIMIT_PER_ADDRESS: "1" },
      { addressOf: () => "192.0.2.7", now: () => 0 },
    );
    await app.request("/openapi.json");
    const response = await app.request(path, { method });
    expect([response.status, await codeOf(response)]).toEqual([429, "rate_limited"]);
    expect(response.headers.get("retry-after")).toBe("60");
    expect((await app.request("/healthz")).status).toBe(200);
  });

  it("counts each subject for itself", async () => {
    const { app, headers } = await tokenApp(
      { a: ["alice", ["admin"]], b: ["bob", ["admin"]] },
      { RATE_LIMIT_PER_SUBJECT: "2" },
      { now: () => 0 },
    );
    const as = async (who: string) =>
      (await app.request("/nowhere", { headers: headers[who]! })).status;
    expect([await as("a"), await as("a"), await as("a"), await as("b")]).toEqual([
      404, 404, 429, 404,
    ]);
  });

  it("counts wrong credentials against their address", async () => {
    const { app } = await tokenApp(
      { a: ["alice", ["admin"]] },
      { RATE_LIMIT_PER_ADDRESS: "2" },
      { addressOf: () => "192.0.2.7", now: () => 0 },
    );
    const guess = async () =>
      (await app.request("/v1/sessions/x", { headers: { authorization: "Bearer guess" } })).status;
    expect([await guess(), await guess(), await guess()]).toEqual([401, 401, 429]);
  });

  it("asks Cloudflare's binding where it is bound, and goes on where it fails", async () => {
    const keys: string[] = [];
    const subjectLimit = {
      async limit({ key }: { key: string }) {
        keys.push(key);
        if (keys.length === 1) return { success: true };
        if (keys.length === 2) return { success: false };
        throw new Error("limiter is down");
      },
    };
    const { app, headers } = await tokenApp({ a: ["alice", ["admin"]] }, {}, { subjectLimit });
    const ask = async () => (await app.request("/nowhere", { headers: headers["a"]! })).status;
    expect([await ask(), await ask(), await ask()]).toEqual([404, 429, 404]);
    expect(keys).toEqual(["alice", "alice", "alice"]);
  });

  it("MAX_WRITERS (32) bounds the streams of one session, and says so", async () => {
    const { app, headers } = await tokenApp({ a: ["alice", ["admin"]] });
    const id = crypto.randomUUID();
    const as = { ...headers["a"], "content-type": "application/json" };
    await app.request(`/v1/sessions/${id}`, { method: "PUT", body: "{}", headers: as });
    const follow = () => app.request(`/v1/sessions/${id}/events`, { headers: as });
    const streams = await Promise.all(Array.from({ length: 32 }, follow));
    expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 200));
    const refused = await follow();
    expect([refused.status, await codeOf(refused)]).toEqual([429, "too_many_writers"]);
    await streams[0]!.body!.cancel();
    await expect
      .poll(async () => {
        const response = await follow();
        await response.body?.cancel();
        return response.status;
      })
      .toBe(200);
    await Promise.all(streams.slice(1).map(({ body }) => body?.cancel()));
  });
});

it("every answer carries the headers that keep browsers and caches from misusing it", async () => {
  const { app, headers } = await tokenApp({ a: ["alice", ["admin"]] });
  const id = crypto.randomUUID();
  const as = { ...headers["a"], "content-type": "application/json" };
  const answers = [
    await app.request("/healthz"),
    await app.request("/v1/sessions/x"),
    await app.request("/nowhere", { headers: as }),
    await app.request(`/v1/sessions/${id}`, { method: "PUT", body: "{}", headers: as }),
    await app.request(`/v1/sessions/${id}`, { method: "POST", body: "{}", headers: as }),
    await app.request(`/v1/sessions/${id}/events`, { headers: as }),
    await app.request(`/v1/sessions/${id}`, { method: "DELETE", headers: as }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([200, 401, 404, 201, 405, 200, 204]);
  for (const { headers } of answers) {
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("cache-control")).toMatch(/^no-store/);
    expect(headers.get("content-security-policy")).toBe(
      "default-src 'none'; frame-ancestors 'none'",
    );
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("strict-transport-security")).toBeNull();
  }
  const secure = await app.request("https://localhost/healthz");
  expect(secure.headers.get("strict-transport-security")).toBe("max-age=31536000");
  expect(answers[5]!.headers.get("cache-control")).toBe("no-store, no-transform");
});

it("a Host cannot end the quoted string that tells it where to ask", async () => {
  const { app } = await tokenApp({ a: ["alice", ["admin"]] });
  const response = await app.request('http://a",error="x/mcp');
  expect(response.status).toBe(401);
  expect(response.headers.get("www-authenticate")).toBe(
    'Bearer realm="holdfast", scope="mcp", resource_metadata="http://a\\",error=\\"x/.well-known/oauth-protected-resource/mcp"',
  );
});

it("a refused request reaches no object", async () => {
  const { app } = await tokenApp({ a: ["alice", ["admin"]] });
  const id = crypto.randomUUID();
  const headers = { "content-type": "application/json" };
  const answer = await app.request(`/v1/sessions/${id}`, { method: "PUT", body: "{}", headers });
  expect(answer.status).toBe(401);
  expect(await storedBy(id)).toEqual({ keys: [], tables: [], alarm: null });
});
