import { getRequestListener } from "@hono/node-server";
import { ZodJsonSchemaAdapter } from "@tmcp/adapter-zod";
import { HttpTransport } from "@tmcp/transport-http";
import { createServer } from "node:http";
import { McpServer } from "tmcp";
import { z } from "zod";
import { count, INFO, port, text } from "./tools.mjs";

const server = new McpServer(INFO, {
  adapter: new ZodJsonSchemaAdapter(),
  capabilities: { tools: { listChanged: true } },
});
server.tool(
  { name: "echo", description: "Says it again", schema: z.object({ text: z.string() }) },
  ({ text: said }) => text(said),
);
server.tool(
  { name: "count", description: "Counts", schema: z.object({ steps: z.number(), ms: z.number() }) },
  async (args) =>
    text(await count(args, async (progress, total) => server.progress(progress, total))),
);
server.tool({ name: "fail", description: "Fails" }, () => ({
  ...text("it failed"),
  isError: true,
}));

const transport = new HttpTransport(server, { path: "/mcp" });
const answer = async (request) =>
  (await transport.respond(request)) ?? new Response(null, { status: 404 });
createServer(getRequestListener(answer)).listen(port, "127.0.0.1");
