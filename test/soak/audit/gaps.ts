import type { Seen } from "../history.ts";
import type { Known } from "./known.ts";
import type { Loss } from "./loss.ts";

export type Gap = Extract<Seen, { kind: "gap" }>;

/**
 * A gap says that the log no longer retains anything before `earliest`. It is right if the log can
 * have been full at that moment: if it can have held as many events from `earliest` on as a log
 * retains. Two kinds of events count: those that are known to be there and whose publish had begun,
 * and those whose answer was lost and which nobody saw, since the log may have trimmed them. (A log
 * is bounded by bytes, too, but the events of a soak are far too small for that bound.)
 */
export function auditGap(
  where: string,
  { requested, earliest, at }: Gap,
  session: string,
  { tried, retained }: Known,
): Loss[] {
  const retainedThen = (tried.get(session) ?? []).filter(({ publish, id }) => {
    if (publish.began > at) return false;
    return id === undefined ? publish.outcome === "unknown" : id >= earliest;
  });
  if (requested < earliest && retainedThen.length >= retained) return [];
  const detail = `after ${requested} up to ${earliest}, with ${retainedThen.length} events since`;
  return [{ kind: "gap without cause", where, detail }];
}
