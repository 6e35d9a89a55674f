import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { drive, plan, url } from "./plan.mjs";
import { sdkClient } from "./sdk.mjs";

const Transport = plan.transport === "sse" ? SSEClientTransport : StreamableHTTPClientTransport;
const client = new Client({ name: "matrix", version: "1" });
await client.connect(new Transport(new URL(url)));
await drive(sdkClient(client, (one, options) => client.callTool(one, undefined, options)));
