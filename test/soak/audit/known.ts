/** All knowledge about events that somebody tried to publish. */
import type { Event, History, Publish, SessionLog } from "../history.ts";

export interface Attempt {
  readonly session: string;
  readonly publish: Publish;
  readonly data: string;
  /** Its id, if an answer gave it, or if the answer was lost and a log or a stream shows it. */
  readonly id: string | undefined;
}

export interface Known {
  /** By the data of the event. */
  readonly attempts: ReadonlyMap<string, Attempt>;
  /** By session. */
  readonly tried: ReadonlyMap<string, readonly Attempt[]>;
  /** By session: the events that an answer, a log, a stream or a page shows to be published, in the order of ids. */
  readonly published: ReadonlyMap<string, readonly Published[]>;
  readonly logs: ReadonlyMap<string, SessionLog>;
  readonly retained: number;
}

export interface Published extends Attempt {
  readonly id: string;
}

export function knownFrom(history: History): Known {
  const { publishes, logs, retained } = history;
  const shown = shownIds(history);
  const attempts = publishes.flatMap((publish) => {
    const { session, outcome, ids } = publish;
    return publish.data.map((data, n): Attempt => {
      const id = outcome === "unknown" ? shown.get(session)?.get(data) : ids[n];
      return { session, publish, data, id };
    });
  });
  return {
    attempts: new Map(attempts.map((attempt) => [attempt.data, attempt])),
    tried: Map.groupBy(attempts, ({ session }) => session),
    published: Map.groupBy(
      attempts.filter(isPublished).toSorted((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id))),
      ({ session }) => session,
    ),
    logs: new Map(logs.map((log) => [log.session, log])),
    retained,
  };
}

/** The id of each event by session and data, from the log or, if the log lacks it, from its readers. */
function shownIds({ logs, followings, answers }: History): Map<string, Map<string, string>> {
  const shown = new Map<string, Map<string, string>>();
  const visits = answers.flatMap(({ session, streams }) =>
    streams.map(({ seen }) => ({ session, seen })),
  );
  const streams = [...followings, ...visits].map(({ session, seen }) => {
    return { session, events: seen.filter((one) => one.kind === "event") };
  });
  const pages = answers.flatMap(({ session, pages }) =>
    pages.map(({ events }) => ({ session, events })),
  );
  for (const { session, events } of [...logs, ...streams, ...pages]) {
    const ids = shown.get(session) ?? new Map<string, string>();
    shown.set(session, ids);
    for (const { id, data } of events) if (!ids.has(data)) ids.set(data, id);
  }
  return shown;
}

function isPublished(attempt: Attempt): attempt is Published {
  const { outcome } = attempt.publish;
  return attempt.id !== undefined && (outcome === "done" || outcome === "unknown");
}

export function dataById(events: readonly Event[] = []): ReadonlyMap<string, string> {
  return new Map(events.map(({ id, data }) => [id, data]));
}

/** Whether the log may have trimmed this event: it is full, and holds only later events. */
export function isTrimmed(id: string, log: SessionLog | undefined, { retained }: Known): boolean {
  const first = log?.events[0];
  return first !== undefined && log!.events.length >= retained && id < first.id;
}
