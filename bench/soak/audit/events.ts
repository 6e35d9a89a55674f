/** Events: each acknowledged one once in every stream and in the log, in the order of ids. */
import type { History, Publish, SessionLog } from "../history.ts";
import { dataById, isTrimmed, knownFrom, type Known } from "./known.ts";
import type { Loss } from "./loss.ts";
import { auditPublishers } from "./publishers.ts";
import type { Ending } from "./records.ts";
import { auditSequence } from "./sequence.ts";
import { auditFollowing } from "./streams.ts";

export function auditEvents(
  history: History,
  ended: ReadonlyMap<string, ReadonlySet<Ending>>,
): Loss[] {
  const known = knownFrom(history);
  return [
    ...auditPublishers(history.publishes),
    ...history.logs.flatMap((log) => auditLog(log, known)),
    ...history.publishes.flatMap((publish) => auditWholeness(publish, known)),
    ...history.followings.flatMap((following) =>
      auditFollowing(following, known, ended.get(following.session)),
    ),
  ];
}

function auditLog(log: SessionLog, known: Known): Loss[] {
  const where = `log of ${log.session}`;
  const losses = auditSequence(where, log.session, log.events, known);
  const held = dataById(log.events);
  for (const { id, data, publish } of known.published.get(log.session) ?? []) {
    // Whether the log has what only a stream shows is asked with the stream.
    if (publish.outcome !== "done") continue;
    if (held.get(id) === data || isTrimmed(id, log, known)) continue;
    losses.push({ kind: "event lost", where, detail: `${id} was acknowledged` });
  }
  return losses;
}

/** An array whose answer was lost is published whole or not at all. */
function auditWholeness(publish: Publish, { logs }: Known): Loss[] {
  if (publish.outcome === "done" || publish.data.length < 2) return [];
  const log = logs.get(publish.session);
  const held = new Set(log?.events.map(({ data }) => data));
  const present = publish.data.filter((data) => held.has(data));
  if (present.length === 0 || present.length === publish.data.length) return [];
  // Trimming lets the front of an array go first.
  if (log?.events[0]?.data === present[0] && publish.data.at(-1) === present.at(-1)) return [];
  const detail = `of ${publish.data.join(", ")} only ${present.join(", ")} is there`;
  return [{ kind: "publish torn", where: `log of ${publish.session}`, detail }];
}
