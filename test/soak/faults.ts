/** Carries out faults: the action of each kind, and its target. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../support/fuzz/random.ts";
import type { SmallDisk } from "../support/small-disk.ts";
import type { SeveringRelay } from "../support/severing-relay.ts";
import type { WorkerServer } from "../../bench/servers.ts";
import type { Journal } from "./journal.ts";
import type { Fault, FaultKind } from "./schedule.ts";
import { until } from "./traffic/pace.ts";
import type { RedisTraffic } from "./traffic/redis.ts";

/** Milliseconds for which a disk stays full, and between two times that it is filled with what was freed. */
const FULL_MS = 3000;
const REFILL_MS = 100;

interface Targets {
  readonly journal: Journal;
  readonly random: Random;
  readonly server: WorkerServer;
  readonly disk: SmallDisk | undefined;
  readonly relays: readonly SeveringRelay[];
  readonly redis: RedisTraffic;
  /** Names an object: a session's id, or a shard of the directory. */
  readonly anyObject: () => ObjectTarget;
}

export type ObjectTarget = { readonly session: string } | { readonly shard: number };

/** Carries out the schedule until its end, or until the signal aborts. */
export async function strikeAll(
  schedule: readonly Fault[],
  targets: Targets,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  // One after the other: a process that is restarting cannot be killed.
  for (const { at, kind } of schedule) {
    if (!(await until(started + at * 1000, signal))) return;
    await STRIKES[kind](targets);
  }
}

const STRIKES: Readonly<Record<FaultKind, (targets: Targets) => Promise<void>>> = {
  kill: ({ journal, server }) => journal.timeline.struck("kill", "service", () => server.crash()),
  redis: ({ journal, redis }) => journal.timeline.struck("redis", "redis", () => redis.crash()),
  cut: (targets) => onRelay("cut", targets, (relay) => relay.cut()),
  silence: (targets) => onRelay("silence", targets, (relay) => relay.silence()),
  disk: async ({ journal, disk }) => {
    if (!disk) return;
    await journal.timeline.struck("disk", "disk", async () => {
      for (let filled = 0; filled < FULL_MS; filled += REFILL_MS) {
        disk.fill();
        await sleep(REFILL_MS);
      }
      disk.empty();
    });
  },
  abort: async ({ journal, server, anyObject }) => {
    const object = anyObject();
    const [target, query] =
      "session" in object
        ? [object.session, `session=${object.session}`]
        : [`shard ${object.shard}`, `shard=${object.shard}`];
    const { timeline } = journal;
    await timeline.struck("abort", target, async () => {
      const from = timeline.now;
      const response = await fetch(`${server.url}/abort?${query}`, { method: "POST" }).catch(
        async (failure: unknown) => {
          // If the process has ended by itself, its object has too.
          if (!(await timeline.hasEndedSince(from))) throw failure;
        },
      );
      if (!response) return;
      const { status } = response;
      if (status !== 204) throw new Error(`an object was not aborted: ${status}`);
    });
  },
};

async function onRelay(
  kind: FaultKind,
  { journal, random, relays }: Targets,
  strike: (relay: SeveringRelay) => void,
): Promise<void> {
  const relay = random.pick(relays);
  await journal.timeline.struck(kind, `relay ${relays.indexOf(relay)}`, async () => strike(relay));
}
