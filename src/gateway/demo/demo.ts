/**
 * The built-in demo server, which the gateway serves until UPSTREAMS names another. It keeps no
 * sessions, so the gateway does all that a client sees of sessions and resumption.
 */
import {
  createMcpHandler,
  isJSONRPCRequest,
  McpServer,
  type JSONRPCRequest,
  type ServerContext,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import { parseJson } from "../../wire/json.ts";
import { isSessionVersion } from "../versions.ts";
import { sleep } from "../../wire/timers.ts";
import type { BuiltInServer } from "../upstream/open.ts";
import { StandingServer } from "./standing-server.ts";
import type { RequestParts } from "../upstream/upstream.ts";

/** Longest run of the slow tool, in seconds. A call holds an object in memory while it runs. */
const LONGEST_RUN_SECONDS = 300;

/** Headers, and keys of `_meta`, that only stateless requests have (MCP 2026-07-28). */
const STATELESS_HEADERS = ["mcp-method", "mcp-name"];
const STATELESS_META = "io.modelcontextprotocol/";

export function demoServer(): BuiltInServer {
  // The gateway keeps the client's connection alive. Nothing lies between it and this server.
  const handler = createMcpHandler(build, { keepAliveMs: 0 });
  // Each object has its own server, so an object's calls end with the object.
  let standing: StandingServer | undefined;
  return {
    // A tool without progress answers only when it is done.
    timeoutMs: (LONGEST_RUN_SECONDS + 60) * 1000,
    async send(url, parts) {
      const parsedBody = parts.body === undefined ? undefined : parseJson(parts.body);
      if (isSessionCall(parts.headers, parsedBody)) {
        standing ??= new StandingServer(build());
        return standing.call(parsedBody, parts.signal);
      }
      return handler.fetch(new Request(url, parts), { parsedBody });
    },
  };
}

/**
 * Whether this is a tool call that is plainly of a revision with sessions: such a call needs none of
 * the SDK's checks of HTTP. The SDK's handler, which is slower, serves every other request.
 */
function isSessionCall(headers: RequestParts["headers"], body: unknown): body is JSONRPCRequest {
  const version = headers["mcp-protocol-version"];
  if (version === undefined || !isSessionVersion(version)) return false;
  if (STATELESS_HEADERS.some((name) => name in headers)) return false;
  if (!isJSONRPCRequest(body) || body.method !== "tools/call") return false;
  return !Object.keys(body.params?._meta ?? {}).some((key) => key.startsWith(STATELESS_META));
}

/** Made once: the SDK's handler builds a server for each request, and a schema costs more than a server. */
const INPUTS = {
  echo: z.object({ text: z.string() }),
  count: z.object({
    steps: z.number().int().min(1).max(1000).default(10),
    seconds: z.number().min(0).max(LONGEST_RUN_SECONDS).default(5),
  }),
  notify: z.object({ messages: z.number().int().min(1).max(100).default(3) }),
};

function build(): McpServer {
  const server = new McpServer(
    { name: "holdfast-demo", version: "1.0.0" },
    { capabilities: { logging: {} } },
  );
  server.registerTool(
    "echo",
    {
      description: "Answers with the text that it was given, at once.",
      inputSchema: INPUTS.echo,
    },
    ({ text }) => says(text),
  );
  server.registerTool(
    "count",
    {
      description:
        "Counts to `steps` with a progress notification for each step. Drop the connection in between and come back: nothing is lost.",
      inputSchema: INPUTS.count,
    },
    async ({ steps, seconds }, ctx) => {
      for (let step = 1; step <= steps; step++) {
        await sleep((seconds * 1000) / steps, ctx.mcpReq.signal);
        ctx.mcpReq.signal.throwIfAborted();
        await progress(ctx, step, steps);
      }
      return says(`counted to ${steps}`);
    },
  );
  server.registerTool(
    "notify",
    {
      description: "Sends `messages` log notifications before it answers.",
      inputSchema: INPUTS.notify,
    },
    async ({ messages }, ctx) => {
      for (let i = 1; i <= messages; i++) {
        await ctx.mcpReq.notify({
          method: "notifications/message",
          params: { level: "info", logger: "demo", data: `message ${i} of ${messages}` },
        });
      }
      return says(`sent ${messages}`);
    },
  );
  return server;
}

function says(text: string) {
  return { content: [{ type: "text" as const, text }] };
}

async function progress(ctx: ServerContext, step: number, total: number): Promise<void> {
  const token = ctx.mcpReq._meta?.progressToken;
  if (token === undefined) return;
  await ctx.mcpReq.notify({
    method: "notifications/progress",
    params: { progressToken: token, progress: step, total },
  });
}
