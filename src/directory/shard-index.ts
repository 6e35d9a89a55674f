/**
 * The rows of one shard, in SQLite: one for each session, and for a while one for each removed
 * session, so that a late message does not bring it back. All sessions are counted once, when a count
 * is first asked for; from then on the counters follow in memory.
 */
import {
  idOf,
  keptOf,
  type Delivery,
  type DirectoryEntry,
  type DirectoryFilter,
  type DirectoryMessage,
  type ShardRow,
  type Position,
} from "./contract.ts";
import { MAX_MERGED_TYPES, REMOVAL_MEMORY_MS } from "../core/limits.ts";
import { mergeNewest, takeUpTo } from "./listing.ts";
import { indexManyTypes, prepareShard, says, shardRow, type Row } from "./shard-schema.ts";
import { shownDeadline } from "./staleness.ts";

/** Comes before every entry in a listing. */
const NEWEST: Position = { createdAt: Number.MAX_SAFE_INTEGER, id: "" };

export class ShardIndex {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  /** Whether the indexes for many types are there. */
  #hasManyTypes: boolean;
  /** Every type that a session here has, and maybe more; undefined: not read yet. */
  #types: Set<string> | undefined;
  /** How many sessions of each type are here; undefined: not counted yet. */
  #totals: Map<string, number> | undefined;
  /** No session's entry is to be dropped before this time, in milliseconds since the epoch; undefined: not known. */
  #quietUntil: number | undefined;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#hasManyTypes = prepareShard(this.#sql);
  }

  /** Takes a session's message, unless the shard has taken a later one. */
  apply(message: DirectoryMessage, now: number): Delivery {
    const { op, order } = message;
    const id = idOf(message);
    const held = this.#row(id);
    if (held && held.ord > order) return { kind: "superseded", by: held.ord };
    const next: ShardRow =
      op === "put"
        ? { id, order, dropAt: message.dropAt, ...keptOf(message) }
        : { id, order, dropAt: now + REMOVAL_MEMORY_MS };
    const taken: Delivery = { kind: "taken", ...(next.renewMs !== undefined && { renews: true }) };
    if (held?.ord === order) {
      // The same message again, or another one of that order: of an earlier life of the object, which was lost
      // with the message on its way, or made by a clock that was set back.
      return says(held, next) ? taken : { kind: "superseded", by: held.ord };
    }
    this.#write(() => this.#replace(held, next));
    return taken;
  }

  /** Drops a session's row, unless the shard has taken a later message of that session. */
  takeBack(id: string, order: number): Delivery {
    const held = this.#row(id);
    if (held && held.ord > order) return { kind: "superseded", by: held.ord };
    this.#write(() => this.#replace(held, undefined));
    return { kind: "taken" };
  }

  /** Takes another shard's rows, except those of which a later one is here. */
  absorb(rows: readonly ShardRow[]): void {
    this.#write(() => {
      for (const row of rows) {
        const held = this.#row(row.id);
        if (!held || held.ord < row.order) this.#replace(held, row);
      }
    });
  }

  /** Up to `limit` entries after a position, newest first, with their deadlines as they are at `now`. */
  page(
    filter: DirectoryFilter,
    after: Position | undefined,
    limit: number,
    now: number,
  ): DirectoryEntry[] {
    const { type } = filter;
    const parts: DirectoryFilter[] =
      type !== undefined || this.#hasManyTypes
        ? [filter]
        : [...this.#knownTypes()].map((each) => ({ ...filter, type: each }));
    const sources = parts.map((part) => this.#listed(part, after ?? NEWEST, limit, now));
    return takeUpTo(mergeNewest(sources), limit).taken;
  }

  /** Counts a subject's sessions by their rows, and all sessions from memory once they have been counted. */
  count({ type, subject }: DirectoryFilter): number {
    if (subject !== undefined) {
      const ofType = type === undefined ? [] : [type];
      return this.#sql
        .exec<{ n: number }>(
          `SELECT count(*) AS n FROM entries WHERE subject = ?${ofType.length > 0 ? " AND type = ?" : ""}`,
          subject,
          ...ofType,
        )
        .one().n;
    }
    const totals = (this.#totals ??= this.#countAll());
    if (type !== undefined) return totals.get(type) ?? 0;
    return [...totals.values()].reduce((sum, n) => sum + n, 0);
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
    this.#write(() => this.#replace(held, { id, order, dropAt: now + REMOVAL_MEMORY_MS }));
  }

  /** Up to `limit` rows in the order of ids, after an id. */
  rowsAfter(id: string, limit: number): ShardRow[] {
    return this.#sql
      .exec<Row>("SELECT * FROM entries WHERE id > ? ORDER BY id LIMIT ?", id, limit)
      .toArray()
      .map(shardRow);
  }

  /**
   * Drops up to `limit` rows whose time is up. An index finds the traces of removals. Sessions that send
   * nothing more are too few for an index: this finds them by reading all entries. It seldom has to, since
   * a session sends a later time while it lives.
   */
  sweep(now: number, limit: number): void {
    const due = this.#due("type IS NULL", now, limit);
    if (this.#nextSilent() <= now) {
      due.push(...this.#due("type IS NOT NULL", now, limit));
      this.#quietUntil = undefined;
    }
    this.#write(() => {
      for (const row of due) this.#replace(row, undefined);
    });
  }

  /** When the next row is to be dropped, or a session's entry may be: then `sweep` looks; Infinity: never. */
  nextDrop(): number {
    const [trace] = this.#sql.exec<{ drop_at: number }>(
      "SELECT drop_at FROM entries WHERE type IS NULL ORDER BY drop_at LIMIT 1",
    );
    return Math.min(trace?.drop_at ?? Infinity, this.#nextSilent());
  }

  #nextSilent(): number {
    if (this.#quietUntil !== undefined) return this.#quietUntil;
    const { at } = this.#sql
      .exec<{ at: number | null }>("SELECT min(drop_at) AS at FROM entries WHERE type IS NOT NULL")
      .one();
    return (this.#quietUntil = at ?? Infinity);
  }

  #due(which: string, now: number, limit: number): Row[] {
    return this.#sql
      .exec<Row>(
        `SELECT * FROM entries WHERE ${which} AND drop_at <= ? ORDER BY drop_at LIMIT ?`,
        now,
        limit,
      )
      .toArray();
  }

  #row(id: string): Row | undefined {
    return this.#sql.exec<Row>("SELECT * FROM entries WHERE id = ?", id).toArray()[0];
  }

  #countAll(): Map<string, number> {
    const rows = this.#sql.exec<{ type: string; n: number }>(
      "SELECT type, count(*) AS n FROM entries WHERE type IS NOT NULL GROUP BY type",
    );
    return new Map(Array.from(rows, ({ type, n }) => [type, n]));
  }

  /** Reads one row for each type. */
  #knownTypes(): Set<string> {
    if (this.#types) return this.#types;
    const types = new Set<string>();
    for (let last: string | undefined; ;) {
      const [next] = this.#sql.exec<{ type: string }>(
        `SELECT type FROM entries WHERE ${last === undefined ? "type IS NOT NULL" : "type > ?"} ORDER BY type LIMIT 1`,
        ...(last === undefined ? [] : [last]),
      );
      if (!next) return (this.#types = types);
      types.add((last = next.type));
    }
  }

  /** The entries of one index, read one by one: a merge reads no row that it does not need. */
  *#listed(
    { type, subject }: DirectoryFilter,
    after: Position,
    limit: number,
    now: number,
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
      const { entry, renewMs } = shardRow(row);
      if (entry) yield { ...entry, expiresAt: shownDeadline(entry.expiresAt, renewMs, now) };
    }
  }

  /** Runs `change` in a transaction. If it fails, memory may be ahead of the rows, and is read anew. */
  #write(change: () => void): void {
    try {
      this.#storage.transactionSync(change);
    } catch (failure) {
      this.#totals = undefined;
      this.#types = undefined;
      this.#quietUntil = undefined;
      this.#hasManyTypes = prepareShard(this.#sql);
      throw failure;
    }
  }

  /** The one place that writes entries, so that rows and counters cannot disagree. */
  #replace(held: Row | undefined, next: ShardRow | undefined): void {
    const was = held && shardRow(held).entry;
    const is = next?.entry;
    if (next) this.#put(held, next);
    else if (held) this.#sql.exec("DELETE FROM entries WHERE id = ?", held.id);
    if (is && this.#quietUntil !== undefined) {
      this.#quietUntil = Math.min(this.#quietUntil, next.dropAt);
    }
    if (was) this.#tally(was.type, -1);
    if (!is) return;
    this.#tally(is.type, 1);
    this.#learn(is.type);
  }

  #put(held: Row | undefined, { id, order, dropAt, entry, renewMs }: ShardRow): void {
    const { type = null, createdAt = 0, expiresAt = 0 } = entry ?? {};
    const subject = entry?.subject || null;
    const renewal = renewMs === undefined ? [null, null] : [renewMs, order];
    // A column that is set costs a row in each index that it is in, even if its value stays.
    if (held?.type === type && held.subject === subject && held.created === createdAt) {
      this.#sql.exec(
        "UPDATE entries SET ord = ?, expires = ?, drop_at = ?, renews = ?, renewed_by = ? WHERE id = ?",
        order,
        expiresAt,
        dropAt,
        ...renewal,
        id,
      );
      return;
    }
    this.#sql.exec(
      `INSERT INTO entries (id, ord, type, subject, created, expires, drop_at, renews, renewed_by)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET ord = excluded.ord, type = excluded.type,
         subject = excluded.subject, created = excluded.created,
         expires = excluded.expires, drop_at = excluded.drop_at,
         renews = excluded.renews, renewed_by = excluded.renewed_by`,
      id,
      order,
      type,
      subject,
      createdAt,
      expiresAt,
      dropAt,
      ...renewal,
    );
  }

  #tally(type: string, step: 1 | -1): void {
    this.#totals?.set(type, (this.#totals.get(type) ?? 0) + step);
  }

  /** A type that is new here may be one more than a listing can merge. */
  #learn(type: string): void {
    if (this.#hasManyTypes) return;
    // Read anew: some of those in memory may have gone.
    if (!this.#types?.has(type)) this.#types = undefined;
    if (this.#knownTypes().size <= MAX_MERGED_TYPES) return;
    indexManyTypes(this.#sql);
    this.#hasManyTypes = true;
  }
}
