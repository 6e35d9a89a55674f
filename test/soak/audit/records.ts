/** Records: acknowledged changes hold, ended records are gone, and the index agrees. */
import type { Change, Keeping, Publish } from "../history.ts";
import type { Loss } from "./loss.ts";

export function auditKeeping(keeping: Keeping, publishes: readonly Publish[] = []): Loss[] {
  const { changes, expiring, found, place } = keeping;
  const losses: Loss[] = [];
  const published = Map.groupBy(publishes, ({ session }) => session);
  for (const [record, calls] of Map.groupBy(changes, (change) => change.record)) {
    const publishesHere = (published.get(record) ?? []).map(
      ({ began, ended, outcome }): Change => ({ record, kind: "publish", began, ended, outcome }),
    );
    const own = [...calls, ...publishesHere];
    const where = `${place} ${record}`;
    losses.push(
      ...auditAnswers(where, own, expiring.has(record)),
      ...auditEnd(where, own, expiring.has(record), found.get(record)),
    );
  }
  return [...losses, ...auditListing(keeping)];
}

/** How a record ended, or may have ended: by a delete, or because its time was up. */
export type Ending = "deleted" | "expired";

/** The records that are gone, and how each may have ended. A delete with a lost answer counts. */
export function endedIn({ changes, expiring, found }: Keeping): Map<string, Set<Ending>> {
  const ended = new Map<string, Set<Ending>>();
  for (const { record, kind } of changes) {
    if (found.has(record)) continue;
    const endings = ended.get(record) ?? new Set();
    if (kind === "delete") endings.add("deleted");
    if (expiring.has(record)) endings.add("expired");
    if (endings.size > 0) ended.set(record, endings);
  }
  return ended;
}

/** The values that a read may give now: the last acknowledged one, or a later one whose answer was lost. */
function possibleValues(changes: readonly Change[]): Set<string> {
  let values = new Set<string>();
  for (const { kind, value, outcome } of changes) {
    if ((kind !== "create" && kind !== "write") || value === undefined) continue;
    if (outcome === "done") values = new Set([value]);
    else if (outcome === "unknown") values.add(value);
  }
  return values;
}

function auditAnswers(where: string, changes: readonly Change[], expires: boolean): Loss[] {
  const losses: Loss[] = [];
  const created = changes.find(({ kind, outcome }) => kind === "create" && outcome === "done");
  const deletes = changes.filter(({ kind }) => kind === "delete");
  const deleted = deletes.find(({ outcome }) => outcome === "done");
  for (const [n, change] of changes.entries()) {
    const { kind, value, outcome, began, ended, inTime = false } = change;
    if (kind === "create" || kind === "delete") continue;
    if (outcome === "done" && deleted && began > deleted.ended) {
      losses.push({ kind: "session resurrected", where, detail: `a ${kind} found it again` });
    }
    const mayBeGone = (expires && !inTime) || deletes.some((one) => one.began < ended);
    if (outcome === "missing" && created && created.ended < began && !mayBeGone) {
      losses.push({ kind: "session lost", where, detail: `a ${kind} did not find it` });
    }
    const disputed = changes.some(
      (one) => one.kind === "write" && one.outcome === "unknown" && one.began < ended,
    );
    if (kind === "write" && outcome === "refused" && !disputed) {
      const detail = "a write was refused, and nobody else had written";
      losses.push({ kind: "answer not allowed", where, detail });
    }
    if (kind !== "read" || outcome !== "done") continue;
    const possible = possibleValues(changes.slice(0, n));
    if (!possible.has(value ?? "")) losses.push(wrongValue(where, value, possible));
  }
  return losses;
}

function auditEnd(
  where: string,
  changes: readonly Change[],
  expires: boolean,
  value: string | undefined,
): Loss[] {
  const did = (kind: Change["kind"], outcome: Change["outcome"]) =>
    changes.some((change) => change.kind === kind && change.outcome === outcome);
  if (value === undefined) {
    const maybeGone = expires || did("delete", "done") || did("delete", "unknown");
    if (!did("create", "done") || maybeGone) return [];
    return [{ kind: "session lost", where, detail: "it is not there at the end" }];
  }
  if (did("delete", "done")) {
    return [{ kind: "session resurrected", where, detail: "it was deleted and is there" }];
  }
  if (expires) return [{ kind: "session left over", where, detail: "its time was up" }];
  if (!did("create", "done") && !did("create", "unknown")) {
    return [{ kind: "session left over", where, detail: "its creation had been refused" }];
  }
  const possible = possibleValues(changes);
  return possible.has(value) ? [] : [wrongValue(where, value, possible)];
}

function wrongValue(where: string, value: string | undefined, possible: ReadonlySet<string>): Loss {
  const detail = `it says ${value} instead of ${[...possible].join(" or ")}`;
  return { kind: "write lost", where, detail };
}

function auditListing({ place, changes, found, listed, counted, unnamed }: Keeping): Loss[] {
  const losses: Loss[] = [];
  const wrong = (detail: string) =>
    losses.push({ kind: "listing wrong", where: `${place} index`, detail });
  const names = new Set(listed);
  if (names.size !== listed.length) wrong(`${listed.length - names.size} are listed twice`);
  for (const record of found.keys()) if (!names.has(record)) wrong(`${record} is not listed`);
  const known = new Set(changes.map(({ record }) => record));
  const strangers = [...names].filter((name) => !known.has(name));
  for (const name of names) {
    if (!found.has(name)) wrong(`${name} is listed and is not there`);
  }
  if (strangers.length > unnamed) wrong(`${strangers.join(", ")} were never made`);
  if (counted !== names.size) wrong(`${counted} are counted, ${names.size} listed`);
  return losses;
}
