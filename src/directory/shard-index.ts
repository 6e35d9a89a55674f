/**
 * The rows of one shard, in SQLite: one for each session, and for a while one for each removed
 * session, so that a late message does not bring it back. Counters by type, in one row for all
 * sessions and one for each subject, let a count read one row.
 */
import {
  idOf,
  type Delivery,
  type DirectoryEntry,
  type DirectoryFilter,
  type DirectoryMessage,
  type ShardRow,
  type Position,
} from "./contract.ts";
import type { SessionId } from "../core/id.ts";
import { MAX_MERGED_TYPES, REMOVAL_MEMORY_MS } from "../core/limits.ts";
import { mergeNewest, takeUpTo } from "./listing.ts";

/** A removed session's row has type and subject NULL, so it is in no index but that of `drop_at`. */
const SCHEMA = `
CREATE TABLE IF NOT EXISTS entries (
  id TEXT PRIMARY KEY,
  ord INTEGER NOT NULL,
  type TEXT,
  subject TEXT,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  drop_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_type ON entries (type, created DESC, id DESC) WHERE type IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_subject ON entries (subject, type, created DESC, id DESC) WHERE subject IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_drop ON entries (drop_at);
CREATE TABLE IF NOT EXISTS counts (
  subject TEXT PRIMARY KEY,
  by_type TEXT NOT NULL
) WITHOUT ROWID;`;

/**
 * Made once there are more types than a listing can merge: a merge reads a few rows of each. The
 * service has three types, so its shards do without, and write two rows less for each entry.
 */
const SCHEMA_OF_MANY_TYPES = `
CREATE INDEX IF NOT EXISTS by_created ON entries (created DESC, id DESC) WHERE type IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_subject_created ON entries (subject, created DESC, id DESC) WHERE subject IS NOT NULL;`;

/** The counters' subject for all sessions. An empty subject, which only the library can give, counts as no subject. */
const ALL = "";

/** Comes before every entry in a listing. */
const NEWEST: Position = { createdAt: Number.MAX_SAFE_INTEGER, id: "" };

type Row = {
  id: string;
  ord: number;
  type: string | null;
  subject: string | null;
  created: number;
  expires: number;
  drop_at: number;
};

export class ShardIndex {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  /** Whether the indexes for many types are there. */
  #hasManyTypes: boolean;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    const made = this.#sql
      .exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE name IN ('counts', 'by_subject_created')",
      )
      .toArray()
      .map(({ name }) => name);
    if (!made.includes("counts")) this.#sql.exec(SCHEMA);
    this.#hasManyTypes = made.includes("by_subject_created");
  }

  /** Takes a session's message, unless the shard has taken a later one. */
  apply(message: DirectoryMessage, now: number): Delivery {
    const { op, order } = message;
    const id = idOf(message);
    const held = this.#row(id);
    if (held && held.ord > order) return { kind: "superseded", by: held.ord };
    if (held?.ord === order) {
      // The same message again, or two of one order: only a clock that was set back makes such two.
      const same = (held.type !== null) === (op === "put");
      return same ? { kind: "taken" } : { kind: "superseded", by: held.ord };
    }
    const next: ShardRow =
      op === "put"
        ? { id, order, dropAt: message.dropAt, entry: message.entry }
        : { id, order, dropAt: now + REMOVAL_MEMORY_MS };
    this.#storage.transactionSync(() => this.#replace(held, next));
    return { kind: "taken" };
  }

  /** Drops a session's row, unless the shard has taken a later message of that session. */
  takeBack(id: string, order: number): Delivery {
    const held = this.#row(id);
    if (held && held.ord > order) return { kind: "superseded", by: held.ord };
    this.#storage.transactionSync(() => this.#replace(held, undefined));
    return { kind: "taken" };
  }

  /** Takes another shard's rows, except those of which a later one is here. */
  absorb(rows: readonly ShardRow[]): void {
    this.#storage.transactionSync(() => {
      for (const row of rows) {
        const held = this.#row(row.id);
        if (!held || held.ord < row.order) this.#replace(held, row);
      }
    });
  }

  /** Up to `limit` entries after a position, newest first. */
  page(filter: DirectoryFilter, after: Position | undefined, limit: number): DirectoryEntry[] {
    const { type, subject } = filter;
    const parts: DirectoryFilter[] =
      type !== undefined || this.#hasManyTypes
        ? [filter]
        : [...this.#counts(subject ?? ALL).keys()].map((each) => ({ ...filter, type: each }));
    const sources = parts.map((part) => this.#listed(part, after ?? NEWEST, limit));
    return takeUpTo(mergeNewest(sources), limit).taken;
  }

  count({ type, subject }: DirectoryFilter): number {
    if (subject === "") return 0;
    const counts = this.#counts(subject ?? ALL);
    if (type !== undefined) return counts.get(type) ?? 0;
    return [...counts.values()].reduce((sum, n) => sum + n, 0);
  }

  /** Whether a session that fits is here. */
  holds(id: string, filter: DirectoryFilter): boolean {
    const held = this.#row(id);
    if (!held || held.type === null) return false;
    const { type = held.type, subject = held.subject } = filter;
    return held.type === type && held.subject === subject;
  }

  /** The order of the last message about a session; undefined if none is remembered. */
  orderOf(id: string): number | undefined {
    return this.#row(id)?.ord;
  }

  /** Turns an entry into the trace of a removal, if no message has come since `order`. */
  forget(id: string, order: number, now: number): void {
    const held = this.#row(id);
    if (held?.ord !== order || held.type === null) return;
    this.#storage.transactionSync(() =>
      this.#replace(held, { id, order, dropAt: now + REMOVAL_MEMORY_MS }),
    );
  }

  /** Up to `limit` rows in the order of ids, after an id. */
  rowsAfter(id: string, limit: number): ShardRow[] {
    return this.#sql
      .exec<Row>("SELECT * FROM entries WHERE id > ? ORDER BY id LIMIT ?", id, limit)
      .toArray()
      .map(shardRow);
  }

  /** Drops up to `limit` rows whose time is up. */
  sweep(now: number, limit: number): void {
    const due = this.#sql
      .exec<Row>("SELECT * FROM entries WHERE drop_at <= ? ORDER BY drop_at LIMIT ?", now, limit)
      .toArray();
    this.#storage.transactionSync(() => {
      for (const row of due) this.#replace(row, undefined);
    });
  }

  nextDrop(): number | undefined {
    const [row] = this.#sql.exec<{ drop_at: number }>(
      "SELECT drop_at FROM entries ORDER BY drop_at LIMIT 1",
    );
    return row?.drop_at;
  }

  #row(id: string): Row | undefined {
    return this.#sql.exec<Row>("SELECT * FROM entries WHERE id = ?", id).toArray()[0];
  }

  /** The number of sessions of each type that has any. */
  #counts(subject: string): Map<string, number> {
    const [row] = this.#sql.exec<{ by_type: string }>(
      "SELECT by_type FROM counts WHERE subject = ?",
      subject,
    );
    // Only `#tally` writes these.
    return new Map(row && (JSON.parse(row.by_type) as [string, number][]));
  }

  /** The entries of one index, read one by one: a merge reads no row that it does not need. */
  *#listed(
    { type, subject }: DirectoryFilter,
    after: Position,
    limit: number,
  ): Generator<DirectoryEntry> {
    const where = [
      ...(subject === undefined ? [] : ["subject = ?"]),
      type === undefined ? "type IS NOT NULL" : "type = ?",
    ];
    const rows = this.#sql.exec<Row>(
      `SELECT * FROM entries WHERE ${where.join(" AND ")} AND (created, id) < (?, ?)
       ORDER BY created DESC, id DESC LIMIT ?`,
      ...[subject, type].filter((value) => value !== undefined),
      after.createdAt,
      after.id,
      limit,
    );
    for (const row of rows) {
      const { entry } = shardRow(row);
      if (entry) yield entry;
    }
  }

  /** The one place that writes entries, so that rows and counters cannot disagree. */
  #replace(held: Row | undefined, next: ShardRow | undefined): void {
    const was = held && shardRow(held).entry;
    const is = next?.entry;
    if (next) {
      this.#sql.exec(
        `INSERT INTO entries (id, ord, type, subject, created, expires, drop_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET ord = excluded.ord, type = excluded.type,
           subject = excluded.subject, created = excluded.created,
           expires = excluded.expires, drop_at = excluded.drop_at`,
        next.id,
        next.order,
        is?.type ?? null,
        is?.subject || null,
        is?.createdAt ?? 0,
        is?.expiresAt ?? 0,
        next.dropAt,
      );
    } else if (held) {
      this.#sql.exec("DELETE FROM entries WHERE id = ?", held.id);
    }
    if (was?.type === is?.type && was?.subject === is?.subject) return;
    if (was) this.#tally(was, -1);
    if (is) this.#tally(is, 1);
  }

  #indexManyTypes(): void {
    if (this.#hasManyTypes) return;
    this.#sql.exec(SCHEMA_OF_MANY_TYPES);
    this.#hasManyTypes = true;
  }

  #tally({ type, subject }: DirectoryEntry, step: 1 | -1): void {
    for (const scope of subject ? [ALL, subject] : [ALL]) {
      const counts = this.#counts(scope);
      const n = (counts.get(type) ?? 0) + step;
      if (n > 0) counts.set(type, n);
      else counts.delete(type);
      if (scope === ALL && counts.size > MAX_MERGED_TYPES) this.#indexManyTypes();
      if (counts.size > 0) {
        const byType = JSON.stringify([...counts]);
        this.#sql.exec("INSERT OR REPLACE INTO counts VALUES (?, ?)", scope, byType);
      } else {
        this.#sql.exec("DELETE FROM counts WHERE subject = ?", scope);
      }
    }
  }
}

function shardRow(row: Row): ShardRow {
  const { id, ord: order, drop_at: dropAt, type, subject } = row;
  if (type === null) return { id, order, dropAt };
  return {
    id,
    order,
    dropAt,
    entry: {
      // Sessions send canonical ids alone.
      id: id as SessionId,
      type,
      ...(subject !== null && { subject }),
      createdAt: row.created,
      expiresAt: row.expires,
    },
  };
}
