import { StreamableHTTPTransport } from "@hono/mcp";
import { serve } from "@hono/node-server";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { Hono } from "hono";
import { z } from "zod";
import { count, INFO, port, text } from "./tools.mjs";

/** One server and transport for each session, as a server with sessions needs. */
const transports = new Map();

async function open() {
  const transport = new StreamableHTTPTransport({
    sessionIdGenerator: () => crypto.randomUUID(),
    onsessioninitialized: (id) => void transports.set(id, transport),
  });
  const server = new McpServer(INFO);
  server.registerTool("echo", { inputSchema: { text: z.string() } }, ({ text: said }) =>
    text(said),
  );
  server.registerTool(
    "count",
    { inputSchema: { steps: z.number(), ms: z.number() } },
    async (args, { _meta, sendNotification }) =>
      text(
        await count(args, async (progress, total) => {
          const progressToken = _meta?.progressToken;
          if (progressToken === undefined) return;
          const params = { progressToken, progress, total };
          await sendNotification({ method: "notifications/progress", params });
        }),
      ),
  );
  server.registerTool("fail", {}, () => {
    throw new Error("it failed");
  });
  await server.connect(transport);
  return transport;
}

const app = new Hono();
app.all("/mcp", async (c) => {
  const id = c.req.header("mcp-session-id");
  const transport = id === undefined ? await open() : transports.get(id);
  if (!transport) return c.json({ error: "No valid session ID provided" }, 400);
  return transport.handleRequest(c);
});
serve({ fetch: app.fetch, port, hostname: "127.0.0.1" });
