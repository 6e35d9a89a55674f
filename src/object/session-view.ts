/** A session as its host and the directory are shown it. Pure. */
import { NATIVE_STREAM } from "../session/event-id.ts";
import type { SessionView } from "../session/host.ts";
import type { EventLog } from "./event-log.ts";
import type { Listed } from "./outbox.ts";
import type { StoredSession } from "./record.ts";
import { versionOf } from "./record-changes.ts";

/** `deadline` is when the session ends as things stand, in milliseconds since the epoch. */
export function viewOf(
  record: StoredSession,
  log: EventLog,
  deadline: number,
  writers: number,
): SessionView {
  return {
    id: record.id,
    type: record.type,
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
    expiresAt: deadline,
    ttlMs: record.ttlMs,
    maxLifetimeMs: record.maxLifetimeMs,
    metadata: record.metadata,
    ...(record.dataJson !== undefined && { dataJson: record.dataJson }),
    ...(record.subject !== undefined && { subject: record.subject }),
    ...(record.times !== undefined && { times: record.times }),
    writers,
    ...(log.lastSeq > 0 && { lastEventId: log.idOf(log.lastSeq, NATIVE_STREAM) }),
    version: versionOf(record),
  };
}

/** What the directory is to say of the session. */
export function listedAs(record: StoredSession, deadline: number): Listed {
  const { id, type, createdAt, updatedAt, subject, ttlMs } = record;
  const owner = subject !== undefined && { subject };
  const entry = { id, type, createdAt, expiresAt: deadline, ...owner };
  return { entry, ttlMs, updatedAt, deadline };
}
