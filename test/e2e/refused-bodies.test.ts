/** Bodies that are refused unread: their sender reads the reason, and does not get a broken connection. */
import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { DRAIN_BYTES, DRAIN_MS } from "../../src/core/limits.ts";
import { apiTokens } from "../support/api-tokens.ts";
import { shared } from "../support/scope.ts";
import { Service } from "../support/service.ts";

const MIB = 1024 * 1024;
const JSON_HEADERS = { "content-type": "application/json", accept: "*/*" };

interface Upload {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly bytes: number;
  /** In how many writes it goes. */
  readonly writes: number;
  readonly chunked?: boolean;
}

/** The status that Node's client gets to see, or the error that it gets instead. */
function statusOf(port: number, upload: Upload): Promise<number | string> {
  const { method = "POST", path, headers, bytes, writes, chunked } = upload;
  return new Promise((resolve) => {
    const sent = request({
      host: "127.0.0.1",
      port,
      method,
      path,
      agent: false,
      headers: { ...JSON_HEADERS, ...headers, ...(!chunked && { "content-length": bytes }) },
    });
    sent.on("error", (failure: NodeJS.ErrnoException) => resolve(failure.code ?? failure.message));
    sent.on("response", (answer) => {
      answer.on("error", (failure: NodeJS.ErrnoException) => resolve(failure.code ?? "cut"));
      answer.on("end", () => resolve(answer.statusCode ?? 0));
      answer.resume();
    });
    Readable.from(parts(bytes / writes, writes)).pipe(sent);
  });
}

async function* parts(bytes: number, count: number): AsyncGenerator<Buffer> {
  for (let n = 0; n < count; n++) {
    await setImmediate();
    yield Buffer.alloc(bytes, "a");
  }
}

const startWithTokens = shared(async () => {
  const tokens = await apiTokens({ me: ["me", ["sessions:write", "mcp"]] });
  const service = await Service.start({
    AUTH: "token",
    API_TOKENS: tokens.variable,
    BODY_MAX_BYTES: String(MIB),
  });
  return { service, tokens };
});

it.each<[name: string, status: number, upload: Upload]>([
  ["too large", 413, { path: "/v1/sessions", bytes: 2 * MIB, writes: 32 }],
  [
    "too large, in chunks",
    413,
    { path: "/v1/sessions", bytes: 2 * MIB, writes: 32, chunked: true },
  ],
  ["to no route", 404, { path: "/nothing", bytes: 2 * MIB, writes: 32 }],
  ["of a wrong method", 405, { method: "PATCH", path: "/v1/sessions", bytes: 8000, writes: 40 }],
  [
    "of nobody",
    401,
    { path: "/v1/sessions", headers: { authorization: "" }, bytes: MIB, writes: 16 },
  ],
  ["too large for MCP", 413, { path: "/mcp", bytes: 2 * MIB, writes: 32 }],
  [
    "too large for MCP, in chunks",
    413,
    { path: "/mcp", bytes: 2 * MIB, writes: 32, chunked: true },
  ],
  [
    "of no JSON for MCP",
    415,
    { path: "/mcp", headers: { "content-type": "text/plain" }, bytes: MIB, writes: 16 },
  ],
])("a client that sends a body %s reads %i", async (_name, status, upload) => {
  const { service, tokens } = await startWithTokens();
  const headers = { ...tokens.headers["me"], ...upload.headers };
  const seen: (number | string)[] = [];
  for (let n = 0; n < 12; n++) seen.push(await statusOf(service.port, { ...upload, headers }));
  expect(seen).toEqual(Array.from({ length: 12 }, () => status));
  expect(service.lines.filter(({ level }) => level !== "info")).toEqual([]);
});

class RawClient {
  readonly socket: Socket;
  text = "";

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1" });
    this.socket.on("error", () => {});
    this.socket.on("data", (data: Buffer) => (this.text += data.toString("latin1")));
    onTestFinished(() => void this.socket.destroy());
  }

  post(path: string, headers: string): void {
    this.socket.write(`POST ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n\r\n`);
  }

  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) await once(this.socket, "data");
  }
}

const WHOLE_404 = /^HTTP\/1\.1 404 [\s\S]*"code":"not_found"}$/;

it("has its whole answer before it has sent the rest, and the connection goes on", async () => {
  const service = await Service.start();
  const client = new RawClient(service.port);
  client.post("/nothing", "Content-Length: 100");
  client.socket.write("a".repeat(50));
  await client.until(WHOLE_404);
  client.text = "";
  client.socket.write(`${"a".repeat(50)}GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await client.until(/"ok"}$/);
  expect(client.text).toMatch(/^HTTP\/1\.1 200 /);
});

it("is not told to go on where it asks first", async () => {
  const service = await Service.start();
  const client = new RawClient(service.port);
  client.post("/nothing", "Content-Length: 5000000\r\nExpect: 100-continue");
  await client.until(/"code":"not_found"}$/);
  expect(client.text).toMatch(WHOLE_404);
});

it("is let go once it sends without an end, and nothing is logged where it leaves", async () => {
  const service = await Service.start();
  const forever = new RawClient(service.port);
  const slow = new RawClient(service.port);
  const leaving = new RawClient(service.port);
  const before = performance.now();
  for (const client of [forever, slow, leaving])
    client.post("/nothing", "Transfer-Encoding: chunked");
  const chunk = Buffer.concat([
    Buffer.from("10000\r\n"),
    Buffer.alloc(65536, "a"),
    Buffer.from("\r\n"),
  ]);
  let sent = 0;
  const pump = () => {
    do sent += chunk.length;
    while (!forever.socket.destroyed && forever.socket.write(chunk));
  };
  forever.socket.on("drain", pump);
  const ended = [forever, slow].map(
    ({ socket }) =>
      new Promise<number>((resolve) =>
        socket.once("close", () => resolve(performance.now() - before)),
      ),
  );
  pump();
  await leaving.until(WHOLE_404);
  leaving.socket.resetAndDestroy();
  // The slow one sends nothing at all.
  await slow.until(WHOLE_404);
  const [pumped = 0] = await Promise.all(ended);
  expect(forever.text).toMatch(WHOLE_404);
  // A busy machine may not carry so many bytes before the time is over.
  expect(sent > DRAIN_BYTES || pumped >= DRAIN_MS).toBe(true);
  expect((await service.fetch("/healthz")).status).toBe(200);
  expect(service.lines).toEqual([]);
});
