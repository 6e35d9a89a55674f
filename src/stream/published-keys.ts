/**
 * The keys (`Idempotency-Key`) under which events were published, each known while the log retains
 * the last of its events. A row of a key is stored and deleted in the same transaction as the rows
 * of its events. So a key is known if and only if its events were published.
 */
const EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'keys'";
/** Without a rowid a key is one row written; with one its index is a second (measured). */
const CREATE = `CREATE TABLE IF NOT EXISTS keys (
  key TEXT PRIMARY KEY,
  seq INTEGER NOT NULL,
  count INTEGER NOT NULL,
  fingerprint TEXT NOT NULL
) WITHOUT ROWID`;
const FIND = "SELECT seq, count, fingerprint FROM keys WHERE key = ?";
/** A key whose events are gone may still have its row: rows are deleted in batches. */
const ADD = "INSERT OR REPLACE INTO keys (key, seq, count, fingerprint) VALUES (?, ?, ?, ?)";
const FORGET = "DELETE FROM keys WHERE seq + count - 1 < ?";

/** A publisher's key, with the fingerprint of the events that it published under it. */
export interface PublishKey {
  readonly key: string;
  readonly fingerprint: string;
}

/** The events that were published under a key: `count` of them, from `seq` on. */
export type KeyedEvents = {
  readonly seq: number;
  readonly count: number;
  readonly fingerprint: string;
};

export class PublishedKeys {
  readonly #sql: SqlStorage;
  /** Only a table that was found outside of a transaction counts: one that was made may be rolled back. */
  #isTableFound = false;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The events that were published under a key, if the last of them lies after `beforeFirst`. */
  find(key: string, beforeFirst: number): KeyedEvents | undefined {
    if (!(this.#isTableFound ||= this.#hasTable)) return undefined;
    const [known] = this.#sql.exec<KeyedEvents>(FIND, key).toArray();
    return known && known.seq + known.count - 1 > beforeFirst ? known : undefined;
  }

  /** Remembers a key for `count` events from `seq` on. `find` has not found it. */
  add({ key, fingerprint }: PublishKey, seq: number, count: number): void {
    if (!this.#isTableFound) this.#sql.exec(CREATE);
    this.#sql.exec(ADD, key, seq, count, fingerprint);
  }

  /** The events before `first` are deleted. */
  forgetBefore(first: number): void {
    if (this.#isTableFound || this.#hasTable) this.#sql.exec(FORGET, first);
  }

  get #hasTable(): boolean {
    return this.#sql.exec(EXISTS).toArray().length > 0;
  }
}
