/** Events: each acknowledged one once in every stream and in the log, in the order of ids. */
import type { Event, Following, History, Publish, SessionLog } from "../history.ts";
import { knownFrom, type Known } from "./known.ts";
import type { Loss } from "./loss.ts";
import { auditPublishers } from "./publishers.ts";

export function auditEvents(history: History, ended: ReadonlySet<string>): Loss[] {
  const known = knownFrom(history);
  return [
    ...auditPublishers(history.publishes),
    ...history.logs.flatMap((log) => auditLog(log, known)),
    ...history.publishes.flatMap((publish) => auditWholeness(publish, known)),
    ...history.followings.flatMap((following) =>
      auditFollowing(following, known, ended.has(following.session)),
    ),
  ];
}

function auditLog(log: SessionLog, known: Known): Loss[] {
  const where = `log of ${log.session}`;
  const losses = auditSequence(where, log.session, log.events, known);
  const held = dataById(log.events);
  for (const { id, data } of known.acknowledged.get(log.session) ?? []) {
    if (held.get(id) === data || isTrimmed(id, log, known)) continue;
    losses.push({ kind: "event lost", where, detail: `${id} was acknowledged` });
  }
  return losses;
}

function dataById(events: readonly Event[] = []): ReadonlyMap<string, string> {
  return new Map(events.map(({ id, data }) => [id, data]));
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
  const held = dataById(log?.events);
  const received = dataById(events);
  for (const { id, data } of known.acknowledged.get(session) ?? []) {
    if (received.get(id) === data) continue;
    const said = gaps.some(({ requested, earliest }) => requested < id && id < earliest);
    if (said && !held.has(id)) continue;
    losses.push({ kind: "event lost", where, detail: `${id} was acknowledged` });
  }
  for (const { id, data } of events) {
    if (held.get(id) === data || isTrimmed(id, log, known)) continue;
    losses.push({ kind: "event not durable", where, detail: `${id} was sent; no log has it` });
  }
  for (const { requested, earliest } of gaps) {
    if (isTrimmed(requested, log, known)) continue;
    const detail = `after ${requested} up to ${earliest}`;
    losses.push({ kind: "gap without cause", where, detail });
  }
  return losses;
}
