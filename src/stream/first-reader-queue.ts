/**
 * Which events of `/v1` wait for a first reader, since no reader is known to have taken them. They
 * reach from one event to the end of the log, and the next reader gets all of that.
 */
import { NATIVE_STREAM } from "../core/event-id.ts";
import type { EventLog, LoggedEvent, SizedEvent } from "./event-log.ts";

export class FirstReaderQueue {
  readonly #log: EventLog;
  /** The first event that waits; 0 where none does. */
  #from: number;
  /** The last event that waits. After a load it is the end of the log. */
  #through: number;
  /** The log's running sum before `#from`; undefined until it is asked for. */
  #sumBefore: number | undefined;

  /** `drainedSeq` is the last event that a reader is known to have read. */
  constructor(log: EventLog, drainedSeq: number) {
    this.#log = log;
    const waits = log.queueFrom > 0 && drainedSeq < log.lastSeq;
    this.#from = waits ? Math.max(log.queueFrom, drainedSeq + 1) : 0;
    this.#through = log.lastSeq;
  }

  /** Where a first reader starts: just before the queue, or at the end where nothing waits. */
  get start(): number {
    return this.#retained() > 0 ? this.#from - 1 : this.#log.lastSeq;
  }

  /** Whether some of the events up to `seq` wait. */
  includes(seq: number): boolean {
    return this.#retained() > 0 && seq >= this.#from;
  }

  /** Whether `events` still fit while nobody reads: what waits is never dropped to make room. */
  hasRoomFor(events: readonly SizedEvent[], capacity: number): boolean {
    const { lastSeq, limits } = this.#log;
    const from = this.#retained();
    const count = events.length + (from > 0 ? lastSeq - from + 1 : 0);
    if (count > Math.min(capacity, limits.logMaxEvents)) return false;
    const bytes = events.reduce((sum, event) => sum + event.bytes, from > 0 ? this.#bytes() : 0);
    // A single event always has room: the log retains at least its last one.
    return count === 1 || bytes <= limits.logMaxBytes;
  }

  /** Appends events to the log. They join the queue where no reader is there to be sent them. */
  append(events: readonly SizedEvent[], readerThere: boolean): LoggedEvent[] {
    const next = this.#log.lastSeq + 1;
    const begins = this.#retained() === 0 && !readerThere;
    const logged = this.#log.append(NATIVE_STREAM, events, begins ? next : this.#from);
    if (begins) this.#begin(next);
    if (!readerThere) this.#through = this.#log.lastSeq;
    return logged;
  }

  /** The queue up to `seq` has been read. */
  drain(seq: number): void {
    this.#begin(seq < this.#through ? seq + 1 : 0);
  }

  #begin(from: number): void {
    this.#from = from;
    this.#sumBefore = undefined;
  }

  /** The first event that waits and is retained: with a slow reader the log may trim the queue. */
  #retained(): number {
    const { beforeFirst } = this.#log;
    if (this.#from > 0 && this.#from <= beforeFirst)
      this.#begin(beforeFirst < this.#through ? beforeFirst + 1 : 0);
    return this.#from;
  }

  #bytes(): number {
    this.#sumBefore ??= this.#log.sumThrough(this.#from - 1);
    return this.#log.sumThrough(this.#log.lastSeq) - this.#sumBefore;
  }
}
