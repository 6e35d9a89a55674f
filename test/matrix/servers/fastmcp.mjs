import { FastMCP, UserError } from "fastmcp";
import { z } from "zod";
import { count, INFO, port } from "./tools.mjs";

const server = new FastMCP(INFO);
server.addTool({
  name: "echo",
  description: "Says it again",
  parameters: z.object({ text: z.string() }),
  execute: async ({ text }) => text,
});
server.addTool({
  name: "count",
  description: "Counts",
  parameters: z.object({ steps: z.number(), ms: z.number() }),
  execute: (args, { reportProgress }) =>
    count(args, (progress, total) => reportProgress({ progress, total })),
});
server.addTool({
  name: "fail",
  description: "Fails",
  parameters: z.object({}),
  execute: async () => {
    throw new UserError("it failed");
  },
});
await server.start({ transportType: "httpStream", httpStream: { port, host: "127.0.0.1" } });
