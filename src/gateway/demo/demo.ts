/**
 * The built-in demo server, which the gateway serves until UPSTREAMS names another: a server of one's own,
 * in the object of each session. Requests of the stateless revision are answered in the Worker.
 */
import { createMcpHandler, McpServer, type ServerContext } from "@modelcontextprotocol/server";
import * as z from "zod";
import { sleep } from "../../wire/timers.ts";
import type { OwnServer, Send } from "../upstream/upstream.ts";

/** Longest run of the slow tool, in seconds. A call holds an object in memory while it runs. */
const LONGEST_RUN_SECONDS = 300;

/** The URL is only a name: nobody sends anything there. */
const ADDRESS = "https://demo.invalid/mcp";

export function demoServer(): OwnServer & { readonly stateless: Send } {
  // The gateway keeps the client's connection alive. Nothing lies between it and this server.
  const handler = createMcpHandler(build, { keepAliveMs: 0 });
  return {
    make: build,
    stateless: (parts, url = ADDRESS) => handler.fetch(new Request(url, parts)),
  };
}

/** Made once: there is a server for each session and each stateless request, and a schema costs more than a server. */
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
