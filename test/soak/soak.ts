/** One soak: starts everything, loads it, strikes it, lets it calm down, and has it audited. */
import { Random } from "../support/fuzz/random.ts";
import { audit } from "./audit/audit.ts";
import type { Loss } from "./audit/loss.ts";
import { endAll, type Ending } from "./endings.ts";
import { strikeAll, type ObjectTarget } from "./faults.ts";
import type { History } from "./history.ts";
import type { Journal } from "./journal.ts";
import type { SoakOptions } from "./options.ts";
import { scheduleFaults, type Fault } from "./schedule.ts";
import { caughtUp, closeAll, observeRedis, Observer, observeSessions, readLogs } from "./settle.ts";
import { setStage, SHARDS, type Stage } from "./stage.ts";
import { until } from "./traffic/pace.ts";
import { runPublishers } from "./traffic/publishers.ts";

const PROGRESS_SECONDS = 10;

export interface SoakHooks {
  /** Told every ten seconds how it goes. */
  readonly onProgress?: (seconds: number, journal: Journal) => void;
  /** Told what is waited for, each time that it is something else, once the load is over. */
  readonly onWait?: (what: string) => void;
  /** In place of the schedule that the options and the seed give. */
  readonly schedule?: readonly Fault[];
}

export interface SoakResult {
  readonly journal: Journal;
  readonly history: History;
  readonly losses: readonly Loss[];
}

/** Throws where the soak itself could not be carried out; what the service did wrong is in the losses. */
export async function soak(options: SoakOptions, hooks: SoakHooks = {}): Promise<SoakResult> {
  const endings: Ending[] = [];
  try {
    const stage = await setStage(options, endings);
    await load(stage, options, hooks);
    // Nothing that is read from now on comes from memory.
    hooks.onWait?.("process and Redis to start again");
    await Promise.all([stage.server.crash(), stage.redis.crash()]);
    const history = await observe(stage, options.retain, hooks);
    return { journal: stage.journal, history, losses: audit(history) };
  } finally {
    await endAll(endings);
  }
}

async function load(stage: Stage, options: SoakOptions, hooks: SoakHooks): Promise<void> {
  const { journal, sessions, redis, calls, followed } = stage;
  const { seconds, rates, seed } = options;
  const schedule = hooks.schedule ?? scheduleFaults(seconds, options.faults, new Random(seed));
  const over = new AbortController();
  const { signal } = over;
  journal.timeline.start();
  const work = [
    runPublishers({ ...stage, sessions: followed, rate: rates.publish }, signal),
    sessions.run(rates, signal),
    redis.run(rates.redis, signal),
    calls.run(rates.call, signal),
    strikeAll(schedule, { ...stage, anyObject: () => anyObject(stage) }, signal),
    tell(seconds, journal, hooks, signal),
  ];
  try {
    // What fails ends the soak at once: a fault that could not strike, or a bug of the soak's own.
    const time = until(performance.now() + seconds * 1000, signal);
    await Promise.race([time, ...work.map(failing)]);
  } finally {
    over.abort();
    await Promise.allSettled(work);
  }
  await Promise.all(work);
}

/** A session of one of the three kinds, or a shard of the directory. */
function anyObject({ random, followed, sessions, calls }: Stage): ObjectTarget {
  const kind = random.below(4);
  const session = [random.pick(followed), sessions.anyId(), calls.anyId()][kind];
  return session === undefined ? { shard: random.below(SHARDS) } : { session };
}

async function observe(stage: Stage, retained: number, { onWait }: SoakHooks): Promise<History> {
  const { journal, server, sessions, redis } = stage;
  const { publishes, calls, unexpected } = journal;
  const observer = new Observer(server.url);
  const followers = [...stage.subscribers, ...sessions.followers];
  onWait?.("subscribers to catch up");
  await caughtUp(followers, observer);
  onWait?.("sessions to expire, and the directory to agree");
  const kept = await observeSessions(journal, sessions.expiring, observer);
  onWait?.("all logs and records to be read");
  const published = new Set(publishes.map(({ session }) => session));
  const living = [...published].filter((id) => kept.found.has(id));
  return {
    retained,
    publishes,
    logs: await readLogs(living, observer),
    keepings: [kept, await observeRedis(journal, redis)],
    followings: closeAll(followers),
    calls,
    unexpected,
  };
}

/** Never resolves; rejects as the work does. */
function failing(work: Promise<unknown>): Promise<never> {
  return work.then(() => new Promise<never>(() => {}));
}

async function tell(
  seconds: number,
  journal: Journal,
  { onProgress }: SoakHooks,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  for (let at = PROGRESS_SECONDS; at <= seconds; at += PROGRESS_SECONDS) {
    const ticked = await until(started + at * 1000, signal);
    // The last tick and the end of the load are one moment.
    if (!ticked && journal.timeline.now < at) return;
    onProgress?.(at, journal);
  }
}
