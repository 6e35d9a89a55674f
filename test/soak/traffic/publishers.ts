/** Publishers. Each publishes to its sessions in turn, one publish at a time; all together reach all. */
import type { Random } from "../../support/fuzz/random.ts";
import type { Journal } from "../journal.ts";
import type { Api } from "./api.ts";
import { atRate, workersFor } from "./pace.ts";

/** Share of the publishes that are arrays, and events in each array. */
const ARRAYS = 0.1;
const EVENTS_IN_ARRAY = 3;

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
    await publish(publishing, { session, publisher: "the first", origin, events: 1 });
  }
  const turns = Array.from({ length: workers }, () => 0);
  await atRate(rate, signal, async (worker) => {
    const turn = turns[worker]!++;
    await publish(publishing, {
      session: sessions[placeOf(worker, turn, workers, sessions.length)]!,
      publisher: `publisher ${worker}`,
      origin: origins[worker % origins.length]!,
      events: random.chance(ARRAYS) ? EVENTS_IN_ARRAY : 1,
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

export interface OnePublish {
  readonly session: string;
  readonly publisher: string;
  readonly origin: string;
  readonly events: number;
}

export async function publish(
  { journal, api }: Pick<Publishing, "journal" | "api">,
  { session, publisher, origin, events }: OnePublish,
): Promise<void> {
  const first = journal.publishedAt.size;
  const data = Array.from({ length: events }, (_, n) => `event ${first + n}`);
  const now = performance.now();
  for (const one of data) journal.publishedAt.set(one, now);
  const body = events === 1 ? { data: data[0] } : data.map((one) => ({ data: one }));
  const path = `/v1/sessions/${session}/events`;
  const answer = await journal.spanned(() =>
    api.send<{ id?: string; ids?: string[] }>(origin, { method: "POST", path, body }),
  );
  const { outcome, json, began, ended } = answer;
  const ids = json?.ids ?? (json?.id === undefined ? [] : [json.id]);
  journal.publishes.push({ session, publisher, data, outcome, ids, began, ended });
  if (outcome === "done") journal.timeline.count("published", events);
  else if (outcome === "unknown") journal.timeline.count("failures");
}
