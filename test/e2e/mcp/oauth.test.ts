/** OAuth through the gateway: its own challenge, and that of an upstream that the client's credential is for. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";
import { apiTokens } from "../../support/api-tokens.ts";
import {
  INITIALIZE,
  messagesOf,
  post,
  readerOf,
  toolCall,
  wholeAnswer,
} from "../../support/mcp/client.ts";
import { startGateway } from "../../support/mcp/gateway.ts";
import { openLegacy } from "../../support/mcp/legacy-client.ts";
import { startRough } from "../../support/mcp/rough-gateway.ts";
import {
  agreedTo,
  event,
  notice,
  resultOf,
  type Asked,
  type RoughServer,
} from "../../support/mcp/rough-server.ts";
import { packedCommand } from "../../support/packed.ts";
import { shared } from "../../support/scope.ts";
import { Service } from "../../support/service.ts";

const METADATA = "/.well-known/oauth-protected-resource";
const MINE = { authorization: "Bearer mine" };

const JWT = {
  AUTH: "jwt",
  JWT_ISSUER: "https://issuer.example",
  JWT_AUDIENCE: "https://sessions.example",
  JWKS_URL: "https://issuer.example/jwks.json",
};

const own = shared(() => Service.start(JWT));

it.each(["/mcp", "/mcp/search", "/sse"])(
  "the challenge of %s names the scope mcp alone",
  async (path) => {
    const service = await own();
    const response = await service.fetch(path, { method: path === "/sse" ? "GET" : "POST" });
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toMatch(/\bscope="mcp"/);
    const metadata = await service.fetch(METADATA + path);
    expect(await metadata.json()).toMatchObject({
      resource: service.url + path,
      scopes_supported: ["mcp"],
    });
  },
);

it("the challenge to a legacy client's POST leads to the URL of its stream, which the client knows", async () => {
  const service = await own();
  const response = await service.fetch("/messages/search?session_id=x", { method: "POST" });
  expect(response.status).toBe(401);
  expect(response.headers.get("www-authenticate")).toContain(
    `resource_metadata="${service.url}${METADATA}/sse/search"`,
  );
});

it("the metadata of the service as a whole still list what /v1 takes", async () => {
  const service = await own();
  const metadata = (await (await service.fetch(METADATA)).json()) as { scopes_supported: string[] };
  expect(metadata.scopes_supported).toContain("admin");
});

interface Guarded {
  readonly server: RoughServer;
  readonly service: Service;
  readonly url: string;
}

const challengeOf = (server: RoughServer) => {
  const { origin } = new URL(server.url);
  return `Bearer error="invalid_token", resource="${server.url}", resource_metadata="${origin}${METADATA}/mcp", scope="files:read"`;
};

/** An upstream that takes `Bearer mine`, and answers any other credential with a challenge. */
const guarded = shared(async (path: string, upstream: object = {}): Promise<Guarded> => {
  const refuse = (asked: Asked, status: number): true => {
    asked.json({ error: "unauthorized" }, status, { "www-authenticate": challengeOf(server) });
    return true;
  };
  const server: RoughServer = await startRough((asked) => {
    if (asked.path.startsWith(METADATA)) {
      asked.json({
        resource: server.url,
        authorization_servers: ["https://login.example"],
        scopes_supported: ["files:read", "files:write"],
      });
      return true;
    }
    if (asked.headers["authorization"] !== "Bearer mine") return refuse(asked, 401);
    return asked.body.includes('"forbidden"') ? refuse(asked, 403) : false;
  });
  const one = { url: server.url, forwardAuthorization: true, ...upstream };
  const name = path === "" ? "default" : path.slice(1);
  const { service } = await startGateway({ [name]: one });
  return { server, service, url: `${service.url}/mcp${path}` };
});

const opened = async (url: string, headers: Record<string, string> = MINE) => {
  const response = await post(url, INITIALIZE, headers);
  await response.text();
  return response.headers.get("mcp-session-id") ?? "";
};

/** The client reads a challenge and metadata that name the gateway alone. */
const expectChallenge = (response: Response, { service, url }: Guarded) => {
  const path = new URL(url).pathname;
  const challenge = response.headers.get("www-authenticate") ?? "";
  expect(challenge).toContain(`resource_metadata="${service.url}${METADATA}${path}"`);
  expect(challenge).toContain(`resource="${url}"`);
  expect(challenge).toContain('scope="files:read"');
  expect(challenge).toContain('error="invalid_token"');
};

it.each(["", "/files"])(
  "401 at initialize reaches the client with its challenge: /mcp%s",
  async (path) => {
    const made = await guarded(path);
    const response = await post(made.url, INITIALIZE);
    expect(response.status).toBe(401);
    expectChallenge(response, made);
    expect(response.headers.has("mcp-session-id")).toBe(false);
  },
);

it.each<[status: number, tool: string, headers: Record<string, string>]>([
  [401, "x", { authorization: "Bearer expired" }],
  [401, "x", {}],
  [403, "forbidden", MINE],
])("%i to a later call does too", async (status, tool, headers) => {
  const made = await guarded("");
  const sid = await opened(made.url);
  const sessions = made.server.count("initialize");
  const response = await post(made.url, toolCall(1, tool), { "mcp-session-id": sid, ...headers });
  expect(response.status).toBe(status);
  expectChallenge(response, made);
  // It is about the credential, and no lost session.
  expect(made.server.count("initialize")).toBe(sessions);
  const next = await post(made.url, toolCall(2, "x"), { "mcp-session-id": sid, ...MINE });
  expect((await wholeAnswer(next)).messages).toMatchObject([{ id: 2, result: {} }]);
});

it("401 of a server of HTTP+SSE does too, to its stream and to a call", async () => {
  const held: { stream?: Asked } = {};
  const server: RoughServer = await startRough((asked) => {
    const isMine = asked.headers["authorization"] === "Bearer mine";
    if (!isMine || asked.method === "tools/call") {
      asked.answer(401, "", { "www-authenticate": challengeOf(server) });
    } else if (asked.verb === "GET") {
      held.stream = asked;
      asked.stream("event: endpoint\ndata: /messages\n\n");
    } else {
      asked.answer(202);
      held.stream?.write(event(resultOf(asked.id, agreedTo("2025-11-25"))));
    }
    return true;
  });
  const upstream = { url: server.url, transport: "sse", forwardAuthorization: true };
  const { service, url } = await startGateway({ default: upstream });
  const made = { server, service, url };
  const first = await post(url, INITIALIZE, { authorization: "Bearer expired" });
  expect(first.status).toBe(401);
  expectChallenge(first, made);
  const sid = await opened(url);
  const call = await post(url, toolCall(1, "x"), { "mcp-session-id": sid, ...MINE });
  expect(call.status).toBe(401);
  expectChallenge(call, made);
});

it("401 to a notification reaches the client", async () => {
  const made = await guarded("");
  const sid = await opened(made.url);
  const notification = { jsonrpc: "2.0", method: "notifications/x" };
  const response = await post(made.url, notification, { "mcp-session-id": sid });
  expect(response.status).toBe(401);
  expectChallenge(response, made);
});

it.each(["initialize", "tools/call"])(
  "401 to %s of a legacy client is the answer to its POST, and leads to the URL of its stream",
  async (method) => {
    const made = await guarded("");
    const { service } = made;
    const { reader, post: send } = await openLegacy(service.url, MINE);
    if (method === "tools/call") {
      expect((await send(INITIALIZE)).status).toBe(202);
      expect(messagesOf(await reader.take(1))).toMatchObject([{ id: "init", result: {} }]);
    }
    const body = method === "initialize" ? INITIALIZE : toolCall(1, "x");
    const response = await send(body, { authorization: "Bearer expired" });
    expect(response.status).toBe(401);
    expectChallenge(response, { ...made, url: `${service.url}/sse` });
    const forbidden = await send(toolCall(2, "forbidden"));
    expect(forbidden.status).toBe(403);
    expectChallenge(forbidden, { ...made, url: `${service.url}/sse` });
    // Those requests are no longer pending, and the session goes on.
    expect((await send(toolCall(3, "x"))).status).toBe(202);
    expect(messagesOf(await reader.take(1))).toMatchObject([{ id: 3, result: {} }]);
    await reader.leave();
  },
);

it("401 to a legacy client's notification, and as a JSON-RPC error, is the answer to its POST", async () => {
  const server = await startRough((asked) => {
    if (asked.headers["authorization"] === "Bearer mine") return false;
    asked.error(401, -32001, "not with this credential", asked.id || "null", {
      "www-authenticate": "Bearer",
    });
    return true;
  });
  const { service } = await startGateway({
    default: { url: server.url, forwardAuthorization: true },
  });
  const { reader, post: send } = await openLegacy(service.url, MINE);
  const refused = await send(INITIALIZE, { authorization: "Bearer expired" });
  expect([refused.status, await refused.json()]).toMatchObject([
    401,
    { id: "init", error: { code: -32001, message: "not with this credential" } },
  ]);
  await send(INITIALIZE);
  await reader.take(1);
  const notification = { jsonrpc: "2.0", method: "notifications/x" };
  const response = await send(notification, { authorization: "Bearer expired" });
  expect([response.status, response.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
  expect((await send(notification)).status).toBe(202);
  await reader.leave();
});

it("a legacy client's POST to a server that is slow to answer is answered 202 meanwhile", async () => {
  const server = await startRough((asked) => asked.method === "tools/call");
  const { service } = await startGateway({
    default: { url: server.url, forwardAuthorization: true },
  });
  const { reader, post: send } = await openLegacy(service.url, MINE);
  expect((await send(toolCall(1, "x"))).status).toBe(202);
  const call = await server.asked("tools/call");
  call.error(401, -32001, "too late", call.id, { "www-authenticate": "Bearer" });
  expect(messagesOf(await reader.take(1))).toMatchObject([{ id: 1, error: { code: -32001 } }]);
  await reader.leave();
});

it.each<[what: string, script: (asked: Asked) => void, error: object]>([
  ["an error", (asked) => asked.error(400, -32602, "no such tool"), { code: -32602 }],
  ["a page", (asked) => asked.answer(500, "<html>"), { code: -32603 }],
  ["a reset", (asked) => asked.reset(), { code: -32603 }],
])(
  "any other failure still comes on a legacy client's stream: %s",
  async (_what, script, error) => {
    const server = await startRough(
      (asked) => asked.method === "tools/call" && (script(asked), true),
    );
    const { service } = await startGateway({
      default: { url: server.url, forwardAuthorization: true },
    });
    const { reader, post: send } = await openLegacy(service.url, MINE);
    expect((await send(toolCall(1, "x"))).status).toBe(202);
    expect(messagesOf(await reader.take(1))).toMatchObject([{ id: 1, error }]);
    await reader.leave();
  },
);

it("and in the stateless revision", async () => {
  const made = await guarded("");
  const meta = { _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } };
  const body = { jsonrpc: "2.0", id: 1, method: "tools/list", params: meta };
  const response = await post(made.url, body, { "mcp-protocol-version": "2026-07-28" });
  expect(response.status).toBe(401);
  expectChallenge(response, made);
});

it.each(["", "/files"])(
  "the metadata that it leads to name the gateway's own resource: /mcp%s",
  async (path) => {
    const { service, url } = await guarded(path);
    const response = await service.fetch(`${METADATA}/mcp${path}`);
    expect([response.status, await response.json()]).toMatchObject([
      200,
      {
        resource: url,
        authorization_servers: ["https://login.example"],
        scopes_supported: ["files:read", "files:write"],
      },
    ]);
  },
);

it("an upstream that takes no client's credential shows nobody its metadata", async () => {
  const { service } = await guarded("", { forwardAuthorization: false });
  expect((await service.fetch(`${METADATA}/mcp`)).status).toBe(404);
});

it("the upstream's credential may come in a header of its own, and goes on as Authorization", async () => {
  const server = await startRough();
  const { variable, headers } = await apiTokens({ alice: ["alice", ["mcp"]] });
  const { url } = await startGateway(
    { default: { url: server.url, forwardAuthorization: "X-Upstream-Authorization" } },
    { AUTH: "token", API_TOKENS: variable },
  );
  const sid = await opened(url, { ...headers["alice"], "x-upstream-authorization": "Bearer mine" });
  expect(sid).not.toBe("");
  const [asked] = server.all("initialize");
  expect(asked?.headers["authorization"]).toBe("Bearer mine");
  expect(asked?.headers["x-upstream-authorization"]).toBeUndefined();
  await opened(url, { ...headers["alice"] });
  expect(server.all("initialize")[1]?.headers["authorization"]).toBeUndefined();
});

it.each<[auth: string, env: Record<string, string>]>([
  ["token", { API_TOKENS: `[{"sha256": "${"0".repeat(64)}", "subject": "a", "scopes": ["mcp"]}]` }],
  ["jwt", JWT],
])(
  "the service does not start that would pass on a token made for itself: AUTH=%s",
  async (auth, env) => {
    const upstreams = { default: { url: "https://tools.example/mcp", forwardAuthorization: true } };
    const stateDir = await mkdtemp(join(tmpdir(), "holdfast-test-"));
    onTestFinished(() => rm(stateDir, { recursive: true, force: true }));
    const serve = promisify(execFile)(process.execPath, [await packedCommand(), "serve"], {
      env: {
        ...process.env,
        PORT: "0",
        STATE_DIR: stateDir,
        ...env,
        AUTH: auth,
        UPSTREAMS: JSON.stringify(upstreams),
      },
      // If the service starts after all, it is ended before the test ends.
      timeout: 40_000,
    });
    const failure = await serve.then(
      () => ({ code: 0, stderr: "" }),
      (cause: { code: number; stderr: string }) => cause,
    );
    expect(failure.code).toBe(1);
    expect(failure.stderr).toMatch(/^holdfast: UPSTREAMS default: forwardAuthorization .*\n$/);
  },
);

it("the client's GET is refused with the challenge where the upstream refuses its stream", async () => {
  const made = await guarded("");
  const sid = await opened(made.url);
  const response = await fetch(made.url, {
    headers: {
      accept: "text/event-stream",
      "mcp-session-id": sid,
      authorization: "Bearer expired",
    },
  });
  expect(response.status).toBe(401);
  expectChallenge(response, made);
  // Nothing of that reader is left: the stream is the next one's.
  const next = await fetch(made.url, {
    headers: { accept: "text/event-stream", "mcp-session-id": sid, ...MINE },
  });
  expect(next.status).toBe(200);
  await next.body?.cancel();
});

const listen = async (url: string, sid: string) =>
  readerOf(
    await fetch(url, { headers: { accept: "text/event-stream", "mcp-session-id": sid, ...MINE } }),
  );

it("a lost session is found and recovered with the credential of the client that only listens", async () => {
  const server = await startRough((asked, { sid }) => {
    if (asked.headers["authorization"] !== "Bearer mine") asked.answer(401);
    else if (asked.sid !== undefined && asked.sid !== sid) asked.answer(404);
    else if (asked.verb === "GET") asked.stream(`retry: 20\n${event(notice(asked.sid))}`);
    else return false;
    return true;
  });
  const upstream = { url: server.url, forwardAuthorization: true };
  const { url } = await startGateway({ default: upstream });
  const reader = await listen(url, await opened(url));
  await reader.until(/rough-1/);
  server.sid = "rough-2";
  (await server.asked("GET")).end();
  await reader.until(/rough-2/);
  const refused = server.requests.filter(({ headers }) => headers["authorization"] === undefined);
  expect([refused, server.count("initialize")]).toEqual([[], 2]);
  await reader.leave();
});

it("a client whose credential has expired is let go, to come back with another", async () => {
  let hasExpired = false;
  const server = await startRough((asked) => {
    if (hasExpired) asked.answer(401, "", { "www-authenticate": 'Bearer error="invalid_token"' });
    else if (asked.verb === "GET") asked.stream(`retry: 20\n${event(notice("heard"))}`);
    else return false;
    return true;
  });
  const upstream = { url: server.url, forwardAuthorization: true };
  const { url } = await startGateway({ default: upstream });
  const sid = await opened(url);
  const reader = await listen(url, sid);
  await reader.until(/heard/);
  hasExpired = true;
  (await server.asked("GET")).end();
  await reader.rest();
  const back = await fetch(url, {
    headers: { accept: "text/event-stream", "mcp-session-id": sid },
  });
  expect([back.status, back.headers.get("www-authenticate")]).toEqual([
    401,
    'Bearer error="invalid_token"',
  ]);
  // No client listens any more, so the gateway does not ask for the stream.
  expect(server.count("GET")).toBe(3);
});

it("the metadata are asked for without the upstream's secrets, and once for many", async () => {
  const { service, server } = await guarded("", { headers: { "X-Secret": "hidden" } });
  for (let n = 0; n < 3; n++) await (await service.fetch(`${METADATA}/mcp`)).text();
  const asked = server.requests.filter(({ path }) => path.startsWith(METADATA));
  expect(asked.map(({ path, headers }) => [path, headers["x-secret"]])).toEqual([
    [`${METADATA}/mcp`, undefined],
  ]);
});

it.each<[what: string, script: (asked: Asked) => void, status: number]>([
  ["none", (asked) => asked.answer(404), 404],
  ["a page", (asked) => asked.answer(200, "<html>", { "content-type": "text/html" }), 404],
  ["more than a document has", (asked) => asked.json({ filler: "x".repeat(100_000) }), 404],
  ["a redirect", (asked) => asked.answer(302, "", { location: "https://secret-.example/" }), 404],
  [
    "elsewhere on the same server",
    (asked) =>
      asked.path.endsWith("/there")
        ? asked.json({ authorization_servers: ["https://login.example"] })
        : asked.answer(307, "", { location: "/there" }),
    200,
  ],
  ["a failure", (asked) => asked.answer(500), 502],
  ["a reset", (asked) => asked.reset(), 502],
])("an upstream whose metadata are %s", async (_what, script, status) => {
  const server = await startRough((asked) => (script(asked), true));
  const upstream = { url: server.url, forwardAuthorization: true };
  const { service } = await startGateway({ default: upstream });
  expect((await service.fetch(`${METADATA}/mcp`)).status).toBe(status);
});

it("metadata that only the root has are found, and lose their signature", async () => {
  const server = await startRough((asked) => {
    if (asked.path === METADATA) {
      asked.json({ resource: "https://up.example", signed_metadata: "signed", jwks_uri: "x" });
    } else asked.answer(404);
    return true;
  });
  const upstream = { url: server.url, forwardAuthorization: true };
  const { service } = await startGateway({ default: upstream });
  const document: unknown = await (await service.fetch(`${METADATA}/mcp`)).json();
  expect(document).toEqual({ resource: `${service.url}/mcp`, jwks_uri: "x" });
});

it.each(["streamable", "sse"])(
  "metadata that only the challenge of a server names are found: %s",
  async (transport) => {
    const server = await startRough((asked) => {
      if (asked.path === "/tenants/7/resource.json") {
        asked.json({ resource: "x", authorization_servers: ["https://login.example"] });
      } else if (asked.path === "/mcp") {
        const named = `Bearer resource_metadata="${new URL("/tenants/7/resource.json", server.url).href}"`;
        asked.answer(401, "", { "www-authenticate": named });
      } else asked.json({ resource: "of another resource of this host" });
      return true;
    });
    const headers = { "X-Secret": "hidden" };
    const upstream = { url: server.url, forwardAuthorization: true, transport, headers };
    const { service } = await startGateway({ default: upstream });
    const response = await service.fetch(`${METADATA}/mcp`, { headers: MINE });
    expect(await response.json()).toEqual({
      resource: `${service.url}/mcp`,
      authorization_servers: ["https://login.example"],
    });
    expect(
      server.requests.map(({ method, path, headers: sent }) => [
        method,
        path,
        sent["authorization"],
        sent["x-secret"],
      ]),
    ).toEqual([
      [transport === "sse" ? "GET" : "ping", "/mcp", undefined, undefined],
      ["GET", "/tenants/7/resource.json", undefined, undefined],
    ]);
  },
);

it("metadata that a challenge names on another server are not asked for", async () => {
  const other = await startRough((asked) => (asked.json({ resource: "x" }), true));
  const server = await startRough((asked) => {
    const named = `Bearer resource_metadata="${new URL("/resource.json", other.url).href}"`;
    asked.answer(asked.verb === "POST" ? 401 : 404, "", { "www-authenticate": named });
    return true;
  });
  const upstream = { url: server.url, forwardAuthorization: true };
  const { service } = await startGateway({ default: upstream });
  expect((await service.fetch(`${METADATA}/mcp`)).status).toBe(404);
  expect(other.requests).toEqual([]);
});

it.each([
  ["a server of 2025-03-26, which is its own authorization server", "https://up.example", 200],
  ["one whose document names no issuer", undefined, 404],
])("%s", async (_what, issuer, status) => {
  const server = await startRough((asked) => {
    if (asked.path === "/.well-known/oauth-authorization-server") asked.json({ issuer });
    else asked.answer(asked.verb === "POST" ? 401 : 404);
    return true;
  });
  const upstream = { url: server.url, forwardAuthorization: true };
  const { service } = await startGateway({ default: upstream });
  const response = await service.fetch(`${METADATA}/mcp`);
  expect([response.status, await response.json()]).toMatchObject([
    status,
    status === 200
      ? { resource: `${service.url}/mcp`, authorization_servers: ["https://up.example"] }
      : {},
  ]);
});

it.each([
  [401, "initialize"],
  [403, "initialize"],
  [401, "tools/call"],
  [403, "tools/call"],
  [429, "tools/call"],
])(
  "%i to %s as a JSON-RPC error reaches the client with no URL of the upstream",
  async (status, method) => {
    const server: RoughServer = await startRough((asked) => {
      if (asked.method !== method) return false;
      const headers = { "www-authenticate": challengeOf(server), "retry-after": "7" };
      asked.error(status, -32001, "not with this credential", asked.id, headers);
      return true;
    });
    const upstream = { url: server.url, forwardAuthorization: true };
    const { service, url } = await startGateway({ default: upstream });
    const response =
      method === "initialize"
        ? await post(url, INITIALIZE, MINE)
        : await post(url, toolCall(1, "x"), { "mcp-session-id": await opened(url), ...MINE });
    expect([response.status, response.headers.get("retry-after")]).toEqual([status, "7"]);
    expectChallenge(response, { server, service, url });
    const said = JSON.stringify([...response.headers]) + (await response.text());
    expect(said).toContain("not with this credential");
    expect(said).not.toContain(new URL(server.url).host);
  },
);
