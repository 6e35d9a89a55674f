import { join } from "node:path";
import { MCPServer } from "mcp-framework";
import { INFO, port } from "./tools.mjs";

const server = new MCPServer({
  ...INFO,
  // The framework finds its tools as files in there.
  basePath: join(import.meta.dirname, "framework"),
  transport: { type: "http-stream", options: { port, host: "127.0.0.1", responseMode: "stream" } },
});
await server.start();
