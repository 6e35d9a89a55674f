/** Starts the gateways and the server behind them, each as a process of its own. */
import { join } from "node:path";
import { startHoldfast, type Server } from "../../servers.ts";
import { peerFile } from "../installed.ts";
import { startProcess } from "../process.ts";

const NODE = process.execPath;
export const UPSTREAM = join(import.meta.dirname, "upstream.ts");

/** The server with its MCP endpoint as `url`. */
async function mcp(starting: Promise<Server>): Promise<Server> {
  const server = await starting;
  return { ...server, url: `${server.url}/mcp` };
}
const node = (args: (port: number) => readonly string[]) => mcp(startProcess(NODE, args));

/** The server behind the gateways, over Streamable HTTP. */
export const startUpstream = () => node((port) => [UPSTREAM, String(port)]);

/** Its upstreams are the server as it is, and the server as one of a single era. */
export const startOurs = (url: string) => {
  const eras = { legacy: { url, era: "legacy" }, modern: { url, era: "modern" } };
  return mcp(startHoldfast({ UPSTREAMS: JSON.stringify({ default: { url }, ...eras }) }));
};

export const startMcpProxy = () =>
  node((port) => {
    const script = peerFile("mcp-proxy", "dist", "bin", "mcp-proxy.mjs");
    const options = ["--host", "127.0.0.1", "--port", String(port), "--server", "stream"];
    return [script, ...options, "--", NODE, UPSTREAM];
  });

export const startSupergateway = () =>
  node((port) => {
    const script = peerFile("supergateway", "dist", "index.js");
    const stdio = [NODE, UPSTREAM].map((part) => JSON.stringify(part)).join(" ");
    const output = ["--outputTransport", "streamableHttp", "--stateful", "--logLevel", "none"];
    return [script, "--stdio", stdio, ...output, "--port", String(port)];
  });
