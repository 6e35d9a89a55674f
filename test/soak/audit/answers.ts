/** Streams that end: readers without an id miss nothing, pages join, and every reader gets the end. */
import type { Answer, Event } from "../history.ts";
import type { Known } from "./known.ts";
import type { Loss } from "./loss.ts";

export function auditAnswer(answer: Answer, { logs }: Known): Loss[] {
  const events = logs.get(answer.session)?.events ?? [];
  return [
    ...auditReloads(answer, events),
    ...auditPages(answer, events),
    ...auditEnd(answer, events),
  ];
}

/**
 * Each stream has events of the log without a hole. Its first one is the first that no stream
 * before it had shown, or an earlier one. So all of them together have every event.
 */
function auditReloads({ session, streams }: Answer, log: readonly Event[]): Loss[] {
  const losses: Loss[] = [];
  let unseen = 0;
  for (const [n, { events, endId }] of streams.entries()) {
    const where = `reload ${n} of ${session}`;
    let next: number | undefined;
    for (const { id, data } of events) {
      const place = log.findIndex((one) => one.id === id && one.data === data);
      const detail = `${id} (${data})`;
      if (place < 0) losses.push({ kind: "event never published", where, detail });
      else if (place > (next ?? unseen)) {
        losses.push({ kind: "event lost", where, detail: `before ${detail}` });
      } else if (next !== undefined && place < next) {
        losses.push({ kind: "event out of order", where, detail });
      }
      if (place >= 0) next = place + 1;
    }
    unseen = Math.max(unseen, next ?? 0);
    if (endId !== undefined && (next ?? unseen) < log.length) {
      losses.push({ kind: "event lost", where, detail: "before the end" });
    }
  }
  return losses;
}

/** Pages that are read one after the other are the log, up to the page that says that it ends. */
function auditPages({ session, pages }: Answer, log: readonly Event[]): Loss[] {
  const where = `pages of ${session}`;
  const read = pages.flatMap(({ events }) => events);
  const wrong = read.findIndex(({ id, data }, n) => id !== log[n]?.id || data !== log[n]?.data);
  if (wrong >= 0) return [{ kind: "page wrong", where, detail: `at ${read[wrong]!.id}` }];
  if (!pages.at(-1)?.ended || read.length === log.length) return [];
  return [{ kind: "page wrong", where, detail: `it ended after ${read.length} of ${log.length}` }];
}

/** After an acknowledged end every reader gets it, by the same id. */
function auditEnd(
  { session, endIds, streams, pages, afterEnd }: Answer,
  log: readonly Event[],
): Loss[] {
  const [endId] = endIds;
  if (endId === undefined) return [];
  const where = `end of ${session}`;
  const told = [
    ...endIds,
    ...streams.flatMap((stream) => stream.endId ?? []),
    ...pages.flatMap(({ ended, lastEventId }) => (ended ? lastEventId : [])),
  ];
  const losses = told
    .filter((id) => id !== endId)
    .map((id): Loss => ({ kind: "end changed", where, detail: `${id}, and ${endId} before` }));
  const last = log.at(-1)?.id ?? "";
  if (endId <= last) losses.push({ kind: "end changed", where, detail: `${endId} before ${last}` });
  const lost = (detail: string) => losses.push({ kind: "end lost", where, detail });
  if (streams.at(-1)?.endId === undefined) lost("a stream does not say it");
  if (!pages.at(-1)?.ended) lost("a page does not say it");
  if (afterEnd !== 204) lost(`a client that has seen it was answered ${afterEnd ?? "nothing"}`);
  return losses;
}
