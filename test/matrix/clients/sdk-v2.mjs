import {
  Client,
  SSEClientTransport,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import { drive, plan, url } from "./plan.mjs";
import { sdkClient } from "./sdk.mjs";

const Transport = plan.transport === "sse" ? SSEClientTransport : StreamableHTTPClientTransport;
const versionNegotiation = { mode: plan.transport === "sse" ? "legacy" : "auto" };
const client = new Client({ name: "matrix", version: "1" }, { versionNegotiation });
await client.connect(new Transport(new URL(url)));
const { tools, ...calls } = sdkClient(client, (one, options) => client.callTool(one, options));
await drive({
  ...calls,
  // Over HTTP+SSE it speaks a revision with sessions, where a tool has `execution`. The stateless one has none.
  tools: async () => (await tools()).map((tool) => ({ ...tool, execution: undefined })),
});
