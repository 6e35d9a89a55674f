/**
 * A bounded log of a session's events, in SQLite, with one row for each event. A row also carries
 * the running sum of sizes and what readers had taken by then, so that an append writes no counters
 * beside it.
 *
 * Retention is exact (`logMaxEvents`, `logMaxBytes`) although rows are deleted in batches: `first`
 * moves with every append, and the rows before it are invisible until a batch is full.
 */
import { formatEventId, resumeVerdict, type ResumeVerdict } from "../core/event-id.ts";
import type { NewEvent } from "../core/host.ts";
import { REPLAY_PAGE_BYTES } from "../core/limits.ts";
import { utf8Length } from "../wire/bytes.ts";
import { encodeFrame, MESSAGE_EVENT } from "../wire/sse-frame.ts";
import { statementsOn, type LogTable } from "./log-statements.ts";
import { MessageParts } from "./message-parts.ts";

/** Rows are deleted once this share of a bound (count or bytes) lies behind `first`. */
const TRIM_SHARE = 8;

export interface EventLogLimits {
  readonly logMaxEvents: number;
  readonly logMaxBytes: number;
  readonly streamBufferBytes: number;
}

/** An event with what is stored beside it, and no reader gets. */
export interface EventWithAside extends NewEvent {
  readonly aside?: string | undefined;
}

/** `bytes`: the event's size in UTF-8. */
export interface SizedEvent extends EventWithAside {
  readonly bytes: number;
}

export interface LoggedEvent {
  /** This is the frame that ends a stream, and no event of a publisher. */
  readonly isEnd?: true;
  readonly seq: number;
  /** The event as an SSE frame, in UTF-8. */
  readonly frame: Uint8Array;
}

export interface LogPage {
  readonly frames: readonly Uint8Array[];
  /** The last seq that this page covers. */
  readonly through: number;
  /** Whether the reader is live with this page. */
  readonly complete: boolean;
}

/** Of an event, or of its row. A message's aside has another name, and does not count. */
interface EventTexts {
  readonly event?: string | null | undefined;
  readonly data: string;
  readonly aside?: string | null | undefined;
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
  readonly limits: EventLogLimits;
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #epoch: string;
  readonly #onDelete: (first: number) => void;
  readonly #statements: ReturnType<typeof statementsOn>;
  /** The name of a frame whose event has none. Nothing stores it, so that older rows get it too. */
  readonly #defaultName: string | undefined;
  /** Only a message has parts: an event of `/v1` fits a row, and its data may be empty. */
  readonly #parts: MessageParts | undefined;
  #hasTable = false;
  /** Tables of an earlier version lack the column. */
  #hasAsides = false;
  /** Oldest row still stored. */
  #firstStored = 1;
  /** Oldest event retained. */
  #first = 1;
  #last = 0;
  /** Running sum of sizes before `#firstStored`, before `#first` and up to `#last`. */
  #sumBeforeStored = 0;
  /** Undefined until it is asked for: most appends move `first` and do not need it. */
  #sumBeforeFirst: number | undefined = 0;
  #sum = 0;
  #unreadFrom = 0;

  /**
   * `onDelete` is called in the transaction that deletes all events before `first`. The log of a
   * session that has just been made, `isNew`, is empty without a look.
   */
  constructor(
    storage: DurableObjectStorage,
    table: LogTable,
    limits: EventLogLimits,
    epoch: string,
    onDelete: (first: number) => void = () => {},
    isNew = false,
  ) {
    this.#onDelete = onDelete;
    this.limits = limits;
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#epoch = epoch;
    this.#statements = statementsOn(table);
    this.#defaultName = table === "messages" ? MESSAGE_EVENT : undefined;
    this.#parts = table === "messages" ? new MessageParts(storage.sql) : undefined;
    if (!isNew) this.#load();
  }

  get lastSeq(): number {
    return this.#last;
  }

  /** The seq just before the first retained event: a replay of everything starts there. */
  get beforeFirst(): number {
    return this.#first - 1;
  }

  /** Bytes of all events that are stored, retained or not. */
  get storedBytes(): number {
    return this.#sum - this.#sumBeforeStored;
  }

  /** The last event that readers were known to have taken when the newest one was stored. */
  get takenAsStored(): number {
    // 0 is of an earlier version: every event up to this one had been sent.
    return this.#unreadFrom > 0 ? this.#unreadFrom - 1 : this.#last;
  }

  /** The seq just before the first retained event of a stream; the last one if it has none yet. */
  beforeStream(stream: number): number {
    if (!this.#hasTable) return this.#last;
    const { first } = this.#sql
      .exec<{ first: number | null }>(this.#statements.firstOfStream, stream, this.#first)
      .one();
    return first === null ? this.#last : first - 1;
  }

  idOf(seq: number, stream: number): string {
    return formatEventId({ epoch: this.#epoch, seq, stream });
  }

  /**
   * Whether a client that saw this id can be given every later event. `last` is the newest place
   * that a client can have seen.
   */
  resume(lastEventId: string, last = this.#last): ResumeVerdict {
    return resumeVerdict(lastEventId, { epoch: this.#epoch, first: this.#first, last });
  }

  /** Running sum of sizes up to and with `seq`. */
  sumThrough(seq: number): number {
    if (seq < this.#firstStored) return this.#sumBeforeStored;
    if (seq === this.#last) return this.#sum;
    return this.#sql.exec<{ bytes_sum: number }>(this.#statements.sumThrough, seq).one().bytes_sum;
  }

  /**
   * Appends events, all or none, and returns them with their seqs. `unreadFrom` is the first event
   * that no reader is known to have taken; 0 in a log that keeps no such account.
   */
  append(stream: number, events: readonly SizedEvent[], unreadFrom = 0): LoggedEvent[] {
    try {
      return this.#storage.transactionSync(() => {
        if (!this.#hasTable) {
          this.#sql.exec(this.#statements.create);
          this.#hasAsides = true;
        }
        this.#hasTable = true;
        this.#unreadFrom = unreadFrom;
        const logged = events.map((event) => this.#insert(stream, event));
        this.#retain();
        return logged;
      });
    } catch (failure) {
      // The counts in memory include what was not stored.
      this.#load();
      throw failure;
    }
  }

  /**
   * Bytes that a reader is sent at once: a quarter of what the bridge may queue at most. An event of
   * more is a page of its own, and the next one waits until it has been taken. Sent as they come, a
   * few large events would cut a reader before it could take the first.
   */
  get pageBytes(): number {
    return Math.min(REPLAY_PAGE_BYTES, this.limits.streamBufferBytes / 4);
  }

  /** One page of a stream's retained events after `seq`: up to `pageBytes` of frames, at least one event. */
  page(stream: number, seq: number): LogPage {
    const frames: Uint8Array[] = [];
    let bytes = 0;
    let through = Math.max(seq, this.#first - 1);
    for (const row of this.after(stream, through)) {
      const frame = this.#frame(row.seq, stream, row.event, row.data);
      if (frames.length > 0 && bytes + frame.byteLength > this.pageBytes) {
        return { frames, through, complete: false };
      }
      frames.push(frame);
      bytes += frame.byteLength;
      through = row.seq;
    }
    return { frames, through: this.#last, complete: bytes <= this.pageBytes };
  }

  /** A stream's retained events after `seq`. A row is read when it is taken. */
  *after(stream: number, seq: number): Iterable<EventRow> {
    if (!this.#hasTable) return;
    const from = Math.max(seq, this.#first - 1);
    yield* this.#sql.exec<EventRow>(this.#statements.after, from, stream);
  }

  /** The data of a stream's retained events after `seq`. */
  *texts(stream: number, seq: number): Iterable<string> {
    for (const row of this.after(stream, seq)) {
      yield this.#parts?.read(row.seq, row.data) ?? row.data;
    }
  }

  /** The newest aside of a stream: the text that is stored beside one of its events after `seq`. */
  aside(stream: number, seq = 0): string | undefined {
    if (!this.#hasAsides) return undefined;
    const rows = this.#sql.exec<{ aside: string }>(this.#statements.aside, stream, seq);
    return rows.toArray()[0]?.aside;
  }

  /** Stores an aside with the newest event, which may be this stream's, in place of the one that it has. */
  changeAside(stream: number, aside: string): void {
    const before = this.aside(stream, this.#last - 1) ?? "";
    const sum = this.#sum + utf8Length(aside) - utf8Length(before);
    this.#addAsides();
    this.#sql.exec(this.#statements.changeAside, aside, sum, this.#last);
    this.#sum = sum;
  }

  #insert(stream: number, { event: name, data, bytes, aside }: SizedEvent): LoggedEvent {
    const event = name ?? null;
    const seq = this.#last + 1;
    const sum = this.#sum + bytes;
    const row = this.#parts?.store(seq, data, bytes) ?? data;
    const values = [seq, stream, sum, this.#unreadFrom, event, row] as const;
    if (aside === undefined) this.#sql.exec(this.#statements.insert, ...values);
    else {
      this.#addAsides();
      this.#sql.exec(this.#statements.insertAside, ...values, aside);
    }
    this.#last = seq;
    this.#sum = sum;
    return { seq, frame: this.#frame(seq, stream, event, data) };
  }

  #addAsides(): void {
    if (!this.#hasAsides) this.#sql.exec(this.#statements.addAside);
    this.#hasAsides = true;
  }

  #frame(seq: number, stream: number, name: string | null, row: string): Uint8Array {
    const id = this.idOf(seq, stream);
    const event = name ?? this.#defaultName;
    const data = this.#parts?.read(seq, row) ?? row;
    return encoder.encode(encodeFrame({ id, event, data }));
  }

  /** Moves `first` to what the bounds allow, and deletes rows once enough lie behind it. */
  #retain(): void {
    const { logMaxEvents, logMaxBytes } = this.limits;
    const byCount = this.#last - logMaxEvents + 1;
    if (byCount > this.#first) {
      this.#first = byCount;
      this.#sumBeforeFirst = undefined;
    }
    // While all that is stored is within the bound, no sum has to be read.
    const mayBeOver = this.#sum - this.#sumBeforeStored > logMaxBytes;
    if (mayBeOver) {
      while (this.#first < this.#last && this.#sum - this.#goneBytes > logMaxBytes) {
        this.#sumBeforeFirst = this.sumThrough(this.#first++);
      }
    }
    const deadRows = this.#first - this.#firstStored;
    const deadBytes = mayBeOver ? this.#goneBytes - this.#sumBeforeStored : 0;
    if (deadRows * TRIM_SHARE < logMaxEvents && deadBytes * TRIM_SHARE < logMaxBytes) return;
    if (deadRows === 0) return;
    this.#sumBeforeStored = this.#goneBytes;
    this.#sql.exec(this.#statements.deleteBefore, this.#first);
    this.#parts?.deleteBefore(this.#first);
    this.#onDelete(this.#first);
    this.#firstStored = this.#first;
  }

  /** Running sum of sizes before `first`. */
  get #goneBytes(): number {
    return (this.#sumBeforeFirst ??= this.sumThrough(this.#first - 1));
  }

  #load(): void {
    const [found] = this.#sql.exec<{ sql: string }>(this.#statements.exists).toArray();
    this.#hasTable = found !== undefined;
    this.#hasAsides = found?.sql.includes(this.#statements.asideColumn) ?? false;
    const [last] = this.#hasTable ? this.#sql.exec<EventRow>(this.#statements.last) : [];
    const [oldest] = this.#hasTable ? this.#sql.exec<EventRow>(this.#statements.oldest) : [];
    this.#last = last?.seq ?? 0;
    this.#sum = last?.bytes_sum ?? 0;
    this.#unreadFrom = last?.queue_from ?? 0;
    this.#firstStored = this.#first = oldest?.seq ?? 1;
    this.#sumBeforeStored = this.#sumBeforeFirst = oldest
      ? oldest.bytes_sum - this.#bytesOf(oldest)
      : 0;
    if (last) this.#retain();
  }

  #bytesOf(row: EventRow): number {
    return this.#parts?.bytesOf(row.seq, row.data) ?? sizeOf(row);
  }
}

export function sized(event: EventWithAside): SizedEvent {
  return { ...event, bytes: sizeOf(event) };
}

function sizeOf({ event, data, aside }: EventTexts): number {
  return utf8Length(data) + utf8Length(event ?? "") + utf8Length(aside ?? "");
}
