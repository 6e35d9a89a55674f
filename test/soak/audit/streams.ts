/** Streams: each has every event of its session once, up to its end, or a gap that covers it. */
import type { Event, Following } from "../history.ts";
import { auditGap } from "./gaps.ts";
import { dataById, isTrimmed, type Known } from "./known.ts";
import type { Loss } from "./loss.ts";
import type { Ending } from "./records.ts";
import { auditSequence } from "./sequence.ts";

/** `endings`: how the session may have ended; undefined if it still exists. */
export function auditFollowing(
  following: Following,
  known: Known,
  endings: ReadonlySet<Ending> | undefined,
): Loss[] {
  const { follower, session, seen } = following;
  const where = `${follower} on ${session}`;
  const events = seen.filter((one) => one.kind === "event");
  const gaps = seen.filter((one) => one.kind === "gap");
  return [
    ...auditSequence(where, session, events, known),
    ...(endings ? auditEnd(where, following, endings) : auditLife(where, following, known)),
    ...auditMissing(where, following, known, owedUpTo(following, events, endings)),
    ...gaps.flatMap((gap) => auditGap(where, gap, session, known)),
  ];
}

/** The stream of a living session goes on, and shows only events that the log holds. */
function auditLife(where: string, { session, seen, end }: Following, known: Known): Loss[] {
  const losses: Loss[] = [];
  const log = known.logs.get(session);
  if (end !== undefined) losses.push({ kind: "stream ended", where, detail: `with ${end}` });
  const held = dataById(log?.events);
  for (const one of seen) {
    if (one.kind === "gap" || held.get(one.id) === one.data) continue;
    if (isTrimmed(one.id, log, known)) continue;
    losses.push({ kind: "event not durable", where, detail: `${one.id} was sent; no log has it` });
  }
  return losses;
}

/** A stream ends with its session and says how. A subscriber that comes back later gets a 404. */
function auditEnd(where: string, { end }: Following, endings: ReadonlySet<Ending>): Loss[] {
  if (end === undefined) return [{ kind: "stream left open", where, detail: "its end" }];
  if (end === GONE || (endings as ReadonlySet<string>).has(end)) return [];
  const detail = `with ${end}, and the session was ${[...endings].join(" or ")}`;
  return [{ kind: "stream ended", where, detail }];
}

/** The answer to a subscriber whose session has ended while it was away. */
const GONE = "404";

/**
 * The last id that this subscriber must have; undefined means all events. The frame that says how
 * the session ended comes after all events, and goes only to connected subscribers. (A reader that
 * is more than a page behind gets that frame before the rest. No reader here is: a session that is
 * followed to its end has much less than a page.) A subscriber that was not connected at the end
 * cannot get later events. It must have all events before the last one that it received.
 */
function owedUpTo(
  { end }: Following,
  events: readonly Event[],
  endings: ReadonlySet<Ending> | undefined,
): string | undefined {
  if (!endings || (end !== undefined && end !== GONE)) return undefined;
  return events.reduce((last, { id }) => (id > last ? id : last), "");
}

/** Each stream must have every event that an answer, a log or another stream shows to be published. */
function auditMissing(
  where: string,
  { session, seen }: Following,
  known: Known,
  upTo: string | undefined,
): Loss[] {
  const losses: Loss[] = [];
  const held = dataById(known.logs.get(session)?.events);
  const received = dataById(seen.filter((one) => one.kind === "event"));
  const gaps = seen.filter((one) => one.kind === "gap");
  for (const { id, data, publish } of known.published.get(session) ?? []) {
    if (received.get(id) === data || (upTo !== undefined && id > upTo)) continue;
    const said = gaps.some(({ requested, earliest }) => requested < id && id < earliest);
    if (said && held.get(id) !== data) continue;
    const how = publish.outcome === "done" ? "was acknowledged" : "had no answer, and is there";
    losses.push({ kind: "event lost", where, detail: `${id} ${how}` });
  }
  return losses;
}
