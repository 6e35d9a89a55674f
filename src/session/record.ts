/**
 * The session's record in the key-value storage of its object. Content and use have a key each, so
 * that the coarse touch, the most frequent write, does not rewrite metadata and data. The owner
 * has one too, so that refusing a stranger takes no longer for a large session.
 */
import type { SessionContent } from "../core/host.ts";
import { CorruptRecordError } from "../core/errors.ts";
import type { SessionId } from "../core/id.ts";
import { isObject } from "../wire/json.ts";

/**
 * A step to the next storage schema (docs/storage.md). It runs once per session, when its object
 * is next loaded, in one transaction with the record's new schema number.
 */
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
 * Brings a stored session to the schema `target`. Throws for one that a newer version wrote:
 * reading it by guess could lose content.
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

/**
 * The session as it is stored: its content with the record's own members. Without a `subject` it
 * belongs to nobody; without `overflow` it has `DEFAULT_OVERFLOW`. Times are milliseconds since the
 * epoch.
 */
export interface StoredSession extends SessionContent {
  readonly schema: number;
  readonly id: SessionId;
  /** Made with the session; the first part of its event ids. */
  readonly epoch: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Counts changes of content; the second part of the entity tag. */
  readonly revision: number;
  /**
   * How many shards the directory had when the session was made, for an outbox that has stored nothing since.
   * Absent: an older version made it, or there was no directory.
   */
  readonly shards?: number;
  /** When its type or its owner was last changed. Absent: never, or by an older version. */
  readonly movedAt?: number;
}

/** The times that are still true when another caller changes the content. */
export function timesAfterChange({ times }: StoredSession): Pick<StoredSession, "times"> {
  return times ? { times: { createdAt: times.createdAt } } : {};
}

const SESSION = "session";
const OWNER = "owner";
const USED_UNTIL = "used-until";

/** The words by which the Worker knows a damaged record, since classes of errors are lost over RPC. */
export const UNREADABLE = "the session's record is damaged";

/** Whether a record has the members without which a session can neither be shown nor end. */
function isRecord(stored: unknown): boolean {
  if (!isObject(stored) || typeof stored["schema"] !== "number") return false;
  // The members of another schema are for its migration to judge.
  if (stored["schema"] !== SCHEMA_VERSION) return true;
  const texts = [stored["id"], stored["epoch"], stored["type"]];
  const times = [stored["createdAt"], stored["updatedAt"], stored["ttlMs"], stored["revision"]];
  return (
    texts.every((text) => typeof text === "string") &&
    times.every((time) => typeof time === "number" && Number.isFinite(time)) &&
    isObject(stored["metadata"])
  );
}

/** Each `save` writes one row; `saveSession` writes another for a new or changed owner. */
export class RecordStore {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /**
   * The session in the current schema; undefined if none was made. A miss writes nothing. Throws a
   * CorruptRecordError for a record that is damaged: a session that cannot be read must not be used.
   */
  loadSession(): StoredSession | undefined {
    const stored = this.#storage.kv.get<StoredSession>(SESSION);
    if (stored === undefined) return undefined;
    if (!isRecord(stored)) throw new CorruptRecordError(UNREADABLE);
    if (stored.schema === SCHEMA_VERSION) return stored;
    return this.#storage.transactionSync(() => {
      const migrated = migrate(stored, this.#storage);
      this.saveSession(migrated);
      return migrated;
    });
  }

  /** A subject that is new or has changed costs one row more. */
  saveSession(session: StoredSession): void {
    this.#storage.kv.put(SESSION, session);
    if (session.subject !== undefined && session.subject !== this.loadOwner()) {
      this.#storage.kv.put(OWNER, session.subject);
    }
  }

  /** The owner; undefined if the session has none, or there is no session. Reads no content. */
  loadOwner(): string | undefined {
    return this.#storage.kv.get<string>(OWNER);
  }

  /** Use has been credited up to then (`core/expiry.ts`). A session that was never used has no entry. */
  loadUsedUntil(session: StoredSession): number {
    return this.#storage.kv.get<number>(USED_UNTIL) ?? session.createdAt;
  }

  saveUsedUntil(usedUntil: number): void {
    this.#storage.kv.put(USED_UNTIL, usedUntil);
  }
}
