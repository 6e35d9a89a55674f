/**
 * How much of a log is unread: everything after `taken`, the last event that some reader is known
 * to have taken. One number is enough. Every reader starts at or before it and gets all that
 * follows in order, so a reader that has taken an event has taken everything after its start.
 */
import type { EventLog, SizedEvent } from "./event-log.ts";

/** Once this share of a bound is unread under readers, the object asks their bridges what has been taken. */
const PRESSING_SHARE = 1 / 2;
/**
 * An event with this share of a bound after it may be confirmed soon: what the way to the reader
 * holds is less, unless the reader is slower than what is published.
 */
const HELD_SHARE = 1 / 4;

/** The part of a log that the account needs. */
export type AccountedLog = Pick<
  EventLog,
  "limits" | "lastSeq" | "beforeFirst" | "storedBytes" | "sumThrough"
>;

export class Unread {
  readonly #log: AccountedLog;
  #taken: number;
  /** The log's running sum up to `start`, and for which start that is. */
  #sum: { readonly through: number; readonly bytes: number } | undefined;

  constructor(log: AccountedLog, taken: number) {
    this.#log = log;
    this.#taken = taken;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Counts everything up to `seq` as taken. Returns whether that is news. */
  take(seq: number): boolean {
    if (seq <= this.#taken) return false;
    this.#taken = seq;
    return true;
  }

  /** Where a reader without an id starts: just before the first event that is unread and retained. */
  get start(): number {
    return Math.max(this.#taken, this.#log.beforeFirst);
  }

  /** Whether events were trimmed that nobody is known to have taken. */
  get isTrimmed(): boolean {
    return this.#taken < this.#log.beforeFirst;
  }

  /** Unread events that are retained. */
  get count(): number {
    return this.#log.lastSeq - this.start;
  }

  /** Whether the log can take these events without trimming an unread one. */
  hasRoomFor(events: readonly SizedEvent[]): boolean {
    const { logMaxEvents, logMaxBytes } = this.#log.limits;
    const count = this.count + events.length;
    if (count > logMaxEvents) return false;
    const bytes = events.reduce((sum, event) => sum + event.bytes, 0);
    // No row need be read while all that is stored is within the bound.
    if (this.#log.storedBytes + bytes <= logMaxBytes) return true;
    // A single event always has room: the log retains at least its last one.
    return count === 1 || this.#bytes + bytes <= logMaxBytes;
  }

  /** Whether so much is unread that publishing may soon have to stop. */
  get isPressing(): boolean {
    const { logMaxEvents, logMaxBytes } = this.#log.limits;
    if (this.count > logMaxEvents * PRESSING_SHARE) return true;
    const mayPress = this.#log.storedBytes > logMaxBytes * PRESSING_SHARE;
    return mayPress && this.#bytes > logMaxBytes * PRESSING_SHARE;
  }

  /** The newest unread event that has so much after it that it may be confirmed soon. */
  get settledSoon(): number | undefined {
    const { lastSeq, limits } = this.#log;
    const held = limits.logMaxBytes * HELD_SHARE;
    let settled = Math.max(this.start, lastSeq - Math.ceil(limits.logMaxEvents * HELD_SHARE));
    let after = this.#log.storedBytes < held ? settled + 1 : lastSeq;
    // A binary search, which reads one row a step.
    while (after - settled > 1) {
      const middle = Math.floor((settled + after) / 2);
      if (this.#bytesAfter(middle) >= held) settled = middle;
      else after = middle;
    }
    return settled > this.start ? settled : undefined;
  }

  #bytesAfter(seq: number): number {
    return this.#log.sumThrough(this.#log.lastSeq) - this.#log.sumThrough(seq);
  }

  /** Bytes of the unread events that are retained. */
  get #bytes(): number {
    const { start } = this;
    if (this.#sum?.through !== start) {
      this.#sum = { through: start, bytes: this.#log.sumThrough(start) };
    }
    return this.#log.sumThrough(this.#log.lastSeq) - this.#sum.bytes;
  }
}
