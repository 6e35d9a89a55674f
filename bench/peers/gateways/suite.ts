/** What a gateway adds to a quick `tools/call`, against the server direct and against other gateways. */
import { join } from "node:path";
import { freePort } from "../../../test/support/free-port.ts";
import { addedP50, compare, compareAll, OURS, type Measure } from "../../compare.ts";
import { requests } from "../../load-client.ts";
import type { Contender, Effort } from "../../measure.ts";
import type { Report } from "../../report.ts";
import { startHoldfast, withServers } from "../../servers.ts";
import { PEERS_EFFORT } from "../effort.ts";
import { installPeers, peerFile, peerVersion } from "../installed.ts";
import { callLoad, openSessions } from "../mcp-sessions.ts";
import { startProcess } from "../process.ts";

const SESSIONS = 16;
const CONNECTIONS = 16;
/** The server without a gateway. */
const DIRECT = "direct";
const UPSTREAM = join(import.meta.dirname, "upstream.ts");

interface Gateway {
  readonly name: string;
  /** Its MCP endpoint. */
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export async function gateways(given: Partial<Effort>): Promise<Report> {
  const effort = { ...PEERS_EFFORT, ...given };
  await installPeers();
  return withServers(async (start) => {
    const direct = await start(startDirect());
    const running: Gateway[] = [
      direct,
      await start(startOurs(direct.url)),
      await start(startMcpProxy()),
      await start(startSupergateway()),
    ];
    const sessions = new Map<string, string[]>();
    for (const { name, url } of running) sessions.set(name, await openSessions(url, SESSIONS, 2));
    const calls = (connections: number): Contender[] =>
      running.map(({ name, url, pid }) => ({
        name,
        pid,
        run: (seconds) => {
          const load = callLoad(sessions.get(name) ?? []);
          const paths = [new URL(url).pathname];
          return requests({ ...load, url, paths, connections, seconds });
        },
      }));
    const job = (name: string, measure: Measure, connections: number) => () =>
      compare({ job: name, measures: [measure], base: DIRECT }, calls(connections), effort);
    const compared = await compareAll([
      job("tools/call, one at a time", addedP50(["<", 1]), 1),
      job(`tools/call, ${CONNECTIONS} at once`, addedP50(["<", 1]), CONNECTIONS),
    ]);
    return {
      suite: "gateways",
      title: "Against other MCP gateways",
      ...compared,
      notes: [
        `${effort.rounds} alternating rounds of ${effort.seconds} s after a warm-up; ${SESSIONS} sessions each, in turn. "added" is the median of the rounds' differences from the server direct, in ms.`,
        `The server (bench/peers/gateways/upstream.ts, Node) does no work. Direct and Holdfast speak Streamable HTTP with it, one process for all sessions.`,
        `mcp-proxy ${await peerVersion("mcp-proxy")} (\`--server stream\`, its defaults: sessions, and an event store in memory) starts one such server over stdio and shares it among all sessions.`,
        `supergateway ${await peerVersion("supergateway")} (\`--outputTransport streamableHttp --stateful --logLevel none\`) starts one such server over stdio for each session, so its servers use both cores and memory of their own; neither is in its CPU time.`,
        "Both take Streamable HTTP in and can only speak stdio to the server on this side; both keep sessions in memory and lose them when they end. Holdfast's are on disk.",
      ],
    };
  });
}

async function startDirect(): Promise<Gateway> {
  const port = await freePort();
  const server = await startProcess(process.execPath, [UPSTREAM, String(port)], port);
  return { ...server, name: DIRECT, url: `http://127.0.0.1:${port}/mcp` };
}

async function startOurs(upstream: string): Promise<Gateway> {
  const server = await startHoldfast({
    UPSTREAMS: JSON.stringify({ default: { url: upstream } }),
  });
  return { ...server, name: OURS, url: `${server.url}/mcp` };
}

async function startMcpProxy(): Promise<Gateway> {
  const port = await freePort();
  const script = peerFile("mcp-proxy", "dist", "bin", "mcp-proxy.mjs");
  const options = ["--host", "127.0.0.1", "--port", String(port), "--server", "stream"];
  const server = await startProcess(
    process.execPath,
    [script, ...options, "--", process.execPath, UPSTREAM],
    port,
  );
  return { ...server, name: "mcp-proxy", url: `http://127.0.0.1:${port}/mcp` };
}

async function startSupergateway(): Promise<Gateway> {
  const port = await freePort();
  const script = peerFile("supergateway", "dist", "index.js");
  const stdio = [process.execPath, UPSTREAM].map((part) => JSON.stringify(part)).join(" ");
  const output = ["--outputTransport", "streamableHttp", "--stateful"];
  const server = await startProcess(
    process.execPath,
    [script, "--stdio", stdio, ...output, "--port", String(port), "--logLevel", "none"],
    port,
  );
  return { ...server, name: "supergateway", url: `http://127.0.0.1:${port}/mcp` };
}
