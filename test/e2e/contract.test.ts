/** The contract's races, bounds and refusals once more over real HTTP, where sockets and a real clock take part. */
import { createHash, randomUUID } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SCOPES } from "../../src/auth/identity.ts";
import { ERROR_KINDS, type ErrorCode } from "../../src/core/errors.ts";
import { apiTokens } from "../support/api-tokens.ts";
import { shared } from "../support/scope.ts";
import { sessionFolder } from "../support/object-files.ts";
import { Service } from "../support/service.ts";

interface Problem {
  readonly code: string;
  readonly detail: string;
}

const start = shared(() => Service.start());

it("makes one session of two hundred concurrent creates of one id", async () => {
  const service = await start();
  const id = randomUUID();
  const creates = Array.from({ length: 200 }, () => service.send("POST", "/v1/sessions", { id }));
  const statuses = (await Promise.all(creates)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 201)).toHaveLength(1);
  expect(statuses.filter((status) => status === 409)).toHaveLength(199);
});

it("never leaves half a session where put, patch and delete race", async () => {
  const service = await start();
  const { id } = await service.make();
  const path = `/v1/sessions/${id}`;
  const calls = Array.from({ length: 90 }, (_, n) => {
    if (n % 3 === 0) return service.send("DELETE", path);
    if (n % 3 === 1) return service.send("PUT", path, { metadata: { n: String(n) } });
    return service.send("PATCH", path, { metadata: { patched: String(n) } });
  });
  for (const { status } of await Promise.all(calls)) {
    expect([200, 201, 204, 404]).toContain(status);
  }
  const { status, json } = await service.send<{ metadata: object }>("GET", path);
  expect([200, 404]).toContain(status);
  if (status === 200) expect(json.metadata).toHaveProperty("n");
});

it("slides a TTL of half a second under use, and ends it at its maximal lifetime in spite of use", async () => {
  const service = await start();
  let lastUse = Date.now();
  const { id, createdAt } = await service.make({ ttlSeconds: 0.5, maxLifetimeSeconds: 2 });
  const born = Date.parse(createdAt);
  for (;;) {
    const asked = Date.now();
    const { status } = await service.send("GET", `/v1/sessions/${id}`);
    const answered = Date.now();
    if (status !== 200) {
      expect(status).toBe(404);
      // Each read keeps it alive for another half a second, also where the machine makes a longer pause.
      expect(answered - born >= 2000 || answered - lastUse >= 500).toBe(true);
      break;
    }
    expect(asked - born).toBeLessThan(2000);
    lastUse = asked;
    await expect.poll(() => Date.now() - asked, { interval: 5 }).toBeGreaterThanOrEqual(100);
  }
});

it("lets a patch in time win over the end, and none after it", async () => {
  const service = await start();
  const sessions = await Promise.all(
    Array.from({ length: 20 }, () => service.make({ ttlSeconds: 0.3 })),
  );
  const outcomes = await Promise.all(
    sessions.map(async ({ id, expiresAt }, n) => {
      const patchAt = Date.parse(expiresAt) - 20 + n * 2;
      await expect.poll(() => Date.now(), { interval: 1 }).toBeGreaterThanOrEqual(patchAt);
      const { status } = await service.send("PATCH", `/v1/sessions/${id}`, { ttlSeconds: 60 });
      const after = await service.send("GET", `/v1/sessions/${id}`);
      return [status, after.status];
    }),
  );
  for (const outcome of outcomes)
    expect([
      [200, 200],
      [404, 404],
    ]).toContainEqual(outcome);
});

it.each([
  ["empty", "POST", "/v1/sessions/ID/events", "", 400, "body is needed"],
  ["empty", "PUT", "/v1/sessions/ID", "", 400, "body is needed"],
  ["empty", "PATCH", "/v1/sessions/ID", "", 400, "body is needed"],
  ["not JSON", "POST", "/v1/sessions", "{", 400, "JSON"],
  ["not UTF-8", "POST", "/v1/sessions", new Uint8Array([0x22, 0xff, 0x22]), 400, "UTF-8"],
  [
    "nested too deep",
    "POST",
    "/v1/sessions",
    `{"data":${"[".repeat(9999)}${"]".repeat(9999)}}`,
    400,
    "nested",
  ],
  [
    "too large",
    "POST",
    "/v1/sessions",
    `{"data":"${"x".repeat(4_200_000)}"}`,
    413,
    "what a session may hold",
  ],
  [
    "over BODY_MAX_BYTES",
    "POST",
    "/v1/sessions/ID/events",
    `{"data":"${"x".repeat(4_200_000)}"}`,
    413,
    "BODY_MAX_BYTES",
  ],
  [
    "of more values than are parsed",
    "POST",
    "/v1/sessions/ID/events",
    `{"data":[${"0,".repeat(100_000)}0]}`,
    400,
    "100000 values",
  ],
  ["with __proto__", "POST", "/v1/sessions", '{"__proto__":{"type":"sse"}}', 400, "__proto__"],
  ["with an unknown field", "PATCH", "/v1/sessions/ID", '{"colour":1}', 400, "colour"],
  [
    "with an event name that forges a frame",
    "POST",
    "/v1/sessions/ID/events",
    '{"event":"a\\ndata: b","data":1}',
    400,
    "event",
  ],
])(
  "refuses a body that is %s, and changes nothing",
  async (_name, method, path, body, status, named) => {
    const service = await start();
    const { id } = await service.make({ metadata: { keep: "me" } });
    const answer = await service.fetch(path.replace("ID", id), {
      method,
      body,
      headers: body === "" ? {} : { "content-type": "application/json" },
    });
    expect(answer.status).toBe(status);
    expect(((await answer.json()) as Problem).detail).toContain(named);
    const { json } = await service.send<Record<string, unknown>>(
      "GET",
      `/v1/sessions/${id}?touch=false`,
    );
    expect(json).toMatchObject({ metadata: { keep: "me" } });
    expect(json).not.toHaveProperty("lastEventId");
  },
);

describe("every error of the contract", () => {
  interface Provocation {
    readonly how: string;
    readonly code: ErrorCode;
    readonly provoke: (client: Client) => Promise<Response>;
  }

  /** A client of a service whose bounds are low; it is the provocation's admin unless `as` says otherwise. */
  interface Client {
    readonly service: Service;
    send(method: string, path: string, body?: unknown, options?: SendOptions): Promise<Response>;
    /** The path of a new session, of a subject of its own. */
    make(): Promise<string>;
  }

  interface SendOptions {
    readonly as?: string;
    readonly headers?: Record<string, string>;
  }

  const unknown = () => `/v1/sessions/${randomUUID()}`;
  const row = (code: ErrorCode, how: string, provoke: Provocation["provoke"]): Provocation => ({
    how,
    code,
    provoke,
  });

  const PROVOCATIONS: readonly Provocation[] = [
    row("session_not_found", "reading an unknown session", ({ send }) => send("GET", unknown())),
    row("session_not_found", "patching one", ({ send }) => send("PATCH", unknown(), {})),
    row("session_not_found", "following one", ({ send }) => send("GET", `${unknown()}/events`)),
    row("session_not_found", "publishing to one", ({ send }) =>
      send("POST", `${unknown()}/events`, { data: 1 }),
    ),
    row("session_not_found", "disconnecting one", ({ send }) =>
      send("POST", `${unknown()}/disconnect`),
    ),
    row("session_not_found", "reading one that was deleted", async ({ send, make }) => {
      const path = await make();
      await send("DELETE", path);
      return send("GET", path);
    }),
    row("session_not_found", "replacing another's", async ({ send, make }) =>
      send("PUT", await make(), {}, { as: "stranger" }),
    ),
    row("session_already_exists", "creating it twice", async ({ send, make }) =>
      send("POST", "/v1/sessions", { id: (await make()).split("/").at(-1), subject: "twice" }),
    ),
    row("session_disconnected", "publishing after a disconnect", async ({ send, make }) => {
      const path = await make();
      await send("POST", `${path}/disconnect`);
      return send("POST", `${path}/events`, { data: 1 });
    }),
    row("message_channel_full", "publishing more than the queue takes", async ({ send, make }) =>
      send("POST", `${await make()}/events`, [{ data: 1 }, { data: 2 }, { data: 3 }]),
    ),
    row("stream_ended", "publishing after the end", async ({ send, make }) => {
      const path = await make();
      await send("POST", `${path}/end`);
      return send("POST", `${path}/events`, { data: 1 });
    }),
    row("idempotency_key_reused", "publishing other events under a key", async ({ send, make }) => {
      const events = `${await make()}/events`;
      await send("POST", events, { data: 1 }, { headers: { "idempotency-key": "k" } });
      return send("POST", events, { data: 2 }, { headers: { "idempotency-key": "k" } });
    }),
    row("invalid_session_type", "creating", ({ send }) =>
      send("POST", "/v1/sessions", { type: "x" }),
    ),
    row("invalid_session_type", "listing", ({ send }) => send("GET", "/v1/sessions?type=x")),
    row("invalid_session_id", "creating", ({ send }) => send("POST", "/v1/sessions", { id: "x" })),
    row("invalid_session_id", "reading", ({ send }) => send("GET", "/v1/sessions/x")),
    row("invalid_session_id", "deleting", ({ send }) => send("DELETE", "/v1/sessions/x")),
    row("invalid_request", "an unknown field", ({ send }) =>
      send("POST", "/v1/sessions", { x: 1 }),
    ),
    row("invalid_request", "a bad query", ({ send }) => send("GET", "/v1/sessions?limit=201")),
    row("invalid_request", "a bad If-Match", ({ send }) =>
      send("PATCH", unknown(), {}, { headers: { "if-match": "x" } }),
    ),
    row("unsupported_media_type", "a form", ({ send }) =>
      send("POST", "/v1/sessions", {}, { headers: { "content-type": "text/plain" } }),
    ),
    row("payload_too_large", "a large body", ({ send }) =>
      send("POST", "/v1/sessions", { data: "x".repeat(20_000) }),
    ),
    row("payload_too_large", "a large event", async ({ send, make }) =>
      send("POST", `${await make()}/events`, { data: "x".repeat(2000) }),
    ),
    row("precondition_failed", "patching what has changed", async ({ send, make }) =>
      send("PATCH", await make(), {}, { headers: { "if-match": '"old"' } }),
    ),
    row("precondition_failed", "deleting what has changed", async ({ send, make }) =>
      send("DELETE", await make(), undefined, { headers: { "if-match": '"old"' } }),
    ),
    row("precondition_failed", "making what is there", async ({ send, make }) =>
      send("PUT", await make(), {}, { headers: { "if-none-match": "*" } }),
    ),
    row("precondition_failed", "replacing what is not there", ({ send }) =>
      send("PUT", unknown(), {}, { headers: { "if-match": "*" } }),
    ),
    row("unauthorized", "no credential", ({ send }) =>
      send("GET", unknown(), undefined, { as: "" }),
    ),
    row("unauthorized", "a wrong credential", ({ send }) =>
      send("GET", unknown(), undefined, { headers: { authorization: "Bearer hf_wrong" } }),
    ),
    row("unauthorized", "a wrong ticket", ({ send }) =>
      send("GET", `${unknown()}/events?ticket=x.y`, undefined, { as: "" }),
    ),
    row("forbidden", "a scope that is missing", ({ send }) =>
      send("GET", unknown(), undefined, { as: "scopeless" }),
    ),
    row("forbidden", "another's name", ({ send }) =>
      send("POST", "/v1/sessions", { subject: "me" }, { as: "stranger" }),
    ),
    row("forbidden", "a page of another site", ({ send }) =>
      send("GET", unknown(), undefined, { headers: { origin: "https://evil.example" } }),
    ),
    row("rate_limited", "one session more than a subject may have", async ({ send }) => {
      await send("POST", "/v1/sessions", { subject: "crowded" });
      return send("POST", "/v1/sessions", { subject: "crowded" });
    }),
    row("rate_limited", "more requests a minute than one may send", async ({ send }) => {
      const ask = () => send("GET", unknown(), undefined, { as: "busy" });
      let answer = await ask();
      // The caller's bucket fills while it asks, so how many pass depends on the machine.
      for (let n = 0; n < 60 && answer.status === 404; n++) answer = await ask();
      return answer;
    }),
    row("too_many_writers", "one stream too many", async ({ service, send, make }) => {
      const path = await make();
      const first = await send("GET", `${path}/events`);
      expect(first.status).toBe(200);
      await service.logged(({ event }) => event === "writer.attach");
      return send("GET", `${path}/events`);
    }),
    row("uri_too_long", "a long URL", ({ send }) => send("GET", `/?${"a".repeat(9000)}`)),
    row("headers_too_large", "a long header", ({ send }) =>
      send("GET", "/", undefined, { headers: { x: "a".repeat(40_000) } }),
    ),
    row("not_found", "a route that does not exist", ({ send }) => send("GET", "/v1/nothing")),
    row("method_not_allowed", "a method that the route has not", ({ send }) =>
      send("PATCH", "/v1/sessions", {}),
    ),
    row("unavailable", "a session whose file was overwritten", async ({ service, send, make }) => {
      const folder = sessionFolder(service.stateDir);
      const path = await make();
      await service.kill();
      const files = (await readdir(folder)).filter((name) => /^[0-9a-f]{64}\.sqlite/.test(name));
      expect(files).not.toEqual([]);
      for (const name of files) {
        const file = join(folder, name);
        await writeFile(file, Buffer.alloc((await readFile(file)).length, 0xa5));
      }
      await service.restart();
      return send("GET", path);
    }),
  ];

  /** Each provocation is sent by an admin of its own, who has a rate of its own. */
  const adminOf = ({ code, how }: Provocation) => `${code}: ${how}`;

  /** For all provocations that leave the service as it is, or for the one that is named. */
  const startService = shared(async (_only?: string) => {
    const tokens = await apiTokens({
      ...Object.fromEntries(PROVOCATIONS.map((one) => [adminOf(one), [adminOf(one), SCOPES]])),
      stranger: ["stranger", SCOPES.filter((scope) => scope !== "admin")],
      busy: ["busy", SCOPES],
      scopeless: ["scopeless", []],
    });
    const service = await Service.start({
      AUTH: "token",
      API_TOKENS: tokens.variable,
      TICKET_SECRET: "ticket-secret-".repeat(3),
      QUEUE_CAPACITY: "2",
      MAX_WRITERS: "1",
      BODY_MAX_BYTES: "10000",
      EVENT_MAX_BYTES: "1000",
      MAX_SESSIONS_PER_SUBJECT: "1",
      RATE_LIMIT_PER_SUBJECT: "20",
      LOG_LEVEL: "debug",
    });
    return { service, tokens };
  });

  async function clientFor(provocation: Provocation): Promise<Client> {
    const admin = adminOf(provocation);
    const { service, tokens } = await (provocation.code === "unavailable"
      ? startService(admin)
      : startService());
    const send: Client["send"] = (method, path, body, { as = admin, headers } = {}) =>
      service.fetch(path, {
        method,
        headers: {
          ...(body !== undefined && { "content-type": "application/json" }),
          ...tokens.headers[as],
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
    const make = async () => {
      const made = await send("POST", "/v1/sessions", { subject: randomUUID() });
      expect(made.status).toBe(201);
      return made.headers.get("location")!;
    };
    return { service, send, make };
  }

  it("is provoked here", () => {
    const provoked = new Set(PROVOCATIONS.map(({ code }) => code));
    expect([...provoked].toSorted()).toEqual(Object.keys(ERROR_KINDS).toSorted());
  });

  it.each(PROVOCATIONS)("$code: $how", async (provocation) => {
    const { code, provoke } = provocation;
    const { status, title } = ERROR_KINDS[code];
    const answer = await provoke(await clientFor(provocation));
    const problem = (await answer.json()) as Record<string, unknown>;
    expect([answer.status, problem["code"], problem["detail"]]).toEqual([
      status,
      code,
      expect.any(String),
    ]);
    expect(problem).toEqual({
      type: `urn:holdfast:problem:${code}`,
      title,
      status,
      detail: problem["detail"],
      code,
    });
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(answer.headers.has("www-authenticate")).toBe([401, 403].includes(status));
    if (code === "method_not_allowed") expect(answer.headers.get("allow")).toContain("POST");
    if (code === "rate_limited" && problem["detail"] === title)
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  });
});

it("an MCP session is its subject's alone: for anyone else it was never made, and nothing touches it", async () => {
  const token = (secret: string, subject: string, scopes: string[]) => ({
    sha256: createHash("sha256").update(secret).digest("hex"),
    subject,
    scopes,
  });
  const service = await Service.start({
    AUTH: "token",
    API_TOKENS: JSON.stringify([
      token("alice-secret", "alice", ["mcp"]),
      token("bob-secret", "bob", ["mcp"]),
    ]),
  });
  const mcp = (who: string, method: string, sessionId: string | undefined, body?: object) =>
    service.fetch("/mcp", {
      method,
      headers: {
        authorization: `Bearer ${who}-secret`,
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        ...(sessionId !== undefined && { "mcp-session-id": sessionId }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
  const initialize = {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "t", version: "1" },
    },
  };
  const made = await mcp("alice", "POST", undefined, initialize);
  const sessionId = made.headers.get("mcp-session-id") ?? "";
  await made.text();
  const ping = { jsonrpc: "2.0", id: 7, method: "ping" };
  for (const unknown of [sessionId, randomUUID()]) {
    const post = await mcp("bob", "POST", unknown, ping);
    expect([post.status, await post.json()]).toEqual([
      404,
      { error: { code: -32001, message: "Session not found" }, id: 7, jsonrpc: "2.0" },
    ]);
    for (const method of ["GET", "DELETE"]) {
      const other = await mcp("bob", method, unknown);
      expect([method, other.status]).toEqual([method, 404]);
      await other.text();
    }
  }
  const own = await mcp("alice", "POST", sessionId, ping);
  expect(own.status).toBe(200);
  await own.text();
});
