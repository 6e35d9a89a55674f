/**
 * Reports one session to the directory. It stores no queue of messages. It compares the session's own
 * record with what the directory took last, and sends the difference. So a change needs no row for its
 * message, a crash at any point loses none, and one message settles all changes that wait.
 *
 * While a session is as it was made, its record says what the outbox sent. So a create stores nothing
 * here, and sets no alarm of its own. An object that has lost its memory does not know whether a shard
 * took that message: the next use sends it again, or the alarm at the deadline does.
 *
 * The entry of a session that something holds open renews itself, once the alarm has told the shard.
 *
 * An ended session leaves no record. The trace of its entry stays in its place until a shard has
 * taken the removal. Then the outbox empties the storage.
 */
import type { AlarmClock } from "../alarm-clock.ts";
import { expiryVerdict } from "../core/expiry.ts";
import type { SessionEntry } from "../core/host.ts";
import type { SessionId } from "../core/id.ts";
import { FIRST_RESEND_MS, MAX_RESTAMPS, SEND_DELAY_MS } from "../core/limits.ts";
import { describeFailure, type Logger } from "../logger.ts";
import { directoryUntold } from "../signals/metrics.ts";
import type { DirectoryClient } from "./client.ts";
import {
  keptOf,
  type DirectoryEntry,
  type DirectoryMessage,
  type KeptEntry,
  type Renewal,
} from "./contract.ts";
import { heldOpen, putOf, retryTime, stalenessOf } from "./staleness.ts";
import { sleep } from "../wire/timers.ts";

const KEY = "directory";

interface Told extends KeptEntry {
  readonly kind: "told";
  /** The session's TTL then: it decides how long the shard keeps the entry. Absent in older rows. */
  readonly ttlMs?: number;
  readonly order: number;
  /** How many shards there were; with another number the entry's place may be another. */
  readonly shards: number;
}

/** One row. The outbox writes it when a shard has taken a message that the record does not imply, and when the session ends. */
type StoredOutbox =
  | Told
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
    /** 0: no limit. */
    readonly maxLifetimeMs: number;
    /** Its last change. */
    readonly updatedAt: number;
    /** 1: it is as it was made. */
    readonly revision: number;
    /** How many shards the directory had when it was made. Absent: an older version made it, or there was no directory. */
    readonly shards?: number;
    /** When its type or its owner was last changed; absent: never. */
    readonly movedAt?: number;
  };
  /** Its present deadline. */
  readonly deadline: number;
  /** When something was last seen to hold it open; absent: nothing does. */
  readonly heldAt?: number;
}

interface Update {
  readonly message: (order: number) => DirectoryMessage;
  /** Since when the message waits; milliseconds since the epoch. */
  readonly since: number;
  /** The message says what the record says of the session as it was made. */
  readonly isAsMade?: true;
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
  /** The session was made since the object was loaded. */
  #isNew = false;
  /** Nothing has used the session since the alarm fired. */
  #isWoken = false;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** How many shards the directory has, as far as is known; undefined: there is none. */
  get shards(): number | undefined {
    return this.#parts.directory?.shards;
  }

  /** Reports that the session was made. */
  made(listed: Listed, now: number): void {
    this.#isNew = true;
    this.changed(listed, now);
  }

  /**
   * The session was changed or used: sends what concerns the directory. If the object dies before a shard
   * has taken it, the next use sends it, or the alarm, which is set for the deadline or before.
   */
  changed(listed: Listed, now: number): void {
    this.#listed = listed;
    this.#isWoken = false;
    if (this.#update()) this.#send(now);
  }

  /**
   * The session has ended: empties the storage in one transaction. Only the trace of its entry stays,
   * until the directory has taken the removal.
   */
  ended({ id, createdAt, shards: shardsThen }: Listed["session"], now: number): void {
    const { ctx, alarm, directory } = this.#parts;
    if (!directory) {
      this.#listed = undefined;
      return this.#clear();
    }
    const row = this.#read();
    const order = Math.max(row?.order ?? createdAt, this.#order);
    const known = row ? row.shards : shardsThen;
    const shards = known !== undefined && { shards: known };
    ctx.storage.transactionSync(() => {
      emptyExcept(ctx.storage, KEY);
      this.#write({ kind: "ended", id, at: now, order, ...shards });
    });
    this.#listed = undefined;
    this.#isAlarmOurs = true;
    alarm.moveTo(now + FIRST_RESEND_MS);
    this.#send(now);
  }

  /**
   * The alarm has fired: sends what waits. `listed` is the session, if any, and the alarm is set for its
   * deadline or before. Resolves as `settled` does.
   */
  async resume(now: number, listed?: Listed): Promise<void> {
    this.#listed = listed;
    this.#isWoken = true;
    this.#isAlarmOurs = false;
    // The directory was turned off, and will never hear of that end.
    if (!this.#parts.directory && !listed && this.#read()?.kind === "ended") return this.#clear();
    const update = this.#update();
    if (!update) return;
    if (!listed) this.#wakeBy(retryTime(update.since, now));
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
      const update = this.#update();
      if (!update) return;
      const listed = this.#listed;
      const row = this.#read();
      // If the object loses its memory, it sends the message of a create once more, and stores a row then.
      const isRecorded = update.isAsMade === true && this.#isNew && row?.kind !== "ended";
      // Later than every message before it, whatever the clock does.
      const least = update.isAsMade ? update.since : Math.max(now, movedAt(listed) + 1);
      this.#order = Math.max(least, this.#order + 1, (row?.order ?? 0) + 1);
      const message = update.message(this.#order);
      const shardsThen = row ? row.shards : listed?.session.shards;
      try {
        const delivery = await directory.deliver(message, shardsThen);
        if (delivery.kind === "taken") {
          const isSpared = isRecorded && shardsThen === directory.shards;
          this.#taken(message, listed, isSpared, delivery.renews);
        } else if (restamps++ < MAX_RESTAMPS) this.#order = Math.max(this.#order, delivery.by);
        else throw new Error("the directory holds a later order, again and again");
      } catch (failure) {
        return this.#failed(update.since, failure);
      }
    }
  }

  /** A shard has taken the message. `about` is the session that it was about. */
  #taken(
    message: DirectoryMessage,
    about: Listed | undefined,
    isSpared: boolean,
    renews = false,
  ): void {
    const { alarm, directory } = this.#parts;
    const listed = this.#listed;
    if (message.op === "remove") {
      // If the session was made again meanwhile, the row of the end stays until the new message overwrites it.
      if (!listed) this.#clear();
      return;
    }
    // The session ended meanwhile: the row says so, and the next message will.
    if (!listed) return;
    const { entry, order } = message;
    const ttlMs = about?.session.ttlMs ?? 0;
    // A shard of an older version has taken the entry alone.
    const kept = renews ? keptOf(message) : { entry };
    const told: Told = { kind: "told", ...kept, ttlMs, order, shards: directory?.shards ?? 0 };
    if (isSpared) this.#row = told;
    else this.#write(told);
    if (!this.#isAlarmOurs || this.#update()) return;
    this.#isAlarmOurs = false;
    alarm.moveTo(listed.deadline);
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
  #update(): Update | undefined {
    if (!this.#parts.directory) return undefined;
    const row = this.#read();
    if (!this.#listed) {
      if (row?.kind !== "ended") return undefined;
      const { id, at } = row;
      return { message: (order) => ({ op: "remove", id, order }), since: at };
    }
    const { session, deadline, heldAt } = this.#listed;
    const { ttlMs, updatedAt } = session;
    const entry = entryOf(session, deadline);
    const held = heldAt === undefined ? undefined : heldOpen(session, heldAt);
    const put = (entry: DirectoryEntry, renewal?: Renewal) => (order: number) => ({
      ...putOf(entry, ttlMs, renewal),
      order,
    });
    // A shard may have taken the message of a change in between, though its answer was lost. So the outbox sends
    // the entry after each change of owner or type, also after one that makes the session what it was.
    const told = row?.kind === "told" && row.order > movedAt(this.#listed) ? row : undefined;
    const asMade = told ? undefined : entryAsMade(session);
    // A TTL that has grown does not make the shard keep the entry for longer.
    const listedTtlMs = Math.min(told?.ttlMs ?? ttlMs, ttlMs);
    const staleness = stalenessOf(told ?? (asMade && { entry: asMade }), entry, listedTtlMs, held);
    if (asMade && !staleness) return { message: put(asMade), since: updatedAt, isAsMade: true };
    if (!staleness) return undefined;
    // An order is the time of its message.
    const since = staleness === "content" ? updatedAt : (told?.order ?? updatedAt);
    // Not at a use: a client that comes and goes would end the renewal each time.
    const renews = this.#isWoken && held && held.renewal.until > deadline;
    return { message: put(entry, renews ? held.renewal : undefined), since };
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

function movedAt(listed: Listed | undefined): number {
  return listed?.session.movedAt ?? 0;
}

function entryOf(
  { id, type, createdAt, subject }: Listed["session"],
  expiresAt: number,
): DirectoryEntry {
  return { id, type, createdAt, expiresAt, ...(subject !== undefined && { subject }) };
}

/** The entry of a session as it was made; undefined if it has changed since. */
function entryAsMade(session: Listed["session"]): DirectoryEntry | undefined {
  if (session.revision !== 1) return undefined;
  const { createdAt } = session;
  const verdict = expiryVerdict(session, createdAt, createdAt, false);
  return verdict.kind === "live" ? entryOf(session, verdict.until) : undefined;
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
