/**
 * The session's own stream: what `/v1` publishes to and follows. Sends what the
 * log holds to the writers, live or page by page, and keeps account of what
 * still waits for a first reader.
 */
import { NATIVE_STREAM } from "../core/event-id.ts";
import type { StreamStart } from "../core/host.ts";
import { CLOSE_CODES } from "./protocol.ts";
import { concat } from "../wire/bytes.ts";
import type { EventLog, LoggedEvent, SizedEvent } from "./event-log.ts";
import type { Subscribers } from "./subscribers.ts";
import { RETRY_MS } from "../core/limits.ts";
import { encodeFrame } from "../wire/sse-frame.ts";

/** Where a stream starts in the log, and what it says before its first event. */
export interface Opening {
  /** SSE frames. */
  readonly preamble: string;
  /** The events after this seq follow. */
  readonly position: number;
}

/**
 * `queueClaimed`: another reader is being sent the queue. `spread` is in [0, 1) and
 * spreads out the clients' reconnections.
 */
export function openStream(
  log: EventLog,
  start: StreamStart,
  queueClaimed: boolean,
  spread: number,
): Opening {
  switch (start.kind) {
    case "earliest":
      return opening(log, log.beforeFirst, spread);
    case "queued":
      // The queue is for one first reader; where it is gone before it took it, for the next.
      return opening(log, queueClaimed ? log.lastSeq : log.beforeQueue, spread);
    case "after": {
      const verdict = log.resume(start.lastEventId);
      if (verdict.kind === "gap" || verdict.position.stream !== NATIVE_STREAM)
        return gap(log, start.lastEventId, spread);
      return opening(log, verdict.position.seq, spread);
    }
  }
}

/**
 * `retry`, and the id of the place where the stream starts: a frame without
 * data dispatches nothing and still sets the client's last event id (WHATWG
 * HTML, 9.2.6), so that a client cut before its first event resumes too. The
 * first `retry` is the contract's; the second spreads out clients that are cut
 * together by a deploy.
 */
function opening(log: EventLog, position: number, spread: number): Opening {
  const retry = RETRY_MS + Math.floor(spread * RETRY_MS);
  const id = log.idOf(position, NATIVE_STREAM);
  return { preamble: encodeFrame({ retry: RETRY_MS }) + encodeFrame({ retry, id }), position };
}

/** The client asked for a place that the log cannot give: say so, and start with all that is retained. */
function gap(log: EventLog, requested: string, spread: number): Opening {
  const { preamble, position } = opening(log, log.beforeFirst, spread);
  return { preamble: preamble + gapFrame(log, requested), position };
}

/**
 * Says that events after `requested` are no longer retained; all that is follows.
 * Its id is the place before that, so a client that is cut right after it is
 * not told of a second gap.
 */
export function gapFrame(log: EventLog, requested: string): string {
  const position = log.beforeFirst;
  const earliest = log.lastSeq > position ? log.idOf(position + 1, NATIVE_STREAM) : null;
  const data = JSON.stringify({ requested, earliest });
  return encodeFrame({ id: log.idOf(position, NATIVE_STREAM), event: "gap", data });
}

/** A session's stream as its object holds it in memory. */
export interface StreamState {
  channel: StoredChannel;
  readonly log: EventLog;
}

/** Where the session keeps how its stream stands. */
export interface ChannelStore {
  saveChannel(channel: StoredChannel): void;
}

const encoder = new TextEncoder();

export class NativeStream {
  readonly #subscribers: Subscribers;
  readonly #store: ChannelStore;

  constructor(writers: Subscribers, store: ChannelStore) {
    this.#subscribers = writers;
    this.#store = store;
  }

  get writers(): number {
    return this.#subscribers.count(NATIVE_STREAM);
  }

  /** Appends events, all or none. They are sent by `send`, in the same turn. */
  store(log: EventLog, events: readonly SizedEvent[]): LoggedEvent[] {
    return log.append(NATIVE_STREAM, events, !this.#subscribers.hasLive(NATIVE_STREAM));
  }

  /** Sends the newest events of the log. Returns how many writers get them: one that is behind does when it asks for the page. */
  send(log: EventLog, logged: readonly LoggedEvent[]): number {
    const [first] = logged;
    if (!first) return 0;
    const frames = logged.map(({ frame }) => frame);
    const bytes = frames.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (frames.length === 1 || bytes <= log.pageBytes) {
      this.#subscribers.broadcast(NATIVE_STREAM, concat(frames));
      return this.writers;
    }
    // A burst larger than a page would pass the bridge's bound before even a fast reader could take it.
    for (const socket of this.#subscribers.startReplay(NATIVE_STREAM, first.seq - 1)) {
      this.#sendFirstPage(log, socket);
    }
    return this.writers;
  }

  attach(state: StreamState, socket: WebSocket, start: StreamStart): void {
    const { log, channel } = state;
    const { preamble, position } = openStream(
      log,
      start,
      this.#subscribers.isQueueBeingRead,
      Math.random(),
    );
    // Whoever comes back with an id has lived on after it.
    if (start.kind === "after") this.#drain(state, position);
    this.#subscribers.attach(socket, NATIVE_STREAM, position);
    if (channel.disconnected) this.#save(state, { disconnected: false });
    this.#subscribers.send(socket, encoder.encode(preamble));
    this.sendPage(log, socket);
  }

  /** The events are stored, so their publisher is not told of a page that cannot be read: the reader is cut, and comes back for it. */
  #sendFirstPage(log: EventLog, socket: WebSocket): void {
    try {
      this.sendPage(log, socket);
    } catch {
      this.#subscribers.close(socket, CLOSE_CODES.unreadable);
    }
  }

  /** Sends the next page to a writer that is behind. */
  sendPage(log: EventLog, socket: WebSocket): void {
    const behindAt = this.#subscribers.state(socket)?.replayingFrom;
    if (behindAt === undefined) return;
    if (behindAt < log.beforeFirst) {
      // The log was trimmed past a reader that is slow to ask for its pages.
      const requested = log.idOf(behindAt, NATIVE_STREAM);
      this.#subscribers.send(socket, encoder.encode(gapFrame(log, requested)));
    }
    const page = log.page(NATIVE_STREAM, behindAt);
    this.#subscribers.sendPage(socket, page);
    if (log.queuedThrough(page.through)) this.#subscribers.awaitConfirmation(socket, page.through);
  }

  /** A writer's reader has taken the queued events that it was sent, and lived on. */
  taken(state: StreamState, socket: WebSocket): void {
    const seq = this.#subscribers.confirmed(socket);
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
    this.#store.saveChannel(state.channel);
  }
}

/** How the session's own stream stands. */
export interface StoredChannel {
  /** Every queued event up to this seq has been read. */
  readonly drainedSeq: number;
  /** Publishing is refused until a writer attaches. */
  readonly disconnected: boolean;
}

export const FRESH_CHANNEL: StoredChannel = { drainedSeq: 0, disconnected: false };
