/**
 * Requests that no HTTP library sends, written to the socket byte by byte. The
 * answer is never a 500, nothing hangs, and the next caller is served.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { readWorkerConfig } from "../../scripts/worker-config.ts";
import { startWorkerd, type Workerd } from "../../scripts/workerd.ts";
import { keepLog } from "../support/kept-logs.ts";
import { listenOnLoopback } from "../support/listen.ts";

let workerd: Workerd;
let stateDir: string;
const lines: string[] = [];

beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "holdfast-raw-"));
  workerd = await startWorkerd({
    bundle: inject("bundle"),
    config: readWorkerConfig(),
    host: "127.0.0.1",
    port: 0,
    stateDir,
    env: { AUTH: "none" },
    onLine: (line) => {
      lines.push(line);
      keepLog(line);
    },
  });
});

afterAll(async () => {
  await workerd.stop(0);
  await rm(stateDir, { recursive: true, force: true });
});

/** The status that comes back, "closed" where the connection ends without one, "hangs" where neither comes. */
async function answerTo(bytes: string | Uint8Array, end: boolean): Promise<number | string> {
  const socket = connect({ port: workerd.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  socket.setTimeout(10_000);
  let text = "";
  try {
    return await new Promise((resolve) => {
      socket.on("data", (data: Buffer) => {
        text += data.toString("latin1");
        const [, status] = /^HTTP\/1\.[01] ([2-5]\d\d) /m.exec(text) ?? [];
        if (status !== undefined) resolve(Number(status));
      });
      socket.on("end", () => resolve("closed"));
      socket.on("close", () => resolve("closed"));
      socket.on("timeout", () => resolve("hangs"));
      socket.write(bytes);
      if (end) socket.end();
    });
  } finally {
    socket.destroy();
  }
}

const HOST = "Host: localhost\r\n";
const JSON_POST = `${HOST}Content-Type: application/json\r\n`;
const MCP_POST = `${JSON_POST}Accept: application/json, text/event-stream\r\n`;
const CHUNKED = "Transfer-Encoding: chunked\r\n";
const bytes = (head: string, odd: readonly number[], tail: string) =>
  Buffer.concat([Buffer.from(head), Buffer.from(odd), Buffer.from(tail)]);

/** Name, bytes, what comes back, and whether the client ends its side after them. */
const REQUESTS: readonly (readonly [
  name: string,
  bytes: string | Uint8Array,
  expected: number | string,
  end?: boolean,
])[] = [
  ["CONNECT to a host", `CONNECT example.com:443 HTTP/1.1\r\n${HOST}\r\n`, "closed"],
  ["CONNECT without a port", `CONNECT x HTTP/1.1\r\n${HOST}\r\n`, "closed"],
  ["CONNECT to a path", `CONNECT /v1/sessions HTTP/1.1\r\n${HOST}\r\n`, "closed"],
  ["CONNECT with a body", `CONNECT a:1 HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`, "closed"],
  ["CONNECT to nothing", `CONNECT  HTTP/1.1\r\n${HOST}\r\n`, 400],
  // RFC 9110, 15.6.2: what a server says to a method that it does not recognize.
  ["an unknown method", `BREW /v1/sessions HTTP/1.1\r\n${HOST}\r\n`, 501],
  ["a method in lower case", `get /healthz HTTP/1.1\r\n${HOST}\r\n`, 501],
  ["TRACE", `TRACE /v1/sessions HTTP/1.1\r\n${HOST}\r\n`, 405],
  ["PROPFIND", `PROPFIND /v1/sessions HTTP/1.1\r\n${HOST}\r\n`, 405],
  ["a URL in absolute form", `GET http://localhost/healthz HTTP/1.1\r\n${HOST}\r\n`, 200],
  ["a URL of a broken host", `GET http://[ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["a path that begins like a host", `GET //[ HTTP/1.1\r\n${HOST}\r\n`, 404],
  ["a path without a slash", `GET @evil.example/v1/sessions HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["OPTIONS *", `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, 404],
  ["a path that is not UTF-8", bytes("GET /v1/", [0xff, 0x80], ` HTTP/1.1\r\n${HOST}\r\n`), 400],
  ["a path with a broken escape", `GET /v1/sessions/%ff%zz HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["a path with a NUL", `GET /v1/\0 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ["a URL of 9,000 characters", `GET /?${"a".repeat(9000)} HTTP/1.1\r\n${HOST}\r\n`, 414],
  ["a URL of 100,000 characters", `GET /?${"a".repeat(100_000)} HTTP/1.1\r\n${HOST}\r\n`, 414],
  ["HTTP/0.9", "GET /\r\n\r\n", 400],
  ["HTTP/1.0", `GET /healthz HTTP/1.0\r\n${HOST}\r\n`, 200],
  ["HTTP/1.0 without a host", "GET /healthz HTTP/1.0\r\n\r\n", 400],
  ["HTTP/2.0 in words", `GET / HTTP/2.0\r\n${HOST}\r\n`, 400],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "closed"],
  ["a TLS hello", Buffer.from([0x16, 3, 1, 0, 0xff, 1, 2, 3, 13, 10, 13, 10]), 400],
  ["no host", "GET /healthz HTTP/1.1\r\n\r\n", 400],
  ["a host that is none", "GET /v1/sessions HTTP/1.1\r\nHost: [\r\n\r\n", 403],
  ["two hosts", `GET /v1/sessions HTTP/1.1\r\n${HOST}Host: evil.example\r\n\r\n`, 403],
  ["a header with a NUL", `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, 400],
  [
    "a header that is not UTF-8",
    bytes(`GET /healthz HTTP/1.1\r\n${HOST}X: `, [0xff], "\r\n\r\n"),
    200,
  ],
  ["a header without a colon", `GET / HTTP/1.1\r\n${HOST}X\r\n\r\n`, 400],
  ["a header's name with a space", `GET / HTTP/1.1\r\nHost : localhost\r\n\r\n`, 400],
  ["a folded header", `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`, 400],
  [
    "a header of 40,000 bytes",
    `GET /v1/sessions HTTP/1.1\r\n${HOST}X: ${"a".repeat(40_000)}\r\n\r\n`,
    431,
  ],
  [
    "a header of 300,000 bytes",
    `GET /v1/sessions HTTP/1.1\r\n${HOST}X: ${"a".repeat(300_000)}\r\n\r\n`,
    431,
  ],
  [
    "two lengths",
    `POST /v1/sessions HTTP/1.1\r\n${JSON_POST}Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}abc`,
    400,
  ],
  [
    "a negative length",
    `POST /v1/sessions HTTP/1.1\r\n${JSON_POST}Content-Length: -1\r\n\r\n{}`,
    400,
  ],
  [
    "a length of 2^60",
    `POST /v1/sessions HTTP/1.1\r\n${JSON_POST}Content-Length: ${2n ** 60n}\r\n\r\n{}`,
    413,
  ],
  [
    "a length beyond numbers",
    `POST /v1/sessions HTTP/1.1\r\n${JSON_POST}Content-Length: ${"9".repeat(30)}\r\n\r\n{}`,
    400,
  ],
  [
    "a body that ends early",
    `POST /v1/sessions HTTP/1.1\r\n${JSON_POST}Content-Length: 50\r\n\r\n{}`,
    400,
    true,
  ],
  [
    "an unknown transfer coding",
    `POST /v1/sessions HTTP/1.1\r\n${JSON_POST}Transfer-Encoding: gzip\r\n\r\n{}`,
    400,
  ],
  [
    "a chunk whose size is no number",
    `POST /v1/sessions HTTP/1.1\r\n${JSON_POST}${CHUNKED}\r\nzz\r\n{}\r\n`,
    400,
  ],
  [
    "a chunk of more than there is",
    `POST /v1/sessions HTTP/1.1\r\n${JSON_POST}${CHUNKED}\r\n7fffffffffffffff\r\n{}`,
    400,
    true,
  ],
  [
    "a chunk without its end",
    `POST /v1/sessions HTTP/1.1\r\n${JSON_POST}${CHUNKED}\r\n2\r\n{}XX0\r\n\r\n`,
    400,
  ],
  [
    "chunks that stop",
    `POST /v1/sessions HTTP/1.1\r\n${JSON_POST}${CHUNKED}\r\n5\r\n{}`,
    400,
    true,
  ],
  [
    "an MCP body that ends early",
    `POST /mcp HTTP/1.1\r\n${MCP_POST}Content-Length: 50\r\n\r\n{}`,
    400,
    true,
  ],
  [
    "an MCP chunk whose size is no number",
    `POST /mcp HTTP/1.1\r\n${MCP_POST}${CHUNKED}\r\nzz\r\n{}`,
    400,
  ],
  ["MCP chunks that stop", `POST /mcp HTTP/1.1\r\n${MCP_POST}${CHUNKED}\r\n5\r\n{}`, 400, true],
  [
    "a legacy message that stops",
    `POST /messages?session_id=x HTTP/1.1\r\n${MCP_POST}${CHUNKED}\r\n5\r\n{}`,
    400,
    true,
  ],
  [
    "an upgrade to a WebSocket",
    `GET /healthz HTTP/1.1\r\n${HOST}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    200,
  ],
  [
    "an upgrade to HTTP/2",
    `GET /healthz HTTP/1.1\r\n${HOST}Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n\r\n`,
    200,
  ],
  ["nothing but line ends", "\r\n\r\n", "closed", true],
];

it.each(
  REQUESTS.map(([name, request, expected, end = false]) => ({ name, request, expected, end })),
)("answers $name", async ({ request, expected, end }) => {
  expect(await answerTo(request, end)).toBe(expected);
  const after = await fetch(`${workerd.url}/healthz`);
  expect(after.status).toBe(200);
  await after.text();
});

it("lets nobody tunnel, not even to this machine", async () => {
  let reached = 0;
  const server = createServer((socket) => {
    reached++;
    socket.destroy();
  });
  const port = await listenOnLoopback(server);
  for (const target of [`127.0.0.1:${port}`, `localhost:${port}`, `[::ffff:127.0.0.1]:${port}`]) {
    expect(await answerTo(`CONNECT ${target} HTTP/1.1\r\n${HOST}\r\n`, false)).toBe("closed");
  }
  expect(reached).toBe(0);
  server.close();
});

it("logged JSON alone, and no crash of its own", () => {
  const events = lines.map((line) => (JSON.parse(line) as { event: string }).event);
  expect(events).toContain("workerd");
  expect(events.filter((event) => !["workerd", "request.refused"].includes(event))).toEqual([]);
});
