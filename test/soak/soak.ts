/** One soak: starts everything, loads it, injects faults, waits for calm, and audits. */
import { relative } from "node:path";
import { PROJECT } from "../../scripts/bundle.ts";
import { Random } from "../support/fuzz/random.ts";
import { audit } from "./audit/audit.ts";
import type { Loss } from "./audit/loss.ts";
import type { Disagreements } from "./disagreements.ts";
import { endAll, type Ending } from "./endings.ts";
import { Evidence } from "./evidence.ts";
import { strikeAll, type ObjectTarget } from "./faults.ts";
import type { History } from "./history.ts";
import type { Journal } from "./journal.ts";
import type { SoakOptions } from "./options.ts";
import { scheduleFaults, type Fault } from "./schedule.ts";
import {
  caughtUp,
  closeAll,
  endsAreTold,
  observeRedis,
  Observer,
  observeSessions,
  readLogs,
  Watch,
} from "./settle.ts";
import { setStage, SHARDS, type Stage } from "./stage.ts";
import { until } from "./traffic/pace.ts";
import { runPublishers } from "./traffic/publishers.ts";

const PROGRESS_SECONDS = 10;

interface SoakHooks {
  /** Called every ten seconds during the load. */
  readonly onProgress?: (seconds: number, journal: Journal) => void;
  /** Called after the load with each thing that the soak waits for. */
  readonly onWait?: (what: string) => void;
  /** Replaces the schedule from the options and the seed. */
  readonly schedule?: readonly Fault[];
}

export interface SoakResult {
  readonly journal: Journal;
  readonly history: History;
  readonly losses: readonly Loss[];
  /** Between the directory and the sessions, after the load. */
  readonly disagreements: Disagreements;
  /** The folder of what is kept about those that were late, relative to the project. */
  readonly evidence: string;
}

/** Throws if the soak could not be carried out. The service's own failures are in the losses. */
export async function soak(options: SoakOptions, hooks: SoakHooks = {}): Promise<SoakResult> {
  const endings: Ending[] = [];
  try {
    const stage = await setStage(options, endings);
    await load(stage, options, hooks);
    // From now on, no read comes from memory, and the auditor may wake as many objects as it likes.
    hooks.onWait?.("process and Redis to start again");
    await Promise.all([stage.server.crash("free"), stage.redis.crash()]);
    const evidence = new Evidence({ ...stage, shards: SHARDS });
    const watch = new Watch((id, said) => evidence.keep(id, said));
    const history = await observe(stage, options.retain, watch, hooks);
    return {
      journal: stage.journal,
      history,
      losses: audit(history),
      disagreements: watch.disagreements,
      evidence: relative(PROJECT, evidence.folder),
    };
  } finally {
    await endAll(endings);
  }
}

async function load(stage: Stage, options: SoakOptions, hooks: SoakHooks): Promise<void> {
  const { journal, sessions, redis, calls, answers, followed } = stage;
  const { seconds, rates, seed } = options;
  const faults = options.disk === 0 ? { ...options.faults, disk: 0 } : options.faults;
  const schedule = hooks.schedule ?? scheduleFaults(seconds, faults, new Random(seed));
  const over = new AbortController();
  const { signal } = over;
  journal.timeline.start();
  const work = [
    runPublishers({ ...stage, sessions: followed, rate: rates.publish }, signal),
    sessions.run(rates, signal),
    redis.run(rates.redis, signal),
    calls.run(rates.call, signal),
    answers.run(rates.answer, signal),
    strikeAll(schedule, { ...stage, anyObject: () => anyObject(stage) }, signal),
    tell(seconds, journal, hooks, signal),
  ];
  try {
    // A failure ends the soak at once: a fault that could not strike, or a bug of the soak.
    const time = until(performance.now() + seconds * 1000, signal);
    await Promise.race([time, ...work.map(failing)]);
  } finally {
    over.abort();
    await Promise.allSettled(work);
  }
  await Promise.all(work);
}

/** Picks a session of one of the three kinds, or a shard of the directory. */
function anyObject({ random, followed, sessions, calls }: Stage): ObjectTarget {
  const kind = random.below(4);
  const session = [random.pick(followed), sessions.anyId(), calls.anyId()][kind];
  return session === undefined ? { shard: random.below(SHARDS) } : { session };
}

async function observe(
  stage: Stage,
  retained: number,
  watch: Watch,
  { onWait }: SoakHooks,
): Promise<History> {
  const { journal, server, sessions, redis } = stage;
  const { publishes, calls, answers, unexpected } = journal;
  const observer = new Observer(server.url);
  const followers = [...stage.subscribers, ...sessions.followers];
  onWait?.("subscribers to catch up, and ended sessions to leave the list");
  await Promise.all([caughtUp(followers, observer), endsAreTold(observer, watch)]);
  onWait?.("sessions to expire, and the directory to agree");
  const kept = await observeSessions(journal, sessions.expiring, observer, watch);
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
    answers,
    unexpected,
  };
}

/** Rejects as the work does, and never resolves. */
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
    // The last tick and the end of the load coincide.
    if (!ticked && journal.timeline.now < at) return;
    onProgress?.(at, journal);
  }
}
