/**
 * The storage schema and its numbered migrations. docs/storage.md describes the
 * current one. A migration runs once per session, when its object is next
 * loaded, in one transaction with the record's new schema number.
 */
import type { StoredSession } from "./record.ts";

export interface Migration {
  /** The schema that a session has after this migration. */
  readonly to: number;
  readonly up: (session: StoredSession, storage: DurableObjectStorage) => StoredSession;
}

/** The schema that this version writes. */
export const SCHEMA_VERSION = 1;

/** In ascending order of `to`, without holes, from 2 up to SCHEMA_VERSION. */
const MIGRATIONS: readonly Migration[] = [];

/**
 * Brings a stored session to the schema `target`. Throws where the session was
 * written by a newer version: reading it by guess could lose what it holds.
 */
export function migrate(
  stored: StoredSession,
  storage: DurableObjectStorage,
  migrations: readonly Migration[] = MIGRATIONS,
  target: number = SCHEMA_VERSION,
): StoredSession {
  if (stored.schema > target) {
    throw new Error(`session schema ${stored.schema} is newer than this version's ${target}`);
  }
  let session = stored;
  for (const { to, up } of migrations) {
    if (to > session.schema && to <= target) session = { ...up(session, storage), schema: to };
  }
  return session;
}
