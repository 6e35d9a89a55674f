/**
 * The unread part of a log: every event after `taken`, the last event that some reader is known to
 * have taken. One number is enough. Every reader starts at or before it and gets the events in
 * order, so a reader that has taken an event has taken everything between its start and that event.
 */
import type { EventLog, SizedEvent } from "./event-log.ts";

/** Once one part in this many of a bound is unread while readers are attached, the object asks their bridges. */
const PRESSING_SHARE = 4;

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
    if (this.count * PRESSING_SHARE > logMaxEvents) return true;
    const mayPress = this.#log.storedBytes * PRESSING_SHARE > logMaxBytes;
    return mayPress && this.#bytes * PRESSING_SHARE > logMaxBytes;
  }

  get #bytes(): number {
    const { start } = this;
    if (this.#sum?.through !== start) {
      this.#sum = { through: start, bytes: this.#log.sumThrough(start) };
    }
    return this.#log.sumThrough(this.#log.lastSeq) - this.#sum.bytes;
  }
}
