/**
 * What a session's object stores about it, under four keys of its key-value
 * storage. Content, use and channel are apart so that the coarse touch, the most
 * frequent write, does not rewrite metadata and data. The owner stands apart as
 * well, so that refusing a stranger takes no longer for a large session.
 */
import type { Metadata, RecordTimes } from "../session/host.ts";
import type { SessionId } from "../session/id.ts";
import type { SessionType } from "../session/type.ts";
import { migrate, SCHEMA_VERSION } from "./migrations.ts";

/** The session itself. Times are milliseconds since the epoch. */
export interface StoredSession {
  readonly schema: number;
  readonly id: SessionId;
  /** Made with the session; the first part of its event ids. */
  readonly epoch: string;
  readonly type: SessionType;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Counts changes of content; the second part of the entity tag. */
  readonly revision: number;
  readonly ttlMs: number;
  /** 0 is no limit. */
  readonly maxLifetimeMs: number;
  readonly metadata: Metadata;
  readonly dataJson?: string;
  readonly subject?: string;
  /** As the library's storage wrote them; see `RecordTimes`. */
  readonly times?: RecordTimes;
}

/** What is left of those times when another caller changes the content. */
export function timesAfterChange({ times }: StoredSession): Pick<StoredSession, "times"> {
  return times ? { times: { createdAt: times.createdAt } } : {};
}

/** How the session's own stream stands. */
export interface StoredChannel {
  /** Every queued event up to this seq has been read. */
  readonly drainedSeq: number;
  /** Publishing is refused until a writer attaches. */
  readonly disconnected: boolean;
}

const SESSION = "session";
const OWNER = "owner";
const USED_UNTIL = "used-until";
const CHANNEL = "channel";

const FRESH_CHANNEL: StoredChannel = { drainedSeq: 0, disconnected: false };

/** Reads and writes those keys. Each `save` is one row written. */
export class RecordStore {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** The session, brought to the current schema; undefined where none was made. Writes nothing for a miss. */
  loadSession(): StoredSession | undefined {
    const stored = this.#storage.kv.get<StoredSession>(SESSION);
    if (!stored || stored.schema === SCHEMA_VERSION) return stored;
    return this.#storage.transactionSync(() => {
      const migrated = migrate(stored, this.#storage);
      this.saveSession(migrated);
      return migrated;
    });
  }

  /** Stores the session. A subject that changed, or is new, costs one row more. */
  saveSession(session: StoredSession): void {
    this.#storage.kv.put(SESSION, session);
    if (session.subject !== undefined && session.subject !== this.loadOwner()) {
      this.#storage.kv.put(OWNER, session.subject);
    }
  }

  /** Whose session it is; undefined for nobody's, and where there is none. Reads no content. */
  loadOwner(): string | undefined {
    return this.#storage.kv.get<string>(OWNER);
  }

  /** Up to when use has been credited (`expiry.ts`). A session never used since it was made has no entry. */
  loadUsedUntil(session: StoredSession): number {
    return this.#storage.kv.get<number>(USED_UNTIL) ?? session.createdAt;
  }

  saveUsedUntil(usedUntil: number): void {
    this.#storage.kv.put(USED_UNTIL, usedUntil);
  }

  loadChannel(): StoredChannel {
    return this.#storage.kv.get<StoredChannel>(CHANNEL) ?? FRESH_CHANNEL;
  }

  saveChannel(channel: StoredChannel): void {
    this.#storage.kv.put(CHANNEL, channel);
  }
}
