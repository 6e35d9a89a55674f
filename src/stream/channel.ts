/**
 * A log and its subscribers. The events of `/v1` are one channel and the gateway's messages
 * another, each in its own table (`event-channel.ts`, `gateway/object/streams.ts`).
 */
import { concat } from "../wire/bytes.ts";
import { CLOSE_CODES } from "./protocol.ts";
import { EventLog, type EventLogLimits, type LoggedEvent } from "./event-log.ts";
import type { LogTable } from "./log-statements.ts";
import type { Subscribers } from "./subscribers.ts";

export interface ChannelParts {
  readonly storage: DurableObjectStorage;
  readonly subscribers: Subscribers;
  readonly limits: EventLogLimits;
}

const encoder = new TextEncoder();

export abstract class Channel {
  protected readonly storage: DurableObjectStorage;
  protected readonly subscribers: Subscribers;
  readonly #limits: EventLogLimits;
  readonly #table: LogTable;
  readonly #epoch: string;
  readonly #isNew: boolean;
  #log: EventLog | undefined;

  /**
   * `epoch` names the session: another epoch is another session. `isNew` is true when the session is
   * made: nothing of it is stored, so nothing is read.
   */
  constructor(parts: ChannelParts, table: LogTable, epoch: string, isNew = false) {
    this.storage = parts.storage;
    this.subscribers = parts.subscribers;
    this.#limits = parts.limits;
    this.#table = table;
    this.#epoch = epoch;
    this.#isNew = isNew;
  }

  /** The log is opened when it is first needed, so that most calls read no row of it. */
  protected get log(): EventLog {
    return (this.#log ??= new EventLog(
      this.storage,
      this.#table,
      this.#limits,
      this.#epoch,
      (first) => this.deletedBefore(first),
      this.#isNew,
    ));
  }

  /** The log deletes its events before `first`. This is in the same transaction. */
  protected deletedBefore(_first: number): void {}

  /** Takes a socket as a subscriber that is behind at `seq` of its stream, and sends it the preamble. */
  protected subscribe(socket: WebSocket, stream: number, seq: number, preamble: string): void {
    this.subscribers.attach(socket, stream, seq);
    this.subscribers.send(socket, encoder.encode(preamble));
  }

  /** Sends the newest events of the log to the live subscribers of a stream. The others get them with their pages. */
  send(stream: number, logged: readonly LoggedEvent[]): void {
    const [first] = logged;
    if (!first) return;
    const frames = logged.map(({ frame }) => frame);
    const bytes = frames.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (bytes <= this.log.pageBytes) {
      const readers = this.subscribers.broadcast(stream, concat(frames));
      this.sent(logged.filter(({ isEnd }) => !isEnd).length, readers);
      return;
    }
    // More than a page would pass the bridge's bound before even a fast reader could take it.
    for (const socket of this.subscribers.startReplay(stream, first.seq - 1)) {
      try {
        this.sendPage(socket);
      } catch {
        // The events are stored, so the publish must not fail: the reader is cut, and comes back for them.
        this.subscribers.close(socket, CLOSE_CODES.unreadable);
      }
    }
  }

  /** Sends the next page to a subscriber that is behind. With its last page it leaves a stream that has ended. */
  sendPage(socket: WebSocket): void {
    const state = this.subscribers.state(socket);
    if (state?.replayingFrom === undefined) return;
    const page = this.log.page(state.stream, state.replayingFrom);
    this.subscribers.sendPage(socket, page);
    this.sent(page.frames.length, 1);
    if (page.complete && !this.isOpen(state.stream)) this.finish(socket);
  }

  /** So many events have been sent to so many readers. */
  protected sent(_events: number, _readers: number): void {}

  /** The stream has ended: lets its live readers go, and each other reader with its last page. */
  endStream(stream: number): void {
    this.subscribers.closeStream(stream, CLOSE_CODES.finished, true);
  }

  /** Whether more can come on the stream. */
  protected abstract isOpen(stream: number): boolean;

  /** Lets go a subscriber that has been sent the last event of its stream. */
  protected finish(socket: WebSocket): void {
    this.subscribers.close(socket, CLOSE_CODES.finished);
  }
}
