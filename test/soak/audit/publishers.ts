/** Answers to publishers: each event gets an id of its own, and ids rise from publish to publish. */
import type { Publish } from "../history.ts";
import type { Loss } from "./loss.ts";

export function auditPublishers(publishes: readonly Publish[]): Loss[] {
  return [
    ...publishes.flatMap(auditAnswer),
    ...publishes.flatMap(auditRepeats),
    ...[...Map.groupBy(publishes, ({ session }) => session)].flatMap(auditIds),
    ...auditOrder(publishes),
  ];
}

function auditAnswer({ session, publisher, data, ids, outcome }: Publish): Loss[] {
  if (outcome !== "done" || ids.length === data.length) return [];
  const detail = `${data.length} events were acknowledged with ${ids.length} ids`;
  return [{ kind: "answer not allowed", where: `${publisher} in ${session}`, detail }];
}

/** A publish that is repeated under its key is answered with the ids that it was given at first. */
function auditRepeats({ session, publisher, data, ids, repeats = [] }: Publish): Loss[] {
  return repeats.flatMap((again): Loss[] => {
    if (again.length === ids.length && again.every((id, n) => id === ids[n])) return [];
    const detail = `${data.join(", ")} has ${ids.join(", ")}, and when repeated ${again.join(", ")}`;
    return [{ kind: "published twice", where: `${publisher} in ${session}`, detail }];
  });
}

/** An id names one event of its session, for all publishers together. */
function auditIds([session, publishes]: [string, readonly Publish[]]): Loss[] {
  const losses: Loss[] = [];
  const named = new Map<string, string>();
  for (const { ids, data } of publishes) {
    for (const [n, id] of ids.entries()) {
      const event = data[n] ?? "nothing";
      const other = named.get(id);
      if (other !== undefined) {
        const detail = `${id} was answered for ${other} and for ${event}`;
        losses.push({ kind: "id given twice", where: `publishes to ${session}`, detail });
      }
      named.set(id, event);
    }
  }
  return losses;
}

/** A publish that begins after the answer to another one has the higher ids. */
function auditOrder(publishes: readonly Publish[]): Loss[] {
  const losses: Loss[] = [];
  const last = new Map<string, string>();
  for (const { session, publisher, ids } of publishes) {
    const where = `${publisher} in ${session}`;
    for (const id of ids) {
      const before = last.get(where) ?? "";
      if (id < before) {
        losses.push({ kind: "event out of order", where, detail: `${id} came after ${before}` });
      }
      last.set(where, id);
    }
  }
  return losses;
}
