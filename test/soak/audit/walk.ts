/** Follows a reader through the events of its session. */
import type { Seen } from "../history.ts";
import { auditGap } from "./gaps.ts";
import { dataById, isTrimmed, type Known } from "./known.ts";
import type { Loss } from "./loss.ts";

export interface Start {
  /** The place, in the order of the session's events, of the first one that the reader is owed. */
  readonly from: number;
  /** Whether it may get earlier ones again before that one. */
  readonly mayRepeat: boolean;
}

interface Walked {
  readonly losses: readonly Loss[];
  /** The place after the last event that the reader got, or that a gap says to be gone. */
  readonly next: number;
}

/**
 * The reader gets events without a hole and in order, each as it was published, and each that the
 * log holds or may have trimmed. Only a gap that is true leads over events that the reader lacks.
 */
export function walk(
  where: string,
  session: string,
  seen: readonly Seen[],
  known: Known,
  { from, mayRepeat }: Start,
): Walked {
  const losses: Loss[] = [];
  const order = known.published.get(session) ?? [];
  const places = new Map(order.map(({ id }, place) => [id, place]));
  const log = known.logs.get(session);
  const held = dataById(log?.events);
  let next = from;
  let isFixed = !mayRepeat;
  for (const one of seen) {
    if (one.kind === "gap") {
      losses.push(...auditGap(where, one, session, known));
      const place = order.findIndex(({ id }) => id >= one.earliest);
      const detail = `up to ${one.earliest}, which the reader had`;
      if (place < next && isFixed) losses.push({ kind: "gap without cause", where, detail });
      // Up to an event whose answer was lost and which nobody saw, if no known one follows.
      next = place < 0 ? order.length : place;
      isFixed = true;
      continue;
    }
    const { id, data } = one;
    const detail = `${id} (${data})`;
    const place = places.get(id);
    if (place === undefined || order[place]?.data !== data) {
      losses.push({ kind: "event never published", where, detail });
      continue;
    }
    if (held.get(id) !== data && !isTrimmed(id, log, known)) {
      losses.push({ kind: "event not durable", where, detail });
    }
    if (place > next) losses.push({ kind: "event lost", where, detail: `before ${detail}` });
    if (place < next && isFixed) losses.push({ kind: "event out of order", where, detail });
    next = place + 1;
    isFixed = true;
  }
  return { losses, next };
}
