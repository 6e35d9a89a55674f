/**
 * A bounded log of a session's events, in SQLite. Every event is appended
 * before it is sent, one row each. What would otherwise be counters written
 * beside it is carried in the rows: a running sum of sizes, and where the queue
 * of undelivered events begins.
 *
 * Retention is exact (`logMaxEvents`, `logMaxBytes`) although rows are deleted in
 * batches: `first` moves with every append, and the rows before it, invisible
 * already, go once there are enough of them.
 */
import {
  formatEventId,
  NATIVE_STREAM,
  resumeVerdict,
  type ResumeVerdict,
} from "../core/event-id.ts";
import type { NewEvent } from "../core/host.ts";
import { REPLAY_PAGE_BYTES } from "../core/limits.ts";
import { encodeFrame } from "../wire/sse-frame.ts";

/** Rows are deleted once this share of a bound (count or bytes) lies behind `first`. */
const TRIM_SHARE = 8;

/**
 * The tables of the logs. What `/v1` publishes and what the gateway carries are kept
 * apart, each within the bounds by itself, so that neither can push the other out.
 */
export type LogTable = "events" | "messages";

/** Written out once, so that SQLite finds each statement prepared. */
function statementsOn(table: LogTable) {
  return {
    exists: `SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '${table}'`,
    create: `CREATE TABLE IF NOT EXISTS ${table} (
      seq INTEGER PRIMARY KEY,
      stream INTEGER NOT NULL,
      bytes_sum INTEGER NOT NULL,
      queue_from INTEGER NOT NULL,
      event TEXT,
      data TEXT NOT NULL
    )`,
    insert: `INSERT INTO ${table} (seq, stream, bytes_sum, queue_from, event, data) VALUES (?, ?, ?, ?, ?, ?)`,
    deleteBefore: `DELETE FROM ${table} WHERE seq < ?`,
    firstOfStream: `SELECT min(seq) AS first FROM ${table} WHERE stream = ? AND seq >= ?`,
    after: `SELECT seq, bytes_sum, queue_from, event, data FROM ${table} WHERE seq > ? AND stream = ? ORDER BY seq`,
    sumThrough: `SELECT bytes_sum FROM ${table} WHERE seq = ?`,
    countQueued: `SELECT count(*) AS count FROM ${table} WHERE seq BETWEEN ? AND ? AND stream = ?`,
    last: `SELECT * FROM ${table} ORDER BY seq DESC LIMIT 1`,
    oldest: `SELECT * FROM ${table} ORDER BY seq LIMIT 1`,
  };
}

export interface EventLogLimits {
  readonly logMaxEvents: number;
  readonly logMaxBytes: number;
  readonly streamBufferBytes: number;
}

/** An event to be logged, with what it counts against the log's byte bound: its name and data in UTF-8. */
export interface SizedEvent extends NewEvent {
  readonly bytes: number;
}

export interface LoggedEvent {
  readonly seq: number;
  /** The event as an SSE frame, in UTF-8. */
  readonly frame: Uint8Array;
}

export interface LogPage {
  readonly frames: readonly Uint8Array[];
  /** The last seq that this page covers. */
  readonly through: number;
  /** Whether the page reaches the end of the log. */
  readonly complete: boolean;
}

type EventRow = {
  seq: number;
  bytes_sum: number;
  queue_from: number;
  event: string | null;
  data: string;
};

const encoder = new TextEncoder();

export class EventLog {
  readonly #sql: SqlStorage;
  readonly #limits: EventLogLimits;
  readonly #epoch: string;
  readonly #statements: ReturnType<typeof statementsOn>;
  #tableExists: boolean;
  /** Oldest row still stored. */
  #firstStored = 1;
  /** Oldest event retained. */
  #first = 1;
  #last = 0;
  /** Running sum of sizes before `#firstStored`, before `#first` and up to `#last`. */
  #sumBeforeStored = 0;
  /** Undefined until it is asked for: most appends move `first` and need it not. */
  #sumBeforeFirst: number | undefined;
  #sum = 0;
  /** First event that no reader was sent; 0 where there is none. */
  #queueFrom = 0;
  /** Last such event. After a load the end of the log stands in for it. */
  #queueThrough = 0;
  #queueCount = 0;
  #sumBeforeQueue = 0;

  /** Opens a log of the session with this epoch. `drainedSeq` is what the record knows of the queue. */
  constructor(
    sql: SqlStorage,
    table: LogTable,
    limits: EventLogLimits,
    epoch: string,
    drainedSeq: number,
  ) {
    this.#sql = sql;
    this.#limits = limits;
    this.#epoch = epoch;
    this.#statements = statementsOn(table);
    this.#tableExists = sql.exec(this.#statements.exists).toArray().length > 0;
    if (this.#tableExists) this.#load(drainedSeq);
  }

  get lastSeq(): number {
    return this.#last;
  }

  /** The seq of the last event before those that are retained: where a replay of all starts. */
  get beforeFirst(): number {
    return this.#first - 1;
  }

  /** Where a first reader starts: just before the queue, or at the end where nothing is queued. */
  get beforeQueue(): number {
    return this.#queueFrom > 0 ? this.#queueFrom - 1 : this.#last;
  }

  /** The seq just before the first retained event of a stream; the last one where it has none yet. */
  beforeStream(stream: number): number {
    if (!this.#tableExists) return this.#last;
    const { first } = this.#sql
      .exec<{ first: number | null }>(this.#statements.firstOfStream, stream, this.#first)
      .one();
    return first === null ? this.#last : first - 1;
  }

  get queueCount(): number {
    return this.#queueCount;
  }

  idOf(seq: number, stream: number): string {
    return formatEventId({ epoch: this.#epoch, seq, stream });
  }

  /** Whether a client that saw this id can be given every later event. */
  resume(lastEventId: string): ResumeVerdict {
    return resumeVerdict(lastEventId, { epoch: this.#epoch, first: this.#first, last: this.#last });
  }

  /** Whether `events` still fit, when nobody reads: what is queued is never dropped to make room. */
  queueHasRoomFor(events: readonly SizedEvent[], capacity: number): boolean {
    const count = this.#queueCount + events.length;
    if (count > Math.min(capacity, this.#limits.logMaxEvents)) return false;
    const queued = this.#queueFrom > 0 ? this.#sum - this.#sumBeforeQueue : 0;
    const bytes = events.reduce((sum, { bytes: size }) => sum + size, queued);
    // A single event always has room: the log retains at least its last one.
    return count === 1 || bytes <= this.#limits.logMaxBytes;
  }

  /**
   * Appends events, all or none, and returns them with their seqs. `queued`
   * says that no reader is there to be sent them.
   */
  append(stream: number, events: readonly SizedEvent[], queued: boolean): LoggedEvent[] {
    if (!this.#tableExists) {
      this.#sql.exec(this.#statements.create);
      this.#tableExists = true;
    }
    const logged = events.map((event) => this.#insert(stream, event, queued));
    this.#retain();
    return logged;
  }

  /** Whether events up to `seq` include some that wait for a first reader. */
  queuedThrough(seq: number): boolean {
    return this.#queueFrom > 0 && seq >= this.#queueFrom;
  }

  /** The queue up to `seq` has been read. Returns whether that is news to be stored. */
  drain(seq: number): boolean {
    if (this.#queueFrom === 0 || seq < this.#queueFrom) return false;
    if (seq >= this.#queueThrough) {
      this.#queueFrom = 0;
      this.#queueCount = 0;
    } else {
      this.#queueFrom = seq + 1;
      this.#sumBeforeQueue = this.#sumThrough(seq);
      this.#queueCount = this.#countQueued();
    }
    return true;
  }

  /** A quarter of what the bridge may queue at most, so that a page never passes its bound. */
  get pageBytes(): number {
    return Math.min(REPLAY_PAGE_BYTES, this.#limits.streamBufferBytes / 4);
  }

  /** One page of a stream's retained events after `seq`: up to `pageBytes` of frames, at least one event. */
  page(stream: number, seq: number): LogPage {
    const frames: Uint8Array[] = [];
    let bytes = 0;
    let through = Math.max(seq, this.#first - 1);
    if (this.#tableExists) {
      const rows = this.#sql.exec<EventRow>(this.#statements.after, through, stream);
      for (const row of rows) {
        const frame = this.#frame(row.seq, stream, row.event, row.data);
        if (frames.length > 0 && bytes + frame.byteLength > this.pageBytes) {
          return { frames, through, complete: false };
        }
        frames.push(frame);
        bytes += frame.byteLength;
        through = row.seq;
      }
    }
    return { frames, through: this.#last, complete: true };
  }

  #insert(stream: number, event: SizedEvent, queued: boolean): LoggedEvent {
    const seq = this.#last + 1;
    const frame = this.#frame(seq, stream, event.event ?? null, event.data);
    if (queued && stream === NATIVE_STREAM) {
      if (this.#queueFrom === 0) {
        this.#queueFrom = seq;
        this.#sumBeforeQueue = this.#sum;
      }
      this.#queueThrough = seq;
      this.#queueCount++;
    }
    this.#sum += event.bytes;
    this.#sql.exec(
      this.#statements.insert,
      seq,
      stream,
      this.#sum,
      this.#queueFrom,
      event.event ?? null,
      event.data,
    );
    this.#last = seq;
    return { seq, frame };
  }

  #frame(seq: number, stream: number, event: string | null, data: string): Uint8Array {
    return encoder.encode(
      encodeFrame({ id: this.idOf(seq, stream), event: event ?? undefined, data }),
    );
  }

  /** Moves `first` to what the bounds allow, and deletes rows once enough lie behind it. */
  #retain(): void {
    const { logMaxEvents, logMaxBytes } = this.#limits;
    const byCount = this.#last - logMaxEvents + 1;
    if (byCount > this.#first) this.#moveFirst(byCount);
    // Where all that is stored is within the bound, so is what is retained, and no sum need be read.
    const mayBeOver = this.#sum - this.#sumBeforeStored > logMaxBytes;
    if (mayBeOver) {
      while (this.#first < this.#last && this.#sum - this.#goneBytes > logMaxBytes) {
        this.#moveFirst(this.#first + 1);
      }
    }
    const deadRows = this.#first - this.#firstStored;
    const deadBytes = mayBeOver ? this.#goneBytes - this.#sumBeforeStored : 0;
    if (deadRows * TRIM_SHARE < logMaxEvents && deadBytes * TRIM_SHARE < logMaxBytes) return;
    if (deadRows === 0) return;
    this.#sumBeforeStored = this.#goneBytes;
    this.#sql.exec(this.#statements.deleteBefore, this.#first);
    this.#firstStored = this.#first;
  }

  #moveFirst(first: number): void {
    this.#first = first;
    this.#sumBeforeFirst = undefined;
    if (this.#queueFrom > 0 && this.#queueThrough < first) {
      this.#queueFrom = 0;
      this.#queueCount = 0;
    } else if (this.#queueFrom > 0 && this.#queueFrom < first) {
      // A reader was attached and did not keep up; without one the queue is never overrun.
      this.#queueFrom = first;
      this.#sumBeforeQueue = this.#goneBytes;
      this.#queueCount = this.#countQueued();
    }
  }

  /** Running sum of sizes before `first`. */
  get #goneBytes(): number {
    return (this.#sumBeforeFirst ??= this.#sumThrough(this.#first - 1));
  }

  /** Running sum of sizes up to and with `seq`. */
  #sumThrough(seq: number): number {
    if (seq < this.#firstStored) return this.#sumBeforeStored;
    return this.#sql.exec<{ bytes_sum: number }>(this.#statements.sumThrough, seq).one().bytes_sum;
  }

  #countQueued(): number {
    return this.#sql
      .exec<{ count: number }>(
        this.#statements.countQueued,
        this.#queueFrom,
        this.#queueThrough,
        NATIVE_STREAM,
      )
      .one().count;
  }

  #load(drainedSeq: number): void {
    const [last] = this.#sql.exec<EventRow>(this.#statements.last);
    const [oldest] = this.#sql.exec<EventRow>(this.#statements.oldest);
    if (!last || !oldest) return;
    this.#last = last.seq;
    this.#sum = last.bytes_sum;
    this.#firstStored = this.#first = oldest.seq;
    this.#sumBeforeStored = this.#sumBeforeFirst =
      oldest.bytes_sum -
      sizeOf({ data: oldest.data, ...(oldest.event !== null && { event: oldest.event }) });
    if (last.queue_from > 0 && drainedSeq < this.#last) {
      this.#queueThrough = this.#last;
      this.#queueFrom = Math.max(last.queue_from, drainedSeq + 1, this.#firstStored);
      this.#sumBeforeQueue = this.#sumThrough(this.#queueFrom - 1);
      this.#queueCount = this.#countQueued();
    }
    this.#retain();
  }
}

export function sized(event: NewEvent): SizedEvent {
  return { ...event, bytes: sizeOf(event) };
}

function sizeOf(event: NewEvent): number {
  return utf8Length(event.data) + (event.event === undefined ? 0 : utf8Length(event.event));
}

function utf8Length(text: string): number {
  return encoder.encode(text).byteLength;
}
