import type { Event } from "../history.ts";
import type { Known } from "./known.ts";
import type { Loss } from "./loss.ts";

/** Ids rise, no event comes twice, and each was published in this session under this id. */
export function auditSequence(
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
