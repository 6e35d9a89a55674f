/** Makes the fuzzer's requests: those that the OpenAPI document and MCP describe, with faults in every part. */
import type { Random } from "./random.ts";

export interface FuzzRequest {
  readonly method: string;
  /** Path and query, as it goes on the wire. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly authenticated: boolean;
}

export interface Seeds {
  readonly document: OpenApi;
  /** Session ids that requests aim at. */
  readonly ids: readonly string[];
  /** `Authorization` headers and tickets of a caller who is let in, but to nothing of the victim's. */
  readonly credentials: readonly string[];
  /** Credentials that let nobody in; undefined is none. */
  readonly wrongCredentials: readonly (string | undefined)[];
  readonly tickets: readonly string[];
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
}

interface OpenApiOperation {
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: unknown;
}

const METHODS = [
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "PROPFIND",
  "QUERY",
  "get",
  "X",
];
const MCP_PATHS = [
  "/mcp",
  "/mcp/default",
  "/mcp/nope",
  "/sse",
  "/messages",
  "/messages?session_id=1",
];
const VERSIONS = [
  "2024-11-05",
  "2025-03-26",
  "2025-06-18",
  "2025-11-25",
  "2026-07-28",
  "1999-01-01",
  "",
];

/** Header names that something reads, with values that it may stumble on. */
const HEADERS: Readonly<Record<string, (random: Random, seeds: Seeds) => string>> = {
  accept: (r) =>
    r.pick([
      "*/*",
      "text/event-stream",
      "application/json",
      "application/json, text/event-stream",
      ";;",
      "",
    ]),
  "content-type": (r) =>
    r.pick([
      "application/json",
      "text/plain",
      "application/json; charset=utf-16",
      "multipart/form-data",
      ",",
      "",
    ]),
  "content-encoding": (r) => r.pick(["gzip", "br", "identity", "x"]),
  "if-match": condition,
  "if-none-match": condition,
  "last-event-id": (r, { ids }) =>
    r.pick([r.pick(ids), "0", "-1", "a-1-0", "9".repeat(400), "000000000000000-000000000001-0"]),
  origin: (r) =>
    r.pick([
      "null",
      "http://localhost",
      "http://evil.example",
      "x",
      "http://127.0.0.1:1",
      "app://x",
    ]),
  host: (r) =>
    r.pick(["localhost", "evil.example", "127.0.0.1", "[::1]", "a..b", "localhost:99999"]),
  "mcp-session-id": (r, { ids }) => r.pick([r.pick(ids), "x", r.uuid()]),
  "mcp-protocol-version": (r) => r.pick(VERSIONS),
  "access-control-request-method": (r) => r.pick(["GET", "DELETE", "x"]),
  "access-control-request-headers": (r) => r.pick(["authorization", "x-a, x-b", ",,,"]),
  "x-forwarded-for": () => "127.0.0.1",
  "cf-connecting-ip": () => "::1",
  upgrade: () => "websocket",
  range: () => "bytes=0-1",
  expect: () => "x",
  "x-http-method-override": () => "DELETE",
  cookie: () => "a=b",
  "x-junk": (r) => printable(r.text(60)),
};

function condition(random: Random): string {
  return random.pick(["*", '"x"', 'W/"x"', '"a", "b"', '"', "", "x".repeat(2000)]);
}

export function makeRequest(random: Random, seeds: Seeds): FuzzRequest {
  const { method, path, parameters } = pickOperation(random, seeds);
  const hasBody = random.chance(0.75) && !/^(get|head)$/i.test(method);
  const headers: Record<string, string> = {};
  if (hasBody && random.chance(0.9)) headers["content-type"] = "application/json";
  for (const [name, value] of Object.entries(HEADERS)) {
    if (random.chance(name === "host" || name === "origin" ? 0.02 : 0.05))
      headers[name] = value(random, seeds);
  }
  const authenticated = random.chance(0.7);
  const credential = random.pick(authenticated ? seeds.credentials : seeds.wrongCredentials);
  if (credential !== undefined) headers["authorization"] = credential;
  // Node refuses to send HTTP/1.1 trailers of its own making; a body always has its length or is chunked.
  const target = path + query(random, seeds, parameters);
  return {
    method,
    target,
    headers,
    authenticated,
    ...(hasBody && { body: makeBody(random, path) }),
  };
}

function pickOperation(random: Random, { document, ids }: Seeds) {
  const path = pickPath(random, document);
  const operations = document.paths[path] ?? {};
  const known = Object.keys(operations).map((name) => name.toUpperCase());
  // Deleting is rarer than it could be, or there would seldom be anything to try the rest on.
  const usual = known.filter((name) => name !== "DELETE" || random.chance(0.1));
  const method = usual.length > 0 && random.chance(0.9) ? random.pick(usual) : random.pick(METHODS);
  const parameters = Object.values(operations)
    .flatMap((operation) => operation.parameters)
    .filter((parameter) => parameter.in === "query")
    .map(({ name }) => name);
  const id = random.chance(0.9) ? random.pick(ids) : oddId(random, random.pick(ids));
  return { method, path: bend(random, path.replace("{id}", id)), parameters };
}

function pickPath(random: Random, document: OpenApi): string {
  if (random.chance(0.15)) return random.pick(MCP_PATHS);
  const paths = Object.keys(document.paths);
  // Paths that answer everybody alike need few tries.
  return random.pick(random.chance(0.9) ? paths.filter((path) => path.startsWith("/v1")) : paths);
}

function oddId(random: Random, id: string): string {
  return random.pick([
    id.toUpperCase(),
    id.replaceAll("-", ""),
    `{${id}}`,
    `urn:uuid:${id}`,
    `${id}%00`,
    `%2e%2e%2f${id}`,
    encodeURIComponent(random.text(40).replaceAll(/[\ud800-\udfff]/g, "")),
    "..",
    "%ff",
    "%",
    "count",
    "x".repeat(3000),
  ]);
}

function bend(random: Random, path: string): string {
  if (random.chance(0.94)) return path;
  return random.pick([
    `${path}/`,
    `/${path}`,
    path.toUpperCase(),
    path.replace("/v1", "/v1/../v1"),
    path.replaceAll("/", "%2f"),
    `${path}/extra`,
    `${path};a=b`,
    path.replace("/v1", "/V1"),
    `${path}%0d%0aX-Injected:%201`,
    "/",
    "*",
    "/%",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/oauth-protected-resource/%22%0d%0a",
  ]);
}

function query(random: Random, { tickets, ids }: Seeds, parameters: readonly string[]): string {
  if (random.chance(0.6)) return "";
  const names = [
    ...parameters,
    "ticket",
    "lastEventId",
    "limit",
    "cursor",
    "subject",
    "type",
    "session_id",
    "__proto__",
  ];
  const value = () =>
    random.pick([
      "",
      "true",
      "earliest",
      "-1",
      "1e9",
      random.pick(ids),
      random.pick(tickets),
      random.text(20).replaceAll(/[\ud800-\udfff]/g, ""),
    ]);
  const pairs = Array.from({ length: random.below(4) }, () => [random.pick(names), value()]);
  return `?${pairs.map(([name, text]) => `${name}=${encodeURIComponent(text!)}`).join("&")}`;
}

function makeBody(random: Random, path: string): Buffer {
  if (random.chance(0.03))
    return Buffer.from(Array.from({ length: random.below(200) }, () => random.below(256)));
  if (random.chance(0.02)) return Buffer.from("[".repeat(5000));
  if (random.chance(0.005)) return Buffer.from(JSON.stringify({ data: "x".repeat(1_100_000) }));
  if (random.chance(0.4) && path.startsWith("/v1"))
    return Buffer.from(JSON.stringify(rightBody(random, path)));
  const value = /^\/(mcp|sse|messages)/.test(path) ? mcpMessage(random) : fields(random);
  const text = JSON.stringify(value) ?? "";
  return Buffer.from(random.chance(0.04) ? text.slice(0, random.below(text.length + 1)) : text);
}

/** A body that the path takes as it is. */
function rightBody(random: Random, path: string): unknown {
  if (path.endsWith("/events")) return { data: json(random, 2) };
  return random.pick([{}, { metadata: { a: "b" } }, { ttlSeconds: 60 }]);
}

/** Members of the bodies that `/v1` takes, right and wrong. */
function fields(random: Random): unknown {
  const members: Record<string, () => unknown> = {
    id: () => random.pick([random.uuid(), "x", 1, null]),
    type: () => random.pick(["mcp", "sse", "streamable", "x", 1]),
    metadata: () =>
      random.pick([
        { a: "b" },
        { a: null },
        { a: 1 },
        [],
        null,
        { [random.text(8)]: random.text(8) },
      ]),
    data: () => json(random, 3),
    ttlSeconds: () => random.pick([60, 0.5, 0, -1, 1e99, "60", null]),
    maxLifetimeSeconds: () => random.pick([60, 0, -1, null]),
    subject: () => random.pick(["attacker", "victim", "", 1]),
    event: () => random.pick(["tick", "a\nb", "gap", "error", "", "x".repeat(300)]),
    unknown: () => json(random, 1),
  };
  const one = () =>
    Object.fromEntries(
      Object.entries(members)
        .filter(([name]) => random.chance(name === "unknown" ? 0.03 : 0.25))
        .map(([name, value]) => [name, value()]),
    );
  return random.pick([
    one,
    one,
    () => ({ data: json(random, 2) }),
    () => Array.from({ length: random.below(4) }, one),
    () => json(random, 3),
  ])();
}

function mcpMessage(random: Random): unknown {
  const message = () => ({
    ...(random.chance(0.9) && { jsonrpc: random.pick(["2.0", "1.0", 2]) }),
    ...(random.chance(0.7) && { id: random.pick([0, 1, "a", null, {}, 1e300]) }),
    method: random.pick([
      "initialize",
      "tools/list",
      "tools/call",
      "ping",
      "notifications/initialized",
      "x",
      1,
    ]),
    params: random.pick([
      {
        protocolVersion: random.pick(VERSIONS),
        capabilities: {},
        clientInfo: { name: "fuzz", version: "0" },
      },
      { name: "echo", arguments: { text: random.text(10) } },
      { _meta: { "io.modelcontextprotocol/protocolVersion": random.pick(VERSIONS) } },
      json(random, 2),
    ]),
  });
  return random.chance(0.1) ? Array.from({ length: random.below(3) }, message) : message();
}

function json(random: Random, depth: number): unknown {
  const leaf = () => random.pick([null, true, 0, -1.5, 1e300, "", random.text(12)]);
  if (depth === 0 || random.chance(0.4)) return leaf();
  const items = Array.from({ length: random.below(4) }, () => json(random, depth - 1));
  if (random.chance(0.5)) return items;
  const names = ["a", "__proto__", "constructor", "toString", "data", random.text(5)];
  return Object.fromEntries(items.map((item) => [random.pick(names), item]));
}

function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?");
}

/** Bytes that are hardly HTTP. Each goes over a connection of its own. */
export function makeNoise(random: Random): Buffer {
  const line = random.pick([
    "GET / HTTP/1.1\r\n\r\n",
    "GET /v1/sessions HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "GET http://evil.example/v1/sessions/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "GET /v1/sessions/\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    `GET /${"a".repeat(70_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${"a".repeat(40_000)}\r\n\r\n`,
    "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\r\n\r\n\r\n",
  ]);
  const bytes = Buffer.from(line, "latin1");
  if (random.chance(0.5)) bytes[random.below(bytes.length)] = random.below(256);
  return bytes;
}
