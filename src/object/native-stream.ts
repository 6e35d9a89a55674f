/**
 * The session's own stream: what `/v1` publishes to and follows. Sends what the
 * log holds to the writers, live or page by page, and keeps account of what
 * still waits for a first reader.
 */
import { NATIVE_STREAM } from "../session/event-id.ts";
import type { StreamStart } from "../session/host.ts";
import { CLOSE_CODES } from "../session/stream-protocol.ts";
import { concat } from "../session/concat.ts";
import type { EventLog, LoggedEvent, SizedEvent } from "./event-log.ts";
import type { RecordStore, StoredChannel } from "./record.ts";
import { gapFrame, openStream } from "./stream-start.ts";
import type { Writers } from "./writers.ts";

/** A session's stream as its object holds it in memory. */
export interface StreamState {
  channel: StoredChannel;
  readonly log: EventLog;
}

const encoder = new TextEncoder();

export class NativeStream {
  readonly #writers: Writers;
  readonly #records: RecordStore;

  constructor(writers: Writers, records: RecordStore) {
    this.#writers = writers;
    this.#records = records;
  }

  get writers(): number {
    return this.#writers.count(NATIVE_STREAM);
  }

  /** Appends events, all or none. They are sent by `send`, in the same turn. */
  store(log: EventLog, events: readonly SizedEvent[]): LoggedEvent[] {
    return log.append(NATIVE_STREAM, events, !this.#writers.hasLive(NATIVE_STREAM));
  }

  /** Sends the newest events of the log. Returns how many writers get them: one that is behind does when it asks for the page. */
  send(log: EventLog, logged: readonly LoggedEvent[]): number {
    const [first] = logged;
    if (!first) return 0;
    const frames = logged.map(({ frame }) => frame);
    const bytes = frames.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (frames.length === 1 || bytes <= log.pageBytes) {
      this.#writers.broadcast(NATIVE_STREAM, concat(frames));
      return this.writers;
    }
    // A burst larger than a page would pass the bridge's bound before even a fast reader could take it.
    for (const socket of this.#writers.fallBehind(NATIVE_STREAM, first.seq - 1)) {
      this.#sendFirstPage(log, socket);
    }
    return this.writers;
  }

  attach(state: StreamState, socket: WebSocket, start: StreamStart): void {
    const { log, channel } = state;
    const { preamble, position } = openStream(log, start, this.#writers.claimed, Math.random());
    // Whoever comes back with an id has lived on after it.
    if (start.kind === "after") this.#drain(state, position);
    this.#writers.attach(socket, NATIVE_STREAM, position);
    if (channel.disconnected) this.#save(state, { disconnected: false });
    this.#writers.send(socket, encoder.encode(preamble));
    this.sendPage(log, socket);
  }

  /** The events are stored, so their publisher is not told of a page that cannot be read: the reader is cut, and comes back for it. */
  #sendFirstPage(log: EventLog, socket: WebSocket): void {
    try {
      this.sendPage(log, socket);
    } catch {
      this.#writers.close(socket, CLOSE_CODES.unreadable);
    }
  }

  /** Sends the next page to a writer that is behind. */
  sendPage(log: EventLog, socket: WebSocket): void {
    const behindAt = this.#writers.state(socket)?.behindAt;
    if (behindAt === undefined) return;
    if (behindAt < log.beforeFirst) {
      // The log was trimmed past a reader that is slow to ask for its pages.
      const requested = log.idOf(behindAt, NATIVE_STREAM);
      this.#writers.send(socket, encoder.encode(gapFrame(log, requested)));
    }
    const page = log.page(NATIVE_STREAM, behindAt);
    this.#writers.sendPage(socket, page);
    if (log.queuedThrough(page.through)) this.#writers.claim(socket, page.through);
  }

  /** A writer's reader has taken the queued events that it was sent, and lived on. */
  taken(state: StreamState, socket: WebSocket): void {
    const seq = this.#writers.settle(socket);
    if (seq !== undefined) this.#drain(state, seq);
  }

  /** Publishing is refused until a writer attaches. */
  disconnect(state: StreamState): void {
    if (!state.channel.disconnected) this.#save(state, { disconnected: true });
  }

  #drain(state: StreamState, seq: number): void {
    if (state.log.drain(seq)) this.#save(state, { drainedSeq: seq });
  }

  #save(state: StreamState, change: Partial<StoredChannel>): void {
    state.channel = { ...state.channel, ...change };
    this.#records.saveChannel(state.channel);
  }
}
