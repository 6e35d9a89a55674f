/** One soak: starts everything, loads it, strikes it, lets it calm down, and has it audited. */
import { Random } from "../../test/support/fuzz/random.ts";
import { SeveringRelay } from "../../test/support/severing-relay.ts";
import { startVariant } from "../servers.ts";
import { audit } from "./audit/audit.ts";
import type { Loss } from "./audit/loss.ts";
import { strikeAll, type ObjectTarget } from "./faults.ts";
import type { History } from "./history.ts";
import { Journal } from "./journal.ts";
import type { SoakOptions } from "./options.ts";
import { scheduleFaults, type Fault } from "./schedule.ts";
import { caughtUp, closeAll, observeRedis, Observer, observeSessions, readLogs } from "./settle.ts";
import { Api } from "./traffic/api.ts";
import { CallTraffic } from "./traffic/calls.ts";
import { Follower } from "./traffic/follower.ts";
import { until } from "./traffic/pace.ts";
import { runPublishers } from "./traffic/publishers.ts";
import { RedisTraffic } from "./traffic/redis.ts";
import { SessionTraffic } from "./traffic/sessions.ts";

const RELAYS = 3;
const SHARDS = 8;
const KEEPALIVE_SECONDS = 1;
/** A subscriber that got nothing for so long, not even a keep-alive, comes back by another connection. */
const SILENCE_MS = 4 * KEEPALIVE_SECONDS * 1000;
const PROGRESS_SECONDS = 10;

export interface SoakHooks {
  /** Told every ten seconds how it goes. */
  readonly onProgress?: (seconds: number, journal: Journal) => void;
  /** In place of the schedule that the options and the seed give. */
  readonly schedule?: readonly Fault[];
}

export interface SoakResult {
  readonly journal: Journal;
  readonly history: History;
  readonly losses: readonly Loss[];
}

export async function soak(options: SoakOptions, hooks: SoakHooks = {}): Promise<SoakResult> {
  const server = await startVariant("soak", {
    LOG_LEVEL: "error",
    LOG_MAX_EVENTS: String(options.retain),
    KEEPALIVE_SECONDS: String(KEEPALIVE_SECONDS),
    DIRECTORY_SHARDS: String(SHARDS),
  });
  const port = Number(new URL(server.url).port);
  const relays = await Promise.all(Array.from({ length: RELAYS }, () => SeveringRelay.open(port)));
  const journal = new Journal();
  // Faults have a generator of their own, so that the load's timing does not change the schedule.
  const random = new Random(options.seed + 1);
  const redis = await RedisTraffic.start(journal, random);
  try {
    const origins = relays.map(({ url }) => url);
    const api = new Api(journal);
    const sessions = new SessionTraffic({
      journal,
      api,
      random,
      origins,
      silenceMs: SILENCE_MS,
    });
    const calls = new CallTraffic(journal, random, server.url);
    const followed = await Promise.all(
      Array.from({ length: options.sessions }, () => sessions.createLasting()),
    );
    const followers = followed.flatMap((session, s) =>
      Array.from({ length: options.subscribers }, (_, n) => {
        const name = `subscriber ${n}`;
        const origin = origins[(s + n) % origins.length] ?? server.url;
        return new Follower(journal, { name, session, origin, silenceMs: SILENCE_MS });
      }),
    );
    await Promise.all(followers.map(({ opened }) => opened));

    const anyObject = (): ObjectTarget => {
      const kind = random.below(4);
      const session = [random.pick(followed), sessions.anyId(), calls.anyId()][kind];
      return session === undefined ? { shard: random.below(SHARDS) } : { session };
    };
    const schedule =
      hooks.schedule ?? scheduleFaults(options.seconds, options.faults, new Random(options.seed));
    journal.timeline.start();
    const over = new AbortController();
    const { signal } = over;
    const load = [
      runPublishers(
        { journal, api, random, origins, sessions: followed, rate: options.rates.publish },
        signal,
      ),
      sessions.run(options.rates, signal),
      redis.run(options.rates.redis, signal),
      calls.run(options.rates.call, signal),
      strikeAll(schedule, { journal, random, server, relays, redis, anyObject }, signal),
      tell(options.seconds, journal, hooks, signal),
    ];
    try {
      // What fails ends the soak at once: a fault that could not strike, or a bug of the soak's own.
      const time = until(performance.now() + options.seconds * 1000, signal);
      await Promise.race([time, ...load.map(failing)]);
    } finally {
      over.abort();
      await Promise.allSettled(load);
    }
    await Promise.all(load);

    // Nothing that is read from now on comes from memory.
    await Promise.all([server.crash(), redis.crash()]);
    const observer = new Observer(server.url);
    const all = [...followers, ...sessions.followers];
    await caughtUp(all, observer);
    const kept = await observeSessions(journal, sessions.expiring, observer);
    const { publishes } = journal;
    const withLog = new Set(
      publishes.map(({ session }) => session).filter((id) => kept.found.has(id)),
    );
    const history: History = {
      retained: options.retain,
      publishes,
      logs: await readLogs(withLog, observer),
      keepings: [kept, await observeRedis(journal, redis)],
      followings: closeAll(all),
      calls: journal.calls,
      unexpected: journal.unexpected,
    };
    return { journal, history, losses: audit(history) };
  } finally {
    for (const relay of relays) relay.close();
    await Promise.all([server.stop(), redis.stop()]);
  }
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
