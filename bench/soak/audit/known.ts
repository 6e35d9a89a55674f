/** What is known of the events that somebody tried to publish. */
import type { Event, History, Publish, SessionLog } from "../history.ts";

export interface Attempt {
  readonly session: string;
  readonly publish: Publish;
  readonly data: string;
  /** Its id, where it was acknowledged. */
  readonly id: string | undefined;
}

export interface Known {
  /** By what each event carries. */
  readonly attempts: ReadonlyMap<string, Attempt>;
  /** The acknowledged ones of each session. */
  readonly acknowledged: ReadonlyMap<string, readonly Acknowledged[]>;
  readonly logs: ReadonlyMap<string, SessionLog>;
  readonly retained: number;
}

export interface Acknowledged extends Attempt {
  readonly id: string;
}

export function knownFrom({ publishes, logs, retained }: History): Known {
  const attempts = publishes.flatMap((publish) =>
    publish.data.map((data, n): Attempt => ({
      session: publish.session,
      publish,
      data,
      id: publish.ids[n],
    })),
  );
  return {
    attempts: new Map(attempts.map((attempt) => [attempt.data, attempt])),
    acknowledged: Map.groupBy(attempts.filter(isAcknowledged), ({ session }) => session),
    logs: new Map(logs.map((log) => [log.session, log])),
    retained,
  };
}

function isAcknowledged(attempt: Attempt): attempt is Acknowledged {
  return attempt.publish.outcome === "done" && attempt.id !== undefined;
}

export function dataById(events: readonly Event[] = []): ReadonlyMap<string, string> {
  return new Map(events.map(({ id, data }) => [id, data]));
}

/** Whether the log is allowed to have let this event go: it is full, and holds only later ones. */
export function isTrimmed(id: string, log: SessionLog | undefined, { retained }: Known): boolean {
  const first = log?.events[0];
  return first !== undefined && log!.events.length >= retained && id < first.id;
}
