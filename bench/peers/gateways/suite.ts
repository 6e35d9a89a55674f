/** The time that a gateway adds to a quick `tools/call`, beside the server direct and other gateways. */
import { addedP50, compare, compareAll, OURS, type Measure } from "../../comparison.ts";
import { CONNECTIONS, requesting } from "../../loads.ts";
import { contend, type Effort } from "../../measure.ts";
import type { Report } from "../../report.ts";
import { withServers } from "../../servers.ts";
import { installPeers, PEERS_EFFORT, peerVersion } from "../installed.ts";
import { callLoad, openSessions } from "../mcp-sessions.ts";
import { startMcpProxy, startOurs, startSupergateway, startUpstream } from "./start.ts";

const SESSIONS = 16;
/** The server without a gateway. */
const DIRECT = "direct";

export async function gateways(given: Partial<Effort>): Promise<Report> {
  const effort = { ...PEERS_EFFORT, ...given };
  await installPeers();
  return withServers(async (start) => {
    const direct = await start(startUpstream());
    const servers = {
      [DIRECT]: direct,
      [OURS]: await start(startOurs(direct.url)),
      "mcp-proxy": await start(startMcpProxy()),
      supergateway: await start(startSupergateway()),
    };
    const opening = Object.entries(servers).map(async ([name, { url, pid }]) => {
      return { name, url, pid, sessions: await openSessions(url, SESSIONS, 2) };
    });
    const running = await Promise.all(opening);
    const calls = (connections: number) =>
      contend(running, ({ url, sessions }) =>
        requesting({ url }, { ...callLoad(sessions), paths: ["/mcp"] }, connections),
      );
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
