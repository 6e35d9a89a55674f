/** Strikes: what each kind of fault does, and to whom. */
import type { Random } from "../../test/support/fuzz/random.ts";
import type { SeveringRelay } from "../../test/support/severing-relay.ts";
import type { Server } from "../servers.ts";
import type { Journal } from "./journal.ts";
import type { Fault, FaultKind } from "./schedule.ts";
import { until } from "./traffic/pace.ts";
import type { RedisTraffic } from "./traffic/redis.ts";

export interface Targets {
  readonly journal: Journal;
  readonly random: Random;
  readonly server: Server;
  readonly relays: readonly SeveringRelay[];
  readonly redis: RedisTraffic;
  /** Names an object: a session's id, or a shard of the directory. */
  readonly anyObject: () => ObjectTarget;
}

export type ObjectTarget = { readonly session: string } | { readonly shard: number };

/** Carries out the schedule until it is over or told to end. */
export async function strikeAll(
  schedule: readonly Fault[],
  targets: Targets,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  // One after the other: what is being restarted cannot be killed.
  for (const { at, kind } of schedule) {
    if (!(await until(started + at * 1000, signal))) return;
    await STRIKES[kind](targets);
  }
}

const STRIKES: Readonly<Record<FaultKind, (targets: Targets) => Promise<void>>> = {
  kill: async ({ journal, server }) => {
    journal.timeline.struck("kill", "service");
    await server.crash();
  },
  redis: async ({ journal, redis }) => {
    journal.timeline.struck("redis", "redis");
    await redis.crash();
  },
  cut: async ({ journal, random, relays }) => {
    const at = random.below(relays.length);
    journal.timeline.struck("cut", `relay ${at}`);
    relays[at]?.cut();
  },
  silence: async ({ journal, random, relays }) => {
    const at = random.below(relays.length);
    journal.timeline.struck("silence", `relay ${at}`);
    relays[at]?.silence();
  },
  abort: async ({ journal, server, anyObject }) => {
    const object = anyObject();
    const [name, target] = Object.entries(object)[0] as [string, string | number];
    journal.timeline.struck("abort", "session" in object ? object.session : `shard ${target}`);
    const { status } = await fetch(`${server.url}/abort?${name}=${target}`, { method: "POST" });
    if (status !== 204) throw new Error(`an object was not aborted: ${status}`);
  },
};
