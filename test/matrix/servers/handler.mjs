import { serve } from "@hono/node-server";
import { createMcpHandler } from "mcp-handler";
import { z } from "zod";
import { count, INFO, port, text } from "./tools.mjs";

const handler = createMcpHandler(
  (server) => {
    server.registerTool(
      "echo",
      { description: "Says it again", inputSchema: z.object({ text: z.string() }) },
      async ({ text: said }) => text(said),
    );
    server.registerTool(
      "count",
      { description: "Counts", inputSchema: z.object({ steps: z.number(), ms: z.number() }) },
      async (args, ctx) =>
        text(
          await count(args, async (progress, total) => {
            const progressToken = ctx.mcpReq?._meta?.progressToken;
            if (progressToken === undefined) return;
            const params = { progressToken, progress, total };
            await ctx.mcpReq.notify({ method: "notifications/progress", params });
          }),
        ),
    );
    server.registerTool("fail", { description: "Fails" }, async () => {
      throw new Error("it failed");
    });
  },
  { serverInfo: INFO },
);
serve({ fetch: handler, port, hostname: "127.0.0.1" });
