/**
 * What the directory adds to a create: the same bundle with its directory and
 * without one (`DIRECTORY_SHARDS=0`), in turns.
 */
import { compare, compareAll, OURS, p50, rate } from "../compare.ts";
import { requests } from "../load-client.ts";
import type { Contender, Effort } from "../measure.ts";
import type { Report } from "../report.ts";
import { startHoldfast, withServers } from "../servers.ts";

const DEFAULT: Effort = { rounds: 5, seconds: 0.7 };
/** Milliseconds between creates, so that what one delivers in the background is over before the next. */
const PAUSE_MS = 30;
const CONNECTIONS = 16;

export function directory(given: Partial<Effort>): Promise<Report> {
  const effort = { ...DEFAULT, ...given };
  return withServers(async (start) => {
    const servers = [
      [OURS, await start(startHoldfast({ DIRECTORY_SHARDS: "8" }))],
      ["without a directory", await start(startHoldfast({ DIRECTORY_SHARDS: "0" }))],
    ] as const;
    const contenders = (load: { connections: number; pauseMs?: number }) =>
      servers.map(([name, { url, pid }]): Contender => {
        const plan = { url, method: "POST", paths: ["/v1/sessions"], body: '{"subject":"s-$n"}' };
        return { name, pid, run: (seconds) => requests({ ...plan, seconds, ...load }) };
      });
    const job =
      (name: string, load: { connections: number; pauseMs?: number }, paced = false) =>
      () =>
        compare(
          { job: name, measures: paced ? [p50(["≤", 1.15])] : [p50(), rate()] },
          contenders(load),
          effort,
        );
    const compared = await compareAll([
      job(`one create every ${PAUSE_MS} ms`, { connections: 1, pauseMs: PAUSE_MS }, true),
      job("one create after another", { connections: 1 }),
      job(`${CONNECTIONS} creates under way`, { connections: CONNECTIONS }),
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
