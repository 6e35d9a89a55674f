/** The directory's cost in a create: the same bundle with and without it (`DIRECTORY_SHARDS=0`). */
import { compare, compareAll, OURS, p50, rate, type Measure } from "../comparison.ts";
import { CONNECTIONS, requesting } from "../loads.ts";
import { contend, type Contender, type Effort } from "../measure.ts";
import type { Report } from "../report.ts";
import { startHoldfast, withServers } from "../servers.ts";

const DEFAULT: Effort = { rounds: 5, seconds: 0.7 };
/** Milliseconds between creates, enough for one create's work in the background. */
const PAUSE_MS = 30;

const withShards = (shards: number) => startHoldfast({ DIRECTORY_SHARDS: String(shards) });

export function directory(given: Partial<Effort>): Promise<Report> {
  const effort = { ...DEFAULT, ...given };
  return withServers(async (start) => {
    const servers = [
      { name: OURS, ...(await start(withShards(8))) },
      { name: "without a directory", ...(await start(withShards(0))) },
    ];
    const contenders = (connections: number, pauseMs?: number) =>
      contend(servers, (server) => {
        const plan = { method: "POST", paths: ["/v1/sessions"], body: '{"subject":"s-$n"}' };
        return requesting(server, { ...plan, ...(pauseMs && { pauseMs }) }, connections);
      });
    const job = (job: string, measures: readonly Measure[], load: readonly Contender[]) => () =>
      compare({ job, measures }, load, effort);
    const both = [p50(), rate()];
    const compared = await compareAll([
      job(`one create every ${PAUSE_MS} ms`, [p50(["≤", 1.15])], contenders(1, PAUSE_MS)),
      job("one create after another", both, contenders(1)),
      job(`${CONNECTIONS} creates under way`, both, contenders(CONNECTIONS)),
    ]);
    return {
      suite: "directory",
      title: "What the directory adds to a create",
      ...compared,
      notes: [
        `Each pair alternates for ${effort.rounds} rounds of ${effort.seconds} s after a warm-up. The target is for what a caller waits for, which delivery to the directory must not hold up.`,
        "The first job shows what a caller waits for. The others show all the work, delivery too, on the one thread that plain workerd has; on the platform objects do not share one.",
      ],
    };
  });
}
