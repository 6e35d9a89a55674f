/** Arrays whose answer was lost. Each is published whole or not at all. */
import type { Following, History, Publish, SessionLog } from "../history.ts";
import type { Known } from "./known.ts";
import type { Loss } from "./loss.ts";

export function auditArrays(
  { publishes, followings }: History,
  known: Known,
  ended: Pick<ReadonlyMap<string, unknown>, "has">,
): Loss[] {
  const followingsOf = Map.groupBy(followings, ({ session }) => session);
  return publishes.flatMap((publish): Loss[] => {
    const { session, data, outcome } = publish;
    if (outcome !== "unknown" || data.length < 2) return [];
    const shown = data.filter((one) => known.attempts.get(one)?.id !== undefined);
    if (shown.length === 0 || shown.length === data.length) return [];
    const hidden = data.filter((one) => !shown.includes(one));
    const excuses = [
      ...(followingsOf.get(session) ?? []).map((following) =>
        excusesOf(following, publish, known, ended.has(session)),
      ),
      excusesOfLog(known.logs.get(session), publish, known),
    ];
    const mayBe = (one: string) => excuses.every((excuse) => excuse(data.indexOf(one)));
    if (hidden.every(mayBe)) return [];
    const detail = `of ${data.join(", ")} only ${shown.join(", ")} is there`;
    return [{ kind: "publish torn", where: `log of ${session}`, detail }];
  });
}

/** Whether the event at this place may exist although this log or stream does not show it. */
type Excuse = (place: number) => boolean;

/** A full log that begins inside the array has trimmed the front of the array. */
function excusesOfLog(log: SessionLog | undefined, { data }: Publish, { retained }: Known): Excuse {
  const events = log?.events ?? [];
  const places = placesIn(events, data);
  const begins = events.length >= retained ? data.indexOf(events[0]?.data ?? "") : -1;
  return (place) => places.length === 0 || place < begins;
}

/**
 * A stream that shows part of the array must say by a gap that it lacks the neighbours of that
 * part, or must have ended right after it, with its session.
 */
function excusesOf(
  { seen }: Following,
  { data }: Publish,
  { attempts }: Known,
  sessionEnded: boolean,
): Excuse {
  const events = seen.filter((one) => one.kind === "event");
  const gaps = seen.filter((one) => one.kind === "gap");
  const places = placesIn(events, data);
  const idAt = (place: number | undefined) =>
    place === undefined ? undefined : attempts.get(data[place] ?? "")?.id;
  return (place) => {
    if (places.length === 0) return true;
    const before = idAt(places.findLast((one) => one < place));
    const after = idAt(places.find((one) => one > place));
    if (sessionEnded && after === undefined && events.at(-1)?.id === before) return true;
    return gaps.some(
      ({ requested, earliest }) =>
        (before !== undefined && requested === before) ||
        (after !== undefined && earliest === after),
    );
  };
}

/** The places of the array that these events show, in order. */
function placesIn(
  events: readonly { readonly data: string }[],
  array: readonly string[],
): number[] {
  const shown = new Set(events.map(({ data }) => data));
  return array.flatMap((data, place) => (shown.has(data) ? [place] : []));
}
