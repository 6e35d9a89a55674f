/** A client of stdio, with mcp-remote as its server. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { drive, plan, url } from "./plan.mjs";
import { sdkClient } from "./sdk.mjs";

const { resolve } = createRequire(import.meta.url);
const proxy = join(dirname(resolve("mcp-remote/package.json")), "dist/proxy.js");
const strategy = plan.transport === "sse" ? "sse-only" : "http-only";
const client = new Client({ name: "matrix", version: "1" });
await client.connect(
  new StdioClientTransport({
    command: process.execPath,
    args: [proxy, url, "--allow-http", "--transport", strategy],
    env: process.env,
    stderr: "ignore",
  }),
);
await drive(sdkClient(client, (one, options) => client.callTool(one, undefined, options)));
