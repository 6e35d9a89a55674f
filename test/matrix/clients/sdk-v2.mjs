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
await drive(sdkClient(client, (one, options) => client.callTool(one, options)));
