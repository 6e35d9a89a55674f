/** Events: each acknowledged one once in every stream and in the log, in the order of ids. */
import type { Event, Following, History, Publish, SessionLog } from "../history.ts";
import type { Loss } from "./loss.ts";

/** What is known of one event that somebody tried to publish. */
interface Attempt {
  readonly session: string;
  readonly publish: Publish;
  /** Its id, where it was acknowledged. */
  readonly id: string | undefined;
}

interface Known {
  readonly attempts: ReadonlyMap<string, Attempt>;
  readonly logs: ReadonlyMap<string, SessionLog>;
  readonly retained: number;
}

export function auditEvents(history: History, ended: ReadonlySet<string>): Loss[] {
  const known: Known = {
    attempts: new Map(
      history.publishes.flatMap((publish) =>
        publish.data.map((data, n): [string, Attempt] => [
          data,
          { session: publish.session, publish, id: publish.ids[n] },
        ]),
      ),
    ),
    logs: new Map(history.logs.map((log) => [log.session, log])),
    retained: history.retained,
  };
  const acknowledged = Map.groupBy(
    history.publishes.filter(({ outcome }) => outcome === "done"),
    ({ session }) => session,
  );
  return [
    ...auditPublishers(history.publishes),
    ...history.logs.flatMap((log) => auditLog(log, acknowledged.get(log.session) ?? [], known)),
    ...history.publishes.flatMap((publish) => auditWholeness(publish, known)),
    ...history.followings.flatMap((following) =>
      auditFollowing(
        following,
        acknowledged.get(following.session) ?? [],
        known,
        ended.has(following.session),
      ),
    ),
  ];
}

/** Of two publishes of which one was answered before the other began, the later has the higher ids. */
function auditPublishers(publishes: readonly Publish[]): Loss[] {
  const losses: Loss[] = [];
  const last = new Map<string, string>();
  for (const { session, publisher, ids } of publishes) {
    const where = `${publisher} in ${session}`;
    for (const id of ids) {
      const before = last.get(where) ?? "";
      if (id <= before) {
        losses.push({ kind: "event out of order", where, detail: `${id} came after ${before}` });
      }
      last.set(where, id);
    }
  }
  return losses;
}

function auditLog(log: SessionLog, acknowledged: readonly Publish[], known: Known): Loss[] {
  const where = `log of ${log.session}`;
  const losses = auditSequence(where, log.session, log.events, known);
  const held = new Set(log.events.map(({ id }) => id));
  for (const { ids } of acknowledged) {
    for (const id of ids) {
      if (held.has(id) || isTrimmed(id, log, known)) continue;
      losses.push({ kind: "event lost", where, detail: `${id} was acknowledged` });
    }
  }
  return losses;
}

/** Whether the log is allowed to have let this event go: it is full, and holds only later ones. */
function isTrimmed(id: string, log: SessionLog | undefined, { retained }: Known): boolean {
  const first = log?.events[0];
  return first !== undefined && log!.events.length >= retained && id < first.id;
}

/** An array whose answer was lost is published whole or not at all. */
function auditWholeness(publish: Publish, { logs }: Known): Loss[] {
  if (publish.outcome === "done" || publish.data.length < 2) return [];
  const log = logs.get(publish.session);
  const held = new Set(log?.events.map(({ data }) => data));
  const present = publish.data.filter((data) => held.has(data));
  if (present.length === 0 || present.length === publish.data.length) return [];
  // Trimming lets the front of an array go first.
  if (log?.events[0]?.data === present[0] && publish.data.at(-1) === present.at(-1)) return [];
  const detail = `of ${publish.data.join(", ")} only ${present.join(", ")} is there`;
  return [{ kind: "publish torn", where: `log of ${publish.session}`, detail }];
}

/** Ids rise, nothing comes twice, and everything was published here under this id. */
function auditSequence(
  where: string,
  session: string,
  events: readonly Event[],
  { attempts }: Known,
): Loss[] {
  const losses: Loss[] = [];
  const data = new Set<string>();
  const ids = new Set<string>();
  let last = "";
  for (const event of events) {
    const detail = `${event.id} (${event.data})`;
    const attempt = attempts.get(event.data);
    if (ids.has(event.id) || data.has(event.data)) {
      losses.push({ kind: "event repeated", where, detail });
    } else if (event.id <= last) {
      losses.push({ kind: "event out of order", where, detail: `${detail} came after ${last}` });
    }
    if (attempt?.session !== session || (attempt.id !== undefined && attempt.id !== event.id)) {
      losses.push({ kind: "event never published", where, detail });
    } else if (attempt.publish.outcome === "refused" || attempt.publish.outcome === "missing") {
      losses.push({ kind: "event never published", where, detail: `${detail} had been refused` });
    }
    ids.add(event.id);
    data.add(event.data);
    if (event.id > last) last = event.id;
  }
  return losses;
}

function auditFollowing(
  { follower, session, seen, end }: Following,
  acknowledged: readonly Publish[],
  known: Known,
  sessionEnded: boolean,
): Loss[] {
  const where = `${follower} on ${session}`;
  const events = seen.filter((one) => one.kind === "event");
  const losses = auditSequence(where, session, events, known);
  if (sessionEnded) {
    // What was published just before the end is owed to nobody.
    if (end === undefined) losses.push({ kind: "stream left open", where, detail: "its end" });
    return losses;
  }
  const log = known.logs.get(session);
  if (end !== undefined) losses.push({ kind: "stream ended", where, detail: `with ${end}` });
  const gaps = seen.filter((one) => one.kind === "gap");
  const held = new Set(log?.events.map(({ id }) => id));
  const received = new Set(events.map(({ id }) => id));
  for (const id of acknowledged.flatMap(({ ids }) => ids)) {
    if (received.has(id)) continue;
    const said = gaps.some(({ requested, earliest }) => requested < id && id < earliest);
    if (said && !held.has(id)) continue;
    losses.push({ kind: "event lost", where, detail: `${id} was acknowledged` });
  }
  for (const { id } of events) {
    if (held.has(id) || isTrimmed(id, log, known)) continue;
    losses.push({ kind: "event not durable", where, detail: `${id} was sent; no log has it` });
  }
  for (const { requested, earliest } of gaps) {
    if (isTrimmed(requested, log, known)) continue;
    const detail = `after ${requested} up to ${earliest}`;
    losses.push({ kind: "gap without cause", where, detail });
  }
  return losses;
}
