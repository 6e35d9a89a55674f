/**
 * The server behind the gateways, of every revision. It gives sessions and JSON answers, and does no
 * work. It speaks HTTP if its argument is a port, and else stdio, for the gateways that start their own server.
 */
import { createServer } from "node:http";
import { createInterface } from "node:readline";

interface Message {
  readonly id?: string | number;
  readonly method?: string;
}

const TOOL = { name: "echo", inputSchema: { type: "object" } };
const RESULTS: Readonly<Record<string, object>> = {
  initialize: {
    protocolVersion: "2025-11-25",
    capabilities: { tools: {} },
    serverInfo: { name: "bench", version: "1" },
  },
  "server/discover": {
    supportedVersions: ["2026-07-28"],
    capabilities: { tools: {} },
    serverInfo: { name: "bench", version: "1" },
    ttlMs: 0,
    cacheScope: "private",
  },
  "tools/list": { tools: [TOOL] },
  "tools/call": { content: [{ type: "text", text: "hello" }] },
};

function answer({ id, method = "" }: Message): string | undefined {
  if (id === undefined) return undefined;
  const result = { resultType: "complete", ...RESULTS[method] };
  return JSON.stringify({ jsonrpc: "2.0", id, result });
}

function serveHttp(port: number): void {
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => (text += chunk));
    request.on("end", () => {
      if (request.method !== "POST") return void response.writeHead(405).end();
      const message = JSON.parse(text) as Message;
      const body = answer(message);
      if (body === undefined) return void response.writeHead(202).end();
      response.writeHead(200, {
        "content-type": "application/json",
        ...(message.method === "initialize" && { "mcp-session-id": crypto.randomUUID() }),
      });
      response.end(body);
    });
  });
  server.listen(port, "127.0.0.1");
}

/** Ends when its input closes, which happens however the gateway ends. */
function serveStdio(): void {
  createInterface({ input: process.stdin }).on("line", (line) => {
    const text = answer(JSON.parse(line) as Message);
    if (text !== undefined) process.stdout.write(`${text}\n`);
  });
}

const port = process.argv[2];
if (port === undefined) serveStdio();
else serveHttp(Number(port));
