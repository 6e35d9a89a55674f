/** Gaps: each begins where its reader is, and ends at the first event that the log retained then. */
import type { Gap } from "../history.ts";
import type { Attempt, Known } from "./known.ts";
import type { Loss } from "./loss.ts";

/**
 * A gap says that the log retains nothing between `requested` and `earliest`. A later event that the
 * reader never gets is lost, and so the audit of its stream finds a gap that claims too little.
 */
export function auditGap(where: string, gap: Gap, session: string, known: Known): Loss[] {
  const { requested, earliest, place, at } = gap;
  const wrong = (detail: string): Loss[] => [{ kind: "gap without cause", where, detail }];
  // A subscriber cannot see the id of the place where its stream opened.
  if (place !== "" && requested !== place) {
    return wrong(`after ${requested}, for a reader that had come to ${place}`);
  }
  if (isTrimmed({ requested, earliest, at }, known.tried.get(session) ?? [], known)) return [];
  return wrong(`after ${requested} up to ${earliest}, which the log cannot have come to`);
}

/**
 * Whether the log can have retained nothing between these two at that moment: whether there are
 * events between them, and the log can have held as many events from `earliest` on as a log retains.
 * Two kinds of events count: those that are known to be there and whose publish had begun, and those
 * whose answer was lost and which nobody saw, since the log may have trimmed them. (A log is bounded
 * by bytes, too, but the events of a soak are far too small for that bound.)
 */
function isTrimmed(
  { requested, earliest, at }: Pick<Gap, "requested" | "earliest" | "at">,
  tried: readonly Attempt[],
  { retained }: Known,
): boolean {
  const then = tried.filter(({ publish }) => publish.began <= at);
  const isUnseen = ({ id, publish }: Attempt) => id === undefined && publish.outcome === "unknown";
  const unseen = then.filter(isUnseen).length;
  const between = then.filter(({ id }) => id !== undefined && requested < id && id < earliest);
  const from = then.filter(({ id }) => id !== undefined && id >= earliest);
  return between.length + unseen > 0 && from.length + unseen >= retained;
}
