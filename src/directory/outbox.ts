/**
 * What the directory has yet to be told of this session. The wish to tell is not
 * a queue of messages but a difference: what the directory was last told is
 * stored, and what it should be told follows from the session's own record. So the
 * wish is stored in the same transaction as every change, survives a crash at any
 * point, and however many changes wait, one message settles them.
 *
 * An ended session leaves no record; in its place stays the trace of its entry,
 * until a shard has taken the removal. Then the storage is emptied.
 */
import type { DirectoryClient } from "./client.ts";
import type { DirectoryEntry, DirectoryMessage } from "./contract.ts";
import { stalenessOf, dropTime, retryTime } from "./staleness.ts";
import { describeFailure, type Logger } from "../logger.ts";
import type { SessionEntry } from "../core/host.ts";
import type { SessionId } from "../core/id.ts";
import { FIRST_RETELL_MS, MAX_RESTAMPS, TELL_DELAY_MS } from "../core/limits.ts";
import type { AlarmClock } from "../alarm-clock.ts";
/**
 * Empties an object's storage but for one key, within the transaction of the turn.
 * `deleteAll` cannot: what it deletes and what is put after it are two steps, and
 * a crash between them would lose the key. Tables stay, without rows: SQLite drops
 * none that some cursor still reads, and one may have stopped in mid-page.
 */
export function emptyExcept(storage: DurableObjectStorage, kept: string): void {
  const tables = storage.sql.exec<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
  );
  // Without WHERE, SQLite frees the pages at once instead of deleting row by row.
  for (const { name } of tables.toArray()) storage.sql.exec(`DELETE FROM "${name}"`);
  // Listed first: deleting under a listing would disturb it.
  const keys = Array.from(storage.kv.list(), ([key]) => key);
  for (const key of keys) if (key !== kept) storage.kv.delete(key);
}

const KEY = "directory";

/** One row. It is made with the first answer of a shard, or with the session's end. */
type StoredOutbox =
  | {
      readonly kind: "told";
      readonly entry: DirectoryEntry;
      /** The session's TTL then: how long the shard keeps the entry follows from it. Absent in older rows. */
      readonly ttlMs?: number;
      readonly order: number;
      /** How many shards there were; with another number the entry's place may be another. */
      readonly shards: number;
    }
  | {
      readonly kind: "ended";
      readonly id: SessionId;
      readonly at: number;
      readonly order: number;
      readonly shards?: number;
    };

/** The session as the outbox sees it at one moment. */
export interface Listed {
  /** Its record. Times are milliseconds since the epoch. */
  readonly session: Omit<SessionEntry, "expiresAt"> & {
    readonly ttlMs: number;
    /** Its last change. */
    readonly updatedAt: number;
  };
  /** When it ends as things stand. */
  readonly deadline: number;
}

export interface OutboxParts {
  readonly ctx: DurableObjectState;
  readonly alarm: AlarmClock;
  readonly log: Logger;
  /** Undefined where there is no directory: then nothing is sent, and nothing is stored for it. */
  readonly directory: DirectoryClient | undefined;
}

export class Outbox {
  readonly #parts: OutboxParts;
  /** The session as it was when the outbox last heard of it; undefined where there is none. */
  #listed: Listed | undefined;
  /** Undefined: not read yet. Null: there is no row. */
  #row: StoredOutbox | null | undefined;
  /** The highest order given to a message. */
  #order = 0;
  /** Settles when there is nothing to send, or a try has failed. */
  #sending: Promise<void> | undefined;
  /** No new try before; milliseconds since the epoch. */
  #retryAt = 0;
  /** The alarm was set for a retry, so it has to be moved once the message has arrived. */
  #alarmIsOurs = false;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /**
   * The session was made, changed or used: sends what concerns the directory. Returns by when
   * the object has to wake to send a deadline that moved, should no use send it before:
   * while the entry is still listed. Infinity where nothing waits for that.
   */
  changed(listed: Listed, now: number): number {
    this.#listed = listed;
    const update = this.#pendingUpdate(now);
    if (!update) return Infinity;
    // The object may die before a shard answers, and nobody may ever call this session again.
    if (update.urgent) this.#wakeBy(retryTime(update.since, now));
    this.#send(now);
    const row = this.#read();
    return !update.urgent && row?.kind === "told" ? row.entry.expiresAt : Infinity;
  }

  /**
   * The session has ended: empties the storage but for the wish to say so, in the
   * turn's own transaction. What is left goes when the directory has taken it.
   */
  ended(id: SessionId, now: number): void {
    this.#listed = undefined;
    const { ctx, alarm, directory } = this.#parts;
    if (!directory) {
      alarm.clear();
      void ctx.storage.deleteAll();
      return;
    }
    const row = this.#read();
    const order = Math.max(row?.order ?? 0, this.#order);
    const shards = row?.shards;
    emptyExcept(ctx.storage, KEY);
    this.#write({ kind: "ended", id, at: now, order, ...(shards !== undefined && { shards }) });
    this.#alarmIsOurs = true;
    alarm.moveTo(now + FIRST_RETELL_MS);
    this.#send(now);
  }

  /** The alarm has fired: sends what was not sent yet. `listed` is the session, where there is one. Resolves as `settled` does. */
  async resume(now: number, listed?: Listed): Promise<void> {
    this.#listed = listed;
    this.#alarmIsOurs = false;
    if (!this.#parts.directory && !listed && this.#read()?.kind === "ended") {
      // The directory was turned off, and will never hear of that end.
      void this.#parts.ctx.storage.deleteAll();
      this.#row = null;
      return;
    }
    const update = this.#pendingUpdate(now);
    if (!update) return;
    this.#wakeBy(retryTime(update.since, now));
    this.#retryAt = 0;
    this.#send(now);
    await this.settled();
  }

  /** Resolves when the directory has been told, or the try under way has failed. */
  async settled(): Promise<void> {
    await this.#sending;
  }

  #send(now: number): void {
    // What is being sent asks for the next wish when it is done.
    if (this.#sending || now < this.#retryAt) return;
    this.#sending = this.#deliverAll().finally(() => (this.#sending = undefined));
    this.#parts.ctx.waitUntil(this.#sending);
  }

  async #deliverAll(): Promise<void> {
    const { directory } = this.#parts;
    if (!directory) return;
    await new Promise((resolve) => setTimeout(resolve, TELL_DELAY_MS));
    let restamps = 0;
    for (;;) {
      const now = Date.now();
      const update = this.#pendingUpdate(now);
      if (!update) return;
      const message = this.#stamp(update.message, now);
      try {
        const delivery = await directory.deliver(message, this.#read()?.shards);
        if (delivery.kind === "taken") this.#taken(message, update.ttlMs, directory.shards);
        else if (restamps++ < MAX_RESTAMPS) this.#order = Math.max(this.#order, delivery.by);
        else throw new Error("the directory holds a later order, again and again");
      } catch (failure) {
        this.#failed(update.since, failure);
        return;
      }
    }
  }

  /** A message with the next order: later than every one before it, whatever the clock does. */
  #stamp(message: Unstamped, now: number): DirectoryMessage {
    this.#order = Math.max(now, this.#order + 1, (this.#read()?.order ?? 0) + 1);
    return { ...message, order: this.#order };
  }

  #taken(message: DirectoryMessage, ttlMs: number, shards: number): void {
    const { ctx, alarm } = this.#parts;
    const listed = this.#listed;
    if (message.op === "put") {
      // Ended meanwhile: the row says so, and the next message will.
      if (!listed) return;
      this.#write({ kind: "told", entry: message.entry, ttlMs, order: message.order, shards });
      if (!this.#alarmIsOurs || this.#pendingUpdate(Date.now())) return;
      this.#alarmIsOurs = false;
      alarm.moveTo(listed.deadline);
      return;
    }
    // Made again meanwhile: the new session's message overwrites the row.
    if (listed) return;
    this.#alarmIsOurs = false;
    alarm.clear();
    void ctx.storage.deleteAll();
    this.#row = null;
  }

  #failed(since: number, failure: unknown): void {
    const now = Date.now();
    this.#retryAt = retryTime(since, now);
    this.#wakeBy(this.#retryAt);
    this.#parts.log.warn("directory.untold", {
      untoldMs: now - since,
      cause: describeFailure(failure),
    });
  }

  #wakeBy(at: number): void {
    this.#alarmIsOurs = true;
    this.#parts.alarm.wakeBy(at);
  }

  /** What there is to tell, and since when. */
  #pendingUpdate(now: number): PendingUpdate | undefined {
    if (!this.#parts.directory) return undefined;
    const row = this.#read();
    if (!this.#listed) {
      if (row?.kind !== "ended") return undefined;
      return { message: { op: "remove", id: row.id }, since: row.at, urgent: true, ttlMs: 0 };
    }
    const { session, deadline } = this.#listed;
    const { ttlMs } = session;
    const entry = entryOf(session, deadline);
    const known = row?.kind === "told" ? row : undefined;
    // A TTL that has grown does not make the shard keep the entry for longer.
    const staleness = stalenessOf(known?.entry, entry, Math.min(known?.ttlMs ?? ttlMs, ttlMs));
    if (!staleness) return undefined;
    const dropAt = dropTime(entry.expiresAt, ttlMs);
    return {
      message: { op: "put", entry, dropAt },
      // An order is the time of its message.
      since: staleness === "content" ? session.updatedAt : (row?.order ?? now),
      urgent: staleness === "content",
      ttlMs,
    };
  }

  #read(): StoredOutbox | null {
    if (this.#row === undefined) {
      this.#row = this.#parts.ctx.storage.kv.get<StoredOutbox>(KEY) ?? null;
    }
    return this.#row;
  }

  #write(row: StoredOutbox): void {
    this.#parts.ctx.storage.kv.put(KEY, row);
    this.#row = row;
  }
}

function entryOf({ id, type, createdAt, subject }: Listed["session"], expiresAt: number) {
  return { id, type, createdAt, expiresAt, ...(subject !== undefined && { subject }) };
}

/** A message that has yet to get its order. */
type Unstamped = DirectoryMessage extends infer M
  ? M extends DirectoryMessage
    ? Omit<M, "order">
    : never
  : never;

interface PendingUpdate {
  readonly message: Unstamped;
  /** When it became one; milliseconds since the epoch. */
  readonly since: number;
  /** Whether it may not wait for the session's next use or deadline. */
  readonly urgent: boolean;
  /** The session's; 0 where it has ended. */
  readonly ttlMs: number;
}
