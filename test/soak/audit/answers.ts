/** Streams that end: their readers miss nothing without a gap, and every reader gets the end. */
import type { Answer, Page, Seen } from "../history.ts";
import type { Known } from "./known.ts";
import type { Loss } from "./loss.ts";
import { walk } from "./walk.ts";

export function auditAnswer(answer: Answer, known: Known): Loss[] {
  return [
    ...(answer.keepsId ? auditKeeper(answer, known) : auditReloads(answer, known)),
    ...auditPages(answer, known),
    ...auditEnd(answer, known),
  ];
}

/**
 * Each stream of a reader without an id begins with the first event that no stream before it had
 * shown, or with an earlier one, unless a gap says that it is gone.
 */
function auditReloads({ session, streams }: Answer, known: Known): Loss[] {
  let unseen = 0;
  return streams.flatMap(({ seen, endId }, n) => {
    const where = `reload ${n} of ${session}`;
    const { losses, next } = walk(where, session, seen, known, { from: unseen, mayRepeat: true });
    unseen = Math.max(unseen, next);
    return [...losses, ...auditWhole(where, session, next, endId !== undefined, known)];
  });
}

/** A reader with an id gets each event once, over all its streams, unless a gap says that it is gone. */
function auditKeeper({ session, streams }: Answer, known: Known): Loss[] {
  const where = `reader with an id of ${session}`;
  const seen = streams.flatMap((stream) => stream.seen);
  const { losses, next } = walk(where, session, seen, known, { from: 0, mayRepeat: false });
  const isTold = streams.some(({ endId }) => endId !== undefined);
  return [...losses, ...auditWhole(where, session, next, isTold, known)];
}

/** Pages that are read one after the other have each event once, unless a gap says that it is gone. */
function auditPages({ session, pages }: Answer, known: Known): Loss[] {
  const where = `pages of ${session}`;
  const seen = pages.flatMap((page) => seenIn(page, session, known));
  const { losses, next } = walk(where, session, seen, known, { from: 0, mayRepeat: false });
  return [...losses, ...auditWhole(where, session, next, pages.at(-1)?.ended ?? false, known)];
}

function seenIn({ after, events, gap, at }: Page, session: string, known: Known): Seen[] {
  const told = events.map((event): Seen => ({ kind: "event", ...event }));
  const gapAs = (said: NonNullable<Page["gap"]>): Seen[] => {
    return [{ kind: "gap", ...said, place: after ?? "", at }, ...told];
  };
  if (gap) return gapAs(gap);
  const [first] = events;
  // A page that is asked for without a place says no gap: it begins with the first event retained.
  const isLate = after === undefined && first && first.id !== known.published.get(session)?.[0]?.id;
  return isLate ? gapAs({ requested: "", earliest: first.id }) : told;
}

/** A reader that was told of the end had every event before. */
function auditWhole(
  where: string,
  session: string,
  next: number,
  isTold: boolean,
  known: Known,
): Loss[] {
  if (!isTold || next >= (known.published.get(session)?.length ?? 0)) return [];
  return [{ kind: "event lost", where, detail: "before the end" }];
}

/** After an acknowledged end every reader gets it, by the same id. */
function auditEnd(
  { session, endIds, streams, pages, afterEnd }: Answer,
  { published }: Known,
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
  const last = published.get(session)?.at(-1)?.id ?? "";
  if (endId <= last) losses.push({ kind: "end changed", where, detail: `${endId} before ${last}` });
  const lost = (detail: string) => losses.push({ kind: "end lost", where, detail });
  if (streams.at(-1)?.endId === undefined) lost("a stream does not say it");
  if (!pages.at(-1)?.ended) lost("a page does not say it");
  if (afterEnd !== 204) lost(`a client that has seen it was answered ${afterEnd ?? "nothing"}`);
  return losses;
}
