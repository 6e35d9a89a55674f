/** The channel of the events of `/v1`, with the queue of those that wait for a first reader. */
import type { ErrorCode } from "../core/errors.ts";
import { NATIVE_STREAM } from "../core/event-id.ts";
import type { StreamStart } from "../core/host.ts";
import { RETRY_MS } from "../core/limits.ts";
import { encodeFields, encodeFrame } from "../wire/sse-frame.ts";
import { Channel, type ChannelParts } from "./channel.ts";
import type { LoggedEvent, LogPage, SizedEvent } from "./event-log.ts";
import { FirstReaderQueue } from "./first-reader-queue.ts";

/** Where a stream starts in the log, and what it says before its first event. */
interface Opening {
  /** SSE frames. */
  readonly preamble: string;
  /** The events after this seq follow. */
  readonly position: number;
}

interface StoredChannel {
  /** Readers have read every queued event up to this seq. */
  readonly drainedSeq: number;
  /** Publishing is refused until a reader attaches. */
  readonly disconnected: boolean;
}

const CHANNEL = "channel";

const encoder = new TextEncoder();

export class EventChannel extends Channel {
  #stored: StoredChannel | undefined;
  #waiting: FirstReaderQueue | undefined;

  constructor(parts: ChannelParts, epoch: string) {
    super(parts, "events", epoch);
  }

  get writers(): number {
    return this.subscribers.count(NATIVE_STREAM);
  }

  get lastEventId(): string | undefined {
    const { lastSeq } = this.log;
    return lastSeq > 0 ? this.idOf(lastSeq) : undefined;
  }

  idOf(seq: number): string {
    return this.log.idOf(seq, NATIVE_STREAM);
  }

  /** Why these events cannot be published now, if so. `capacity` bounds those that wait for a reader. */
  refusal(events: readonly SizedEvent[], capacity: number): ErrorCode | undefined {
    if (this.writers > 0) return undefined;
    if (this.#state.disconnected) return "session_disconnected";
    return this.#queue.hasRoomFor(events, capacity) ? undefined : "message_channel_full";
  }

  /** Stores events, all or none. `send` sends them, in the same turn. */
  append(events: readonly SizedEvent[]): LoggedEvent[] {
    return this.#queue.append(events, this.subscribers.hasLive(NATIVE_STREAM));
  }

  attach(socket: WebSocket, start: StreamStart): void {
    const { preamble, position } = this.#open(start);
    // A reader that comes back with an id has lived on after that event.
    if (start.kind === "after") this.#drain(position);
    if (this.#state.disconnected) this.#save({ disconnected: false });
    this.subscribe(socket, NATIVE_STREAM, position, preamble);
    this.sendPage(socket);
  }

  override sendPage(socket: WebSocket): LogPage | undefined {
    const from = this.subscribers.state(socket)?.replayingFrom;
    if (from !== undefined && from < this.log.beforeFirst) {
      // The log was trimmed past a reader that is slow to ask for its pages.
      this.subscribers.send(socket, encoder.encode(this.#gapFrame(this.idOf(from))));
    }
    const page = super.sendPage(socket);
    if (page && this.#queue.includes(page.through)) {
      this.subscribers.awaitConfirmation(socket, page.through);
    }
    return page;
  }

  /** The reader of a subscriber has taken the queued events that it was sent, and lived on. */
  confirm(socket: WebSocket): void {
    const seq = this.subscribers.confirmed(socket);
    if (seq !== undefined) this.#drain(seq);
  }

  /** Publishing is refused until a reader attaches. */
  disconnect(): void {
    if (!this.#state.disconnected) this.#save({ disconnected: true });
  }

  get #queue(): FirstReaderQueue {
    return (this.#waiting ??= new FirstReaderQueue(this.log, this.#state.drainedSeq));
  }

  get #state(): StoredChannel {
    return (this.#stored ??= this.storage.kv.get<StoredChannel>(CHANNEL) ?? {
      drainedSeq: 0,
      disconnected: false,
    });
  }

  #save(change: Partial<StoredChannel>): void {
    const changed = { ...this.#state, ...change };
    this.storage.kv.put(CHANNEL, changed);
    this.#stored = changed;
  }

  #drain(seq: number): void {
    if (!this.#queue.includes(seq)) return;
    this.#save({ drainedSeq: seq });
    this.#queue.drain(seq);
  }

  #open(start: StreamStart): Opening {
    switch (start.kind) {
      case "earliest":
        return this.#opening(this.log.beforeFirst);
      case "queued":
        // One reader at a time gets the queue. If it leaves before it has taken it, the next one does.
        return this.#opening(
          this.subscribers.isQueueBeingRead ? this.log.lastSeq : this.#queue.start,
        );
      case "after": {
        const verdict = this.log.resume(start.lastEventId);
        if (verdict.kind === "resume" && verdict.position.stream === NATIVE_STREAM)
          return this.#opening(verdict.position.seq);
        // The log no longer has that place: the stream says so, and starts with all that is retained.
        const { preamble, position } = this.#opening(this.log.beforeFirst);
        return { preamble: preamble + this.#gapFrame(start.lastEventId), position };
      }
    }
  }

  /**
   * `retry`, and the id of the place where the stream starts: a frame without data dispatches
   * nothing and still sets the client's last event id (WHATWG HTML, 9.2.6), so a client that is
   * cut before its first event resumes too. The first `retry` is the contract's. The second
   * spreads out clients that are cut together by a deploy. All of it is one frame, because some
   * clients hand on an empty message for each frame without data.
   */
  #opening(position: number): Opening {
    const retry = RETRY_MS + Math.floor(Math.random() * RETRY_MS);
    const id = this.idOf(position);
    const preamble = encodeFields({ retry: RETRY_MS, id }) + encodeFrame({ retry });
    return { preamble, position };
  }

  /**
   * Says that events after `requested` are no longer retained; all that is follows. Its id is
   * the place before that, so a client that is cut right after it is not told of a second gap.
   */
  #gapFrame(requested: string): string {
    const { beforeFirst, lastSeq } = this.log;
    const earliest = lastSeq > beforeFirst ? this.idOf(beforeFirst + 1) : null;
    const data = JSON.stringify({ requested, earliest });
    return encodeFrame({ id: this.idOf(beforeFirst), event: "gap", data });
  }
}
