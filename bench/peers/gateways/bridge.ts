/** The time that the bridge of the eras adds to a quick `tools/call`, beside the server direct and mcp-remote. */
import { addedP50, compare, compareAll, OURS } from "../../comparison.ts";
import { requesting } from "../../loads.ts";
import type { Contender, Effort } from "../../measure.ts";
import type { Report } from "../../report.ts";
import { withServers } from "../../servers.ts";
import { installPeers, PEERS_EFFORT, peerVersion } from "../installed.ts";
import { callLoad, MODERN_LOAD, openSessions, type Load } from "../mcp-sessions.ts";
import { startMcpRemote, startOverStdio } from "./mcp-remote.ts";
import { startOurs, startUpstream, UPSTREAM } from "./start.ts";

/** The server without a bridge, as a client over stdio calls it. */
const STDIO = "direct over stdio";

export async function bridge(given: Partial<Effort>): Promise<Report> {
  const effort = { ...PEERS_EFFORT, ...given };
  await installPeers();
  return withServers(async (start) => {
    const direct = { name: "direct", ...(await start(startUpstream())) };
    const ours = { name: OURS, ...(await start(startOurs(direct.url))) };
    const calling = (to: typeof ours, load: Load, path = "/mcp"): Contender => {
      return { ...to, run: requesting(to, { ...load, paths: [path] }, 1) };
    };
    const inSession = async (url: string) => callLoad(await openSessions(url, 1));
    const job = (from: string, contenders: readonly Contender[]) => () => {
      const own = {
        of: "added to its client's direct call, p50, ms",
        bases: { "mcp-remote": STDIO },
      };
      const measures = [addedP50(["<", 1]), { ...addedP50(["<", 1]), ...own }];
      return compare({ job: `from ${from}`, measures, base: direct.name }, contenders, effort);
    };
    const compared = await compareAll([
      job("2025-11-25 to 2026-07-28", [
        calling(direct, MODERN_LOAD),
        calling(ours, await inSession(`${ours.url}/modern`), "/mcp/modern"),
        await start(startMcpRemote(direct.url)),
        await start(startOverStdio(STDIO, [UPSTREAM])),
      ]),
      job("2026-07-28 to 2025-11-25", [
        calling(direct, await inSession(direct.url)),
        calling(ours, MODERN_LOAD, "/mcp/legacy"),
      ]),
    ]);
    return {
      suite: "bridge",
      title: "Over the bridge of the eras",
      ...compared,
      notes: [
        `${effort.rounds} alternating rounds of ${effort.seconds} s after a warm-up, one call at a time. "added" is the median of the rounds' differences from the server direct, which is called in its own era over HTTP. The line "to its client's direct call" subtracts from each the call without a bridge of the same client: over HTTP from Holdfast's, over stdio from mcp-remote's.`,
        `mcp-remote ${await peerVersion("mcp-remote")} (\`--protocol auto\`) bridges the first way alone, takes its one client over stdio, and keeps what is pending in memory. Its load is in the process of the benchmark.`,
      ],
    };
  });
}
