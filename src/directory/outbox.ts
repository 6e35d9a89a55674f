/**
 * Reports one session to the directory. It stores no queue of messages. It stores the entry that
 * the directory took last, and sends the difference between that and the session's own record. So
 * a change needs no row for its message, a crash at any point loses none, and one message settles
 * all changes that wait.
 *
 * An ended session leaves no record. The trace of its entry stays in its place until a shard has
 * taken the removal. Then the storage is emptied.
 */
import type { AlarmClock } from "../alarm-clock.ts";
import type { SessionEntry } from "../core/host.ts";
import type { SessionId } from "../core/id.ts";
import { FIRST_RESEND_MS, MAX_RESTAMPS, SEND_DELAY_MS } from "../core/limits.ts";
import { describeFailure, type Logger } from "../logger.ts";
import { directoryUntold } from "../signals/metrics.ts";
import type { DirectoryClient } from "./client.ts";
import type { DirectoryEntry, DirectoryMessage } from "./contract.ts";
import { dropTime, retryTime, stalenessOf } from "./staleness.ts";
import { sleep } from "../wire/timers.ts";

const KEY = "directory";

/** One row. The first answer of a shard makes it, or the session's end. */
type StoredOutbox =
  | {
      readonly kind: "told";
      readonly entry: DirectoryEntry;
      /** The session's TTL then: it decides how long the shard keeps the entry. Absent in older rows. */
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

/** A session to be listed. Times are milliseconds since the epoch. */
export interface Listed {
  readonly session: Omit<SessionEntry, "expiresAt"> & {
    readonly ttlMs: number;
    /** Its last change. */
    readonly updatedAt: number;
  };
  /** Its present deadline. */
  readonly deadline: number;
}

interface Update {
  readonly message: (order: number) => DirectoryMessage;
  /** Since when the message waits; milliseconds since the epoch. */
  readonly since: number;
  /** Whether it must be sent now, and not with the session's next use or at its deadline. */
  readonly isUrgent: boolean;
}

interface OutboxParts {
  readonly ctx: DurableObjectState;
  readonly alarm: AlarmClock;
  readonly log: Logger;
  /** Undefined if there is no directory: then nothing is sent, and nothing is stored for it. */
  readonly directory: DirectoryClient | undefined;
}

export class Outbox {
  readonly #parts: OutboxParts;
  /** The session as the outbox last heard of it; undefined if there is none. */
  #listed: Listed | undefined;
  /** Undefined: not read yet. Null: there is no row. */
  #row: StoredOutbox | null | undefined;
  /** The highest order given to a message. */
  #order = 0;
  /** Settles when there is nothing to send, or a try has failed. */
  #sending: Promise<void> | undefined;
  /** The earliest time of the next try; milliseconds since the epoch. */
  #retryAt = 0;
  /** The alarm was set for a retry, so it has to be moved once the message has arrived. */
  #isAlarmOurs = false;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /**
   * The session was made, changed or used: sends what concerns the directory. Returns the
   * time by which the object has to wake to send a deadline that moved, if no use sends it
   * before. By then the entry is still listed. Infinity if no such deadline waits.
   */
  changed(listed: Listed, now: number): number {
    this.#listed = listed;
    const update = this.#update(now);
    if (!update) return Infinity;
    // The object may die before a shard answers, and nobody may ever call this session again.
    if (update.isUrgent) this.#wakeBy(retryTime(update.since, now));
    this.#send(now);
    const row = this.#read();
    return !update.isUrgent && row?.kind === "told" ? row.entry.expiresAt : Infinity;
  }

  /**
   * The session has ended: empties the storage in one transaction. Only what the directory has
   * yet to hear stays, until the directory has taken it.
   */
  ended(id: SessionId, now: number): void {
    const { ctx, alarm, directory } = this.#parts;
    if (!directory) {
      this.#listed = undefined;
      return this.#clear();
    }
    const row = this.#read();
    const order = Math.max(row?.order ?? 0, this.#order);
    const shards = row?.shards !== undefined && { shards: row.shards };
    ctx.storage.transactionSync(() => {
      emptyExcept(ctx.storage, KEY);
      this.#write({ kind: "ended", id, at: now, order, ...shards });
    });
    this.#listed = undefined;
    this.#isAlarmOurs = true;
    alarm.moveTo(now + FIRST_RESEND_MS);
    this.#send(now);
  }

  /** The alarm has fired: sends what waits. `listed` is the session, if any. Resolves as `settled` does. */
  async resume(now: number, listed?: Listed): Promise<void> {
    this.#listed = listed;
    this.#isAlarmOurs = false;
    // The directory was turned off, and will never hear of that end.
    if (!this.#parts.directory && !listed && this.#read()?.kind === "ended") return this.#clear();
    const update = this.#update(now);
    if (!update) return;
    this.#wakeBy(retryTime(update.since, now));
    this.#retryAt = 0;
    this.#send(now);
    await this.settled();
  }

  /** Resolves when the directory knows of the last change, or the try under way has failed. */
  async settled(): Promise<void> {
    await this.#sending;
  }

  #send(now: number): void {
    // A try that is under way looks for more to send when it is done.
    if (this.#sending || now < this.#retryAt) return;
    this.#sending = this.#deliverAll().finally(() => (this.#sending = undefined));
    this.#parts.ctx.waitUntil(this.#sending);
  }

  async #deliverAll(): Promise<void> {
    const { directory } = this.#parts;
    if (!directory) return;
    await sleep(SEND_DELAY_MS);
    for (let restamps = 0; ;) {
      const now = Date.now();
      const update = this.#update(now);
      if (!update) return;
      const ttlMs = this.#listed?.session.ttlMs ?? 0;
      // Later than every message before it, whatever the clock does.
      this.#order = Math.max(now, this.#order + 1, (this.#read()?.order ?? 0) + 1);
      const message = update.message(this.#order);
      try {
        const delivery = await directory.deliver(message, this.#read()?.shards);
        if (delivery.kind === "taken") this.#taken(message, ttlMs, directory.shards);
        else if (restamps++ < MAX_RESTAMPS) this.#order = Math.max(this.#order, delivery.by);
        else throw new Error("the directory holds a later order, again and again");
      } catch (failure) {
        return this.#failed(update.since, failure);
      }
    }
  }

  #taken(message: DirectoryMessage, ttlMs: number, shards: number): void {
    const listed = this.#listed;
    if (message.op === "remove") {
      // Made again meanwhile: the new session's message overwrites the row.
      if (!listed) this.#clear();
      return;
    }
    // Ended meanwhile: the row says so, and the next message will.
    if (!listed) return;
    this.#write({ kind: "told", entry: message.entry, ttlMs, order: message.order, shards });
    if (!this.#isAlarmOurs || this.#update(Date.now())) return;
    this.#isAlarmOurs = false;
    this.#parts.alarm.moveTo(listed.deadline);
  }

  #failed(since: number, failure: unknown): void {
    const now = Date.now();
    this.#retryAt = retryTime(since, now);
    this.#wakeBy(this.#retryAt);
    const cause = describeFailure(failure);
    directoryUntold.add(1);
    this.#parts.log.warn("directory.untold", { untoldMs: now - since, cause });
  }

  #wakeBy(at: number): void {
    this.#isAlarmOurs = true;
    this.#parts.alarm.wakeBy(at);
  }

  /** The message that waits to be sent; undefined if the directory knows everything. */
  #update(now: number): Update | undefined {
    if (!this.#parts.directory) return undefined;
    const row = this.#read();
    if (!this.#listed) {
      if (row?.kind !== "ended") return undefined;
      const { id, at } = row;
      return { message: (order) => ({ op: "remove", id, order }), since: at, isUrgent: true };
    }
    const { session, deadline } = this.#listed;
    const { id, type, createdAt, subject, ttlMs, updatedAt } = session;
    const owner = subject !== undefined && { subject };
    const entry = { id, type, createdAt, expiresAt: deadline, ...owner };
    const known = row?.kind === "told" ? row : undefined;
    // A TTL that has grown does not make the shard keep the entry for longer.
    const staleness = stalenessOf(known?.entry, entry, Math.min(known?.ttlMs ?? ttlMs, ttlMs));
    if (!staleness) return undefined;
    const isUrgent = staleness === "content";
    const dropAt = dropTime(deadline, ttlMs);
    return {
      message: (order) => ({ op: "put", entry, dropAt, order }),
      // An order is the time of its message.
      since: isUrgent ? updatedAt : (row?.order ?? now),
      isUrgent,
    };
  }

  /** Empties the storage and takes the alarm back. */
  #clear(): void {
    this.#parts.alarm.clear();
    void this.#parts.ctx.storage.deleteAll();
    this.#isAlarmOurs = false;
    this.#row = null;
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

/**
 * Empties an object's storage but for one key, within the transaction of the turn. `deleteAll`
 * cannot: it deletes in one step and the key would be put back in another, and a crash between
 * the two would lose it. Tables stay, without rows: SQLite drops no table that a cursor still
 * reads, and one may have stopped in mid-page.
 */
function emptyExcept(storage: DurableObjectStorage, kept: string): void {
  const tables = storage.sql.exec<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
  );
  // Without WHERE, SQLite frees the pages at once instead of deleting row by row.
  for (const { name } of tables.toArray()) storage.sql.exec(`DELETE FROM "${name}"`);
  // Listed first: deleting under a listing would disturb it.
  const keys = Array.from(storage.kv.list(), ([key]) => key);
  for (const key of keys) if (key !== kept) storage.kv.delete(key);
}
