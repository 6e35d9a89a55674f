/** The gateways that are compared, and the server behind them, each a process of its own. */
import { join } from "node:path";
import { startHoldfast, type Server } from "../../servers.ts";
import { peerFile } from "../installed.ts";
import { startProcess } from "../process.ts";

const NODE = process.execPath;
const UPSTREAM = join(import.meta.dirname, "upstream.ts");

/** `url` is the MCP endpoint. */
async function mcp(starting: Promise<Server>): Promise<Server> {
  const server = await starting;
  return { url: `${server.url}/mcp`, pid: server.pid, stop: () => server.stop() };
}

/** The server behind the gateways, over Streamable HTTP. */
export const startUpstream = () => mcp(startProcess(NODE, (port) => [UPSTREAM, String(port)]));

export const startOurs = (upstream: string) =>
  mcp(startHoldfast({ UPSTREAMS: JSON.stringify({ default: { url: upstream } }) }));

export const startMcpProxy = () =>
  mcp(
    startProcess(NODE, (port) => {
      const script = peerFile("mcp-proxy", "dist", "bin", "mcp-proxy.mjs");
      const options = ["--host", "127.0.0.1", "--port", String(port), "--server", "stream"];
      return [script, ...options, "--", NODE, UPSTREAM];
    }),
  );

export const startSupergateway = () =>
  mcp(
    startProcess(NODE, (port) => {
      const script = peerFile("supergateway", "dist", "index.js");
      const stdio = [NODE, UPSTREAM].map((part) => JSON.stringify(part)).join(" ");
      const output = ["--outputTransport", "streamableHttp", "--stateful", "--logLevel", "none"];
      return [script, "--stdio", stdio, ...output, "--port", String(port)];
    }),
  );
