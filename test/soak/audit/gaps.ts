import type { Seen } from "../history.ts";
import type { Known } from "./known.ts";
import type { Loss } from "./loss.ts";

export type Gap = Extract<Seen, { kind: "gap" }>;

/**
 * A gap says that everything before its `earliest` is no longer retained. It is right where the log
 * can have been full when it was said: where so many events as a log retains, from
 * `earliest` on, can have been in it by then. Those can that are known to be there, and whose
 * publish had begun; and those whose answer was lost and which nobody ever saw, as they may
 * have been trimmed before anybody did. (A log is bounded by bytes, too; the events of a soak are
 * far too small for that bound.)
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
