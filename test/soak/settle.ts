/** After the load: waits for calm, then reads everything that exists. */
import { setTimeout as sleep } from "node:timers/promises";
import { SseReader } from "../support/sse-reader.ts";
import { Disagreements } from "./disagreements.ts";
import type { Event, Following, Keeping, SessionLog } from "./history.ts";
import type { Journal } from "./journal.ts";
import type { Follower } from "./traffic/follower.ts";
import { REDIS, type RedisTraffic } from "./traffic/redis.ts";
import { SESSIONS, SHORT_TTL_SECONDS } from "./traffic/sessions.ts";
import type { Session, SessionList } from "../../src/core/api.ts";
import { LONGEST_RESEND_MS } from "../../src/core/limits.ts";

/** Milliseconds until everything must be calm. After that, the auditor judges the state as it is. */
const CALM_WITHIN_MS = 60_000;
/**
 * Milliseconds until the directory must agree with the sessions. An object whose message failed waits as long as
 * that has waited, and up to a quarter more, before it tries again (docs/directory.md). No kill makes that shorter.
 */
const LISTED_WITHIN_MS = CALM_WITHIN_MS + 1.25 * LONGEST_RESEND_MS;
const LOOK_EVERY_MS = 200;
/** Calls under way at a time. */
const AT_ONCE = 16;

/** Reads the service. Throws if it does not give a definite answer in time. */
export class Observer {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async #get<T>(path: string): Promise<T | undefined> {
    const response = await this.#answer(path);
    if (response.status === 404) {
      await response.body?.cancel();
      return undefined;
    }
    if (response.status !== 200) throw new Error(`${path} answered ${response.status}`);
    return (await response.json()) as T;
  }

  /** A 503 is no finding here: the service says that it does not know, or has no room. */
  async #answer(path: string): Promise<Response> {
    const until = performance.now() + CALM_WITHIN_MS;
    for (;;) {
      const response = await fetch(this.#url + path);
      if (response.status !== 503 || performance.now() > until) return response;
      await response.body?.cancel();
      await sleep(LOOK_EVERY_MS);
    }
  }

  session(id: string): Promise<Session | undefined> {
    return this.#get(`/v1/sessions/${id}?touch=false`);
  }

  /** Uses each of these sessions. */
  async use(ids: readonly string[]): Promise<void> {
    await eachOf(ids, async (id) => void (await this.#get(`/v1/sessions/${id}`)));
  }

  /** The value of each of these sessions that exists. */
  async read(ids: Iterable<string>): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    await eachOf([...ids], async (id) => {
      const session = await this.session(id);
      if (session) found.set(id, session.metadata["value"] ?? "");
    });
    return found;
  }

  async list(): Promise<{ listed: string[]; counted: number }> {
    const listed: string[] = [];
    let cursor: string | undefined;
    do {
      const query = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page = await this.#get<SessionList>(`/v1/sessions?limit=200${query}`);
      listed.push(...(page?.sessions ?? []).map(({ id }) => id));
      cursor = page?.cursor;
    } while (cursor !== undefined);
    const count = await this.#get<{ count: number }>("/v1/sessions/count");
    return { listed, counted: count?.count ?? NaN };
  }

  /** The log of an existing session, from its first retained event to its last. */
  async log(id: string): Promise<SessionLog> {
    const last = (await this.session(id))?.lastEventId;
    if (last === undefined) return { session: id, events: [] };
    const path = `/v1/sessions/${id}/events?from=earliest`;
    const { status, body } = await this.#answer(path);
    if (status !== 200 || !body) throw new Error(`${path} answered ${status}`);
    const reader = new SseReader(body as unknown as ReadableStream<Uint8Array>);
    // A stream that says no more ends the wait, and the auditor misses what it did not say.
    const late = setTimeout(() => void reader.leave(), CALM_WITHIN_MS);
    const events: Event[] = [];
    while (events.at(-1)?.id !== last) {
      const [frame] = await reader.take(1);
      // The auditor judges an end before the last event.
      if (!frame || frame.event === "ended") break;
      // The log has trimmed events that no reader is known to have taken.
      if (frame.event === "gap") continue;
      events.push({ id: frame.id ?? "", data: frame.data });
    }
    clearTimeout(late);
    await reader.leave();
    return { session: id, events };
  }
}

/** Waits until each follower has the last event of its session, or has ended with its session. */
export async function caughtUp(followers: readonly Follower[], observer: Observer): Promise<void> {
  await calm(async () => {
    const lasts = new Map<string, string | null>();
    await eachOf([...new Set(followers.map(({ session }) => session))], async (id) => {
      const session = await observer.session(id);
      lasts.set(id, session ? (session.lastEventId ?? "") : null);
    });
    return followers.every((follower) => {
      const last = lasts.get(follower.session);
      return last === null || last === undefined ? follower.ended : follower.lastId >= last;
    });
  });
}

/** Looks for disagreements, and calls `onLate` with each session about which there is one for long. */
export class Watch {
  readonly disagreements = new Disagreements();
  readonly #onLate: (id: string, said: string) => Promise<void>;

  constructor(onLate: (id: string, said: string) => Promise<void>) {
    this.#onLate = onLate;
  }

  async look(listed: readonly string[], found: ReadonlyMap<string, string>): Promise<void> {
    const late = this.disagreements.look(listed, found, performance.now());
    for (const [id, said] of late) await this.#onLate(id, said);
  }
}

/** Waits until no session is listed that has ended. It looks from the start on, so it sees how late an end is told. */
export async function endsAreTold(observer: Observer, watch: Watch): Promise<void> {
  await calm(async () => {
    const { listed } = await observer.list();
    const found = await observer.read(listed);
    await watch.look(listed, found);
    return listed.every((id) => found.has(id));
  }, LISTED_WITHIN_MS);
}

/** Waits until expiring sessions are gone and the directory agrees with the sessions' objects. */
export async function observeSessions(
  journal: Journal,
  expiring: ReadonlySet<string>,
  observer: Observer,
  watch: Watch,
): Promise<Keeping> {
  // If the process died in between, a session lives for up to two TTLs after its last use.
  await sleep(2.2 * SHORT_TTL_SECONDS * 1000);
  const changes = journal.changesIn(SESSIONS);
  const known = new Set(changes.map(({ record }) => record));
  let found = await observer.read(known);
  // One whose process died before it was listed is listed by its next use.
  await observer.use([...found.keys()].filter((id) => !expiring.has(id)));
  let listing = await observer.list();
  await calm(async () => {
    listing = await observer.list();
    if (!sameIds(listing.listed, found)) {
      found = await observer.read(new Set([...known, ...listing.listed]));
    }
    await watch.look(listing.listed, found);
    return listing.counted === listing.listed.length && sameIds(listing.listed, found);
  }, LISTED_WITHIN_MS);
  const { unnamed } = journal;
  return { place: SESSIONS, changes, expiring, found, ...listing, unnamed };
}

export async function observeRedis(journal: Journal, redis: RedisTraffic): Promise<Keeping> {
  const changes = journal.changesIn(REDIS);
  const found = await redis.read(new Set(changes.map(({ record }) => record)));
  const expiring = new Set<string>();
  return { place: REDIS, changes, expiring, found, ...(await redis.list()), unnamed: 0 };
}

export async function readLogs(ids: Iterable<string>, observer: Observer): Promise<SessionLog[]> {
  const logs: SessionLog[] = [];
  await eachOf([...ids], async (id) => void logs.push(await observer.log(id)));
  return logs;
}

export function closeAll(followers: readonly Follower[]): Following[] {
  return followers.map((follower) => follower.close());
}

function sameIds(listed: readonly string[], found: ReadonlyMap<string, string>): boolean {
  return listed.length === found.size && listed.every((id) => found.has(id));
}

/** Repeats the check until it holds, or the time is up. */
async function calm(isSo: () => Promise<boolean>, withinMs = CALM_WITHIN_MS): Promise<void> {
  const until = performance.now() + withinMs;
  while (!(await isSo()) && performance.now() < until) await sleep(LOOK_EVERY_MS);
}

async function eachOf<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const left = all.values();
  const each = async () => {
    for (const one of left) await work(one);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, each));
}
