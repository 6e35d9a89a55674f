/** Makes the new record for a call that changes a session. Pure: the clock and chance are arguments. */
import type { RevokeIf } from "../directory/contract.ts";
import type { Caller } from "../core/caller.ts";
import {
  DEFAULT_OVERFLOW,
  GATEWAY_KEYS,
  patchData,
  patchMetadata,
  SESSION_TYPE_TASK,
  type Metadata,
  type Overflow,
} from "../core/content.ts";
import { BACKEND_KEYS, contentOfTag } from "../core/document.ts";
import { refuse, type Outcome } from "../core/errors.ts";
import { newEpoch } from "../core/event-id.ts";
import type { IfMatch, SessionContent, SessionPatch, SessionView } from "../core/host.ts";
import type { SessionId } from "../core/id.ts";
import { SCHEMA_VERSION, timesAfterChange, type StoredSession } from "./record.ts";
import type { EventChannel } from "../stream/event-channel.ts";

/** The record of a new session. `random` is in [0, 1); `shards` is the number of the directory's, if there is one. */
export function newRecord(
  id: SessionId,
  content: SessionContent,
  now: number,
  random: number,
  shards?: number,
): StoredSession {
  return {
    ...content,
    schema: SCHEMA_VERSION,
    id,
    epoch: newEpoch(now, random),
    createdAt: now,
    updatedAt: now,
    revision: 1,
    ...(shards !== undefined && { shards }),
  };
}

/** Replaces all content that the caller may change. The owner stays, unless the new content names one. */
export function replaced(
  record: StoredSession,
  content: SessionContent,
  caller: Caller,
): StoredSession {
  const { dataJson: _dataJson, ...kept } = record;
  const metadata = { ...content.metadata, ...keptFrom(caller, record) };
  const replaced = { ...kept, ...timesAfterChange(kept), ...content, metadata };
  if (record.type !== SESSION_TYPE_TASK) return replaced;
  // The object goes on with the task's call, for as long as its client was told: so these three stay.
  const { type, ttlMs, maxLifetimeMs } = record;
  return { ...replaced, type, ttlMs, maxLifetimeMs };
}

/** Applies a merge patch to the content that the caller may change. */
export function patched(record: StoredSession, patch: SessionPatch, caller: Caller): StoredSession {
  const { dataJson, ...kept } = record;
  const data =
    patch.dataPatchJson === undefined ? dataJson : patchData(dataJson, patch.dataPatchJson);
  return {
    ...kept,
    ...timesAfterChange(kept),
    ...(data !== undefined && { dataJson: data }),
    ...(patch.metadata !== undefined && {
      metadata: { ...patchMetadata(kept.metadata, patch.metadata), ...keptFrom(caller, record) },
    }),
    ...(patch.ttlMs !== undefined && record.type !== SESSION_TYPE_TASK && { ttlMs: patch.ttlMs }),
    ...(patch.overflow !== undefined && { overflow: patch.overflow }),
  };
}

/** Metadata that only an admin may remove: nobody else sees it, or moves a session to another upstream. */
function keptFrom({ admin }: Caller, { metadata }: StoredSession): Metadata {
  if (admin) return {};
  const { upstream, backendSid, era } = GATEWAY_KEYS;
  const keys = backendSid in metadata ? [...BACKEND_KEYS, upstream, era] : BACKEND_KEYS;
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => keys.includes(key)));
}

/** Why the caller may not make this change; undefined if it may. `metadata` is the change's part for it. */
export function changeRefusal(
  caller: Caller,
  record: StoredSession,
  metadata: MetadataChange,
  ifMatch: IfMatch | undefined,
): Outcome<never> | undefined {
  if (!matchesVersion(record, ifMatch)) return refuse("precondition_failed");
  const forbidden = caller.admin ? undefined : forbiddenChange(record, metadata);
  return forbidden === undefined ? undefined : refuse("forbidden", forbidden);
}

type MetadataChange = Readonly<Record<string, string | null>> | null | undefined;

/**
 * Why the caller may not set this metadata; undefined if it may. Only the gateway and an admin may set
 * the session's id at an upstream, or the upstream that the gateway sends it to. A value that is
 * stored already may be stored again, as a library's caller does after a read.
 */
function forbiddenChange({ metadata }: StoredSession, change: MetadataChange): string | undefined {
  if (!change) return undefined;
  const set = BACKEND_KEYS.find(
    (key) => key in change && (change[key] ?? undefined) !== metadata[key],
  );
  if (set !== undefined) return `metadata.${set}: only an admin may set it.`;
  const { upstream, backendSid } = GATEWAY_KEYS;
  const to = change[upstream];
  const moves = backendSid in metadata && to !== undefined && to !== metadata[upstream];
  return moves ? "metadata.upstream: only an admin may move a session." : undefined;
}

/** A new session is the caller's, unless its content names another owner. */
export function ownedBy(caller: Caller, content: SessionContent): SessionContent {
  if (content.subject !== undefined || caller.subject === undefined) return content;
  return { ...content, subject: caller.subject };
}

export function overflowOf({ overflow = DEFAULT_OVERFLOW }: StoredSession): Overflow {
  return overflow;
}

/** Identifies one state of the content, even if the session is made again under its id. */
function versionOf(record: StoredSession): string {
  return `${record.epoch}.${record.revision}`;
}

function matchesVersion(record: StoredSession, ifMatch: IfMatch | undefined): boolean {
  if (ifMatch === undefined || ifMatch === "*") return true;
  const version = versionOf(record);
  return ifMatch.some((tag) => contentOfTag(tag) === version);
}

/** A removal's condition: the session is one that a revocation means, or has one of these versions. */
export type RemoveIf = RevokeIf | { readonly ifMatch: IfMatch };

export function isMeant(record: StoredSession, condition: RemoveIf): boolean {
  if ("ifMatch" in condition) return matchesVersion(record, condition.ifMatch);
  return record.subject === condition.subject && record.createdAt <= condition.createdBy;
}

/** A session as its host is shown it. `deadline` is its present deadline, in milliseconds since the epoch. */
export function viewOf(record: StoredSession, events: EventChannel, deadline: number): SessionView {
  const { dataJson, subject, times } = record;
  const { writers, lastEventId, ended } = events;
  // Member by member: a rest pattern that leaves three out takes ten times as long.
  return {
    id: record.id,
    type: record.type,
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
    expiresAt: deadline,
    ttlMs: record.ttlMs,
    maxLifetimeMs: record.maxLifetimeMs,
    metadata: record.metadata,
    ...(dataJson !== undefined && { dataJson }),
    ...(subject !== undefined && { subject }),
    ...(times !== undefined && { times }),
    writers,
    ...(lastEventId !== undefined && { lastEventId }),
    overflow: overflowOf(record),
    ended,
    version: versionOf(record),
  };
}
