/** The auditor finds every broken promise in a history. It does no I/O and reads no clock. */
import type { History, SessionLog } from "../history.ts";
import { auditAnswer } from "./answers.ts";
import { auditArrays } from "./arrays.ts";
import { auditCall } from "./calls.ts";
import { dataById, isTrimmed, knownFrom, type Known } from "./known.ts";
import type { Loss } from "./loss.ts";
import { auditPublishers } from "./publishers.ts";
import { auditKeeping, endedIn, type Ending } from "./records.ts";
import { auditSequence } from "./sequence.ts";
import { auditFollowing } from "./streams.ts";

export function audit(history: History): Loss[] {
  const ended = new Map(history.keepings.flatMap((keeping) => [...endedIn(keeping)]));
  return [
    ...auditEvents(history, ended),
    ...history.keepings.flatMap((keeping) => auditKeeping(keeping, history.publishes)),
    ...history.calls.flatMap(auditCall),
    ...[...history.unexpected].map(([answer, times]): Loss => {
      return { kind: "answer not allowed", where: answer, detail: `${times} times` };
    }),
  ];
}

/** Events: every stream and the log have each acknowledged event once, in the order of ids. */
function auditEvents(history: History, ended: ReadonlyMap<string, ReadonlySet<Ending>>): Loss[] {
  const known = knownFrom(history);
  return [
    ...auditPublishers(history.publishes),
    ...[...known.published.keys()].flatMap((session) => auditSeqs(session, known)),
    ...history.logs.flatMap((log) => auditLog(log, known)),
    ...auditArrays(history, known, ended),
    ...history.answers.flatMap((answer) => auditAnswer(answer, known)),
    ...history.followings.flatMap((following) =>
      auditFollowing(following, known, ended.get(following.session)),
    ),
  ];
}

/**
 * A session numbers its events from 1 on, in the middle part of their ids. A number that no publish
 * accounts for is an event that was published twice, even if the log has trimmed it and nobody saw it.
 */
function auditSeqs(session: string, { published, tried }: Known): Loss[] {
  const events = published.get(session) ?? [];
  const last = Number(events.at(-1)?.id.split("-")[1]);
  const unseen = (tried.get(session) ?? []).filter(
    ({ id, publish }) => id === undefined && publish.outcome === "unknown",
  );
  if (last <= events.length + unseen.length) return [];
  const detail = `${last} events are there, of at most ${events.length + unseen.length} published`;
  return [{ kind: "published twice", where: `log of ${session}`, detail }];
}

function auditLog(log: SessionLog, known: Known): Loss[] {
  const where = `log of ${log.session}`;
  const losses = auditSequence(where, log.session, log.events, known);
  const held = dataById(log.events);
  for (const { id, data, publish } of known.published.get(log.session) ?? []) {
    // The audit of a stream checks events that only this stream shows.
    if (publish.outcome !== "done") continue;
    if (held.get(id) === data || isTrimmed(id, log, known)) continue;
    losses.push({ kind: "event lost", where, detail: `${id} was acknowledged` });
  }
  return losses;
}
