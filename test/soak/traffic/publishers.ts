/** Publishers. Each publishes to its sessions in turn, one publish at a time; all together reach all. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../support/fuzz/random.ts";
import type { Outcome } from "../history.ts";
import type { Journal } from "../journal.ts";
import type { Answer, Api } from "./api.ts";
import { atRate, workersFor } from "./pace.ts";

/** Share of the publishes that are arrays, and events in each array. */
const ARRAYS = 0.1;
const EVENTS_IN_ARRAY = 3;
/** Share of the publishes that have a key, and of those the share that is repeated once acknowledged. */
const KEYED = 0.5;
export const REPEATED = 0.2;
/** How often a publisher repeats itself under one key while no answer comes. */
export const MOST_TRIES = 5;
const RETRY_MS = 200;

export interface Publishing {
  readonly journal: Journal;
  readonly api: Pick<Api, "send">;
  readonly random: Random;
  /** The URLs of the service, for each publisher in turn. */
  readonly origins: readonly string[];
  readonly sessions: readonly string[];
  readonly rate: number;
}

export async function runPublishers(publishing: Publishing, signal: AbortSignal): Promise<void> {
  const { sessions, origins, random, rate } = publishing;
  const workers = workersFor(rate);
  if (workers === 0) return;
  // Every session gets one publish, however low the rate is.
  for (const [n, session] of sessions.entries()) {
    const origin = origins[n % origins.length]!;
    await publish(publishing, { session, publisher: "the first", origin, events: 1, tries: 1 });
  }
  const turns = Array.from({ length: workers }, () => 0);
  await atRate(rate, signal, async (worker) => {
    const turn = turns[worker]!++;
    await publish(publishing, {
      session: sessions[placeOf(worker, turn, workers, sessions.length)]!,
      publisher: `publisher ${worker}`,
      origin: origins[worker % origins.length]!,
      events: random.chance(ARRAYS) ? EVENTS_IN_ARRAY : 1,
      ...(random.chance(KEYED)
        ? { tries: MOST_TRIES, again: random.chance(REPEATED) }
        : { tries: 1 }),
    });
  });
}

/**
 * The session to which a worker publishes in its turn: always the same one if there are at least as
 * many workers as sessions, and else each of the worker's share of sessions.
 */
export function placeOf(worker: number, turn: number, workers: number, sessions: number): number {
  if (workers >= sessions) return worker % sessions;
  const own = Math.ceil((sessions - worker) / workers);
  return worker + (turn % own) * workers;
}

interface OnePublish {
  readonly session: string;
  readonly publisher: string;
  readonly origin: string;
  readonly events: number;
  /** With more than one it has a key, and is repeated under it until an answer comes. */
  readonly tries: number;
  /** Whether it is sent once more after it was acknowledged; it has a key then. */
  readonly again?: boolean;
}

interface Published {
  readonly id?: string;
  readonly ids?: string[];
}

/** Publishes, writes the outcome into the journal, and returns it. */
export async function publish(
  { journal, api }: Pick<Publishing, "journal" | "api">,
  { session, publisher, origin, events, tries, again = false }: OnePublish,
): Promise<Outcome> {
  const first = journal.publishedAt.size;
  const data = Array.from({ length: events }, (_, n) => `event ${first + n}`);
  const now = performance.now();
  for (const one of data) journal.publishedAt.set(one, now);
  const body = events === 1 ? { data: data[0] } : data.map((one) => ({ data: one }));
  const path = `/v1/sessions/${session}/events`;
  const headers = tries > 1 ? { "idempotency-key": `key-${first}` } : {};
  const send = () => api.send<Published>(origin, { method: "POST", path, body, headers });
  const answer = await journal.spanned(() => repeated(send, tries));
  const { outcome, json, began, ended } = answer;
  const repeat = again && outcome === "done" ? await send() : undefined;
  const repeats = repeat?.outcome === "done" ? [idsOf(repeat.json)] : [];
  const ids = idsOf(json);
  journal.publishes.push({ session, publisher, data, outcome, ids, repeats, began, ended });
  if (outcome === "done") journal.timeline.count("published", events);
  else if (outcome === "unknown") journal.timeline.count("failures");
  return outcome;
}

/** Sends until an answer comes. A session that is gone by then may have had the events before. */
async function repeated<T>(send: () => Promise<Answer<T>>, tries: number): Promise<Answer<T>> {
  let answer = await send();
  for (let n = 1; n < tries && answer.outcome === "unknown"; n++) {
    await sleep(RETRY_MS);
    answer = await send();
    if (answer.outcome === "missing") return { outcome: "unknown" };
  }
  return answer;
}

function idsOf({ id, ids }: Published = {}): string[] {
  return ids ?? (id === undefined ? [] : [id]);
}
