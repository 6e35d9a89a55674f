/** The channel of the events of `/v1`, with the account of what its readers have taken. */
import type { ErrorCode } from "../core/errors.ts";
import { NATIVE_STREAM } from "../core/event-id.ts";
import type { Overflow } from "../core/content.ts";
import type { EventPage, PageQuery, StreamStart } from "../core/host.ts";
import { RETRY_MS } from "../core/limits.ts";
import { delivered } from "../signals/metrics.ts";
import { encodeFields, encodeFrame } from "../wire/sse-frame.ts";
import { Channel, type ChannelParts } from "./channel.ts";
import type { LoggedEvent, SizedEvent } from "./event-log.ts";
import { gapIn, pageOf } from "./event-page.ts";
import { reportUpTo, WITNESS } from "./protocol.ts";
import { PublishedKeys, type KeyedEvents, type PublishKey } from "./published-keys.ts";
import { Unread } from "./unread.ts";

/** Where a stream starts in the log, and what it says before its first event. */
interface Opening {
  /** SSE frames. */
  readonly preamble: string;
  /** The events after this seq follow. */
  readonly position: number;
}

interface StoredChannel {
  /** Readers were known to have taken everything up to this seq when this was stored. */
  readonly drainedSeq: number;
  /** Publishing is refused until a reader attaches. */
  readonly disconnected: boolean;
  /** The seq of the `ended` frame, one more than that of the last event. Absent: the stream is open. */
  readonly endedSeq?: number;
}

/** How many unread events a session accepts, and what happens to more. */
interface Room {
  readonly overflow: Overflow;
  /** Events that may be unread while no reader is attached. */
  readonly capacity: number;
}

const CHANNEL = "channel";
const NEW_CHANNEL: StoredChannel = { drainedSeq: 0, disconnected: false };

const encoder = new TextEncoder();

export class EventChannel extends Channel {
  readonly #id: string;
  #stored: StoredChannel | undefined;
  #account: Unread | undefined;
  /** This has asked the bridges to report what is taken, and none has reported yet. */
  #isAsked = false;
  readonly #keys: PublishedKeys;

  /** `id` is the session's, for its `ended` frame. */
  constructor(parts: ChannelParts, epoch: string, id: string, isNew = false) {
    super(parts, "events", epoch, isNew);
    if (isNew) this.#stored = NEW_CHANNEL;
    this.#id = id;
    this.#keys = new PublishedKeys(parts.storage.sql);
  }

  get writers(): number {
    return this.subscribers.count(NATIVE_STREAM);
  }

  /** If the stream has ended, the id of the `ended` frame. */
  get lastEventId(): string | undefined {
    return this.#lastSeq > 0 ? this.idOf(this.#lastSeq) : undefined;
  }

  /** The data of the newest event, and what is stored beside it. */
  get newest(): { readonly data?: string | undefined; readonly aside?: string | undefined } {
    const [data] = this.log.texts(NATIVE_STREAM, this.log.lastSeq - 1);
    return { data, aside: this.log.aside(NATIVE_STREAM, this.log.lastSeq - 1) };
  }

  /** Stores an aside with the newest event, in place of the one that it has. */
  changeAside(aside: string): void {
    this.log.changeAside(NATIVE_STREAM, aside);
  }

  get ended(): boolean {
    return this.#state.endedSeq !== undefined;
  }

  idOf(seq: number): string {
    return this.log.idOf(seq, NATIVE_STREAM);
  }

  /** Why these events cannot be published now, if so. */
  refusal(events: readonly SizedEvent[], room: Room): ErrorCode | undefined {
    if (this.ended) return "stream_ended";
    if (this.#state.disconnected) return "session_disconnected";
    return this.#hasRoomFor(events, room) ? undefined : "message_channel_full";
  }

  /** Why the stream cannot be ended after these events, if so. Without one it always can. */
  endRefusal(events: readonly SizedEvent[], room: Room): ErrorCode | undefined {
    if (this.ended || events.length === 0) return undefined;
    return this.#hasRoomFor(events, room) ? undefined : "message_channel_full";
  }

  /** Stores events, all or none, and the key with them. `send` sends them, in the same turn. */
  append(events: readonly SizedEvent[], key?: PublishKey): LoggedEvent[] {
    const append = () => this.log.append(NATIVE_STREAM, events, this.#unread.taken + 1);
    if (!key) return append();
    return this.storage.transactionSync(() => {
      // The key comes first: if it cannot be stored, the log has not yet counted the events in memory.
      this.#keys.add(key, this.log.lastSeq + 1, events.length);
      return append();
    });
  }

  /** The events that were published under a key, while the last of them is retained. */
  publishedUnder({ key }: PublishKey): KeyedEvents | undefined {
    return this.#keys.find(key, this.log.beforeFirst);
  }

  /**
   * Ends the stream after these events, all or nothing. Returns them and the `ended` frame, to be
   * sent. If the stream had ended before, returns the `ended` frame alone, which no reader waits for.
   */
  end(events: readonly SizedEvent[]): LoggedEvent[] {
    if (this.#state.endedSeq !== undefined) return [this.#endedFrame(this.#state.endedSeq)];
    const endedSeq = this.log.lastSeq + events.length + 1;
    const ended = this.#changed({ endedSeq });
    const logged = this.storage.transactionSync(() => {
      this.storage.kv.put(CHANNEL, ended);
      return events.length > 0 ? this.append(events) : [];
    });
    this.#stored = ended;
    return [...logged, this.#endedFrame(endedSeq)];
  }

  override send(stream: number, logged: readonly LoggedEvent[]): void {
    super.send(stream, logged);
    if (!this.#isAsked && this.writers > 0 && this.#unread.isPressing) this.#askForReport();
  }

  protected override sent(events: number, readers: number): void {
    if (events * readers > 0) delivered.add(events * readers);
  }

  /** Reads events as data. It takes nothing from the queue. */
  read(query: PageQuery): EventPage {
    return pageOf(this.log, query, this.#unread.isTrimmed, this.#state.endedSeq);
  }

  attach(socket: WebSocket, start: StreamStart): void {
    const { preamble, position } = this.#open(start);
    if (this.#state.disconnected) this.#save({ disconnected: false });
    this.subscribe(socket, NATIVE_STREAM, position, preamble);
    // This has not asked the bridge of the new reader.
    this.#isAsked = false;
    this.#keepAccount();
    this.sendPage(socket);
  }

  /** Whether a client with this id has seen the end of the stream. */
  hasSeenEnd(lastEventId: string): boolean {
    return this.ended && lastEventId === this.lastEventId;
  }

  override sendPage(socket: WebSocket): void {
    const from = this.subscribers.state(socket)?.replayingFrom;
    if (from !== undefined && from < this.log.beforeFirst) {
      // The log was trimmed past a reader that is slow to ask for its pages.
      this.subscribers.send(socket, encoder.encode(this.#gapFrame(this.idOf(from))));
    }
    super.sendPage(socket);
  }

  /** A bridge says that its reader has taken everything up to this event. */
  confirm(id: string): void {
    this.#isAsked = false;
    if (this.#take(id)) this.#keepAccount();
  }

  /** A reader has left. `ids` are the last events that it is known to have taken, from each source that knows. */
  left(...ids: (string | undefined)[]): void {
    this.#isAsked = false;
    for (const id of ids) if (id) this.#take(id);
    this.#keepAccount();
  }

  /** Publishing is refused until a reader attaches. */
  disconnect(): void {
    if (!this.#state.disconnected) this.#save({ disconnected: true });
  }

  protected override deletedBefore(first: number): void {
    this.#keys.forgetBefore(first);
  }

  protected override isOpen(): boolean {
    return !this.ended;
  }

  protected override finish(socket: WebSocket): void {
    const { endedSeq } = this.#state;
    if (endedSeq !== undefined) this.subscribers.send(socket, this.#endedFrame(endedSeq).frame);
    super.finish(socket);
  }

  /** Whether these events can be stored without dropping an unread one, or may drop the oldest. */
  #hasRoomFor(events: readonly SizedEvent[], { overflow, capacity }: Room): boolean {
    if (overflow === "trim") return true;
    if (this.writers === 0 && this.#unread.count + events.length > capacity) return false;
    if (this.#unread.hasRoomFor(events)) return true;
    this.#askForReport();
    return false;
  }

  /** The newest place that a client can have seen. */
  get #lastSeq(): number {
    return this.#state.endedSeq ?? this.log.lastSeq;
  }

  get #unread(): Unread {
    if (!this.#account) {
      const stored = Math.max(this.#state.drainedSeq, this.log.takenAsStored);
      this.#account = new Unread(this.log, stored);
      for (const id of this.subscribers.taken(NATIVE_STREAM)) this.#take(id);
    }
    return this.#account;
  }

  /** Counts everything up to this event as taken. Returns whether that is news; an unknown id is none. */
  #take(id: string): boolean {
    const verdict = this.log.resume(id, this.#lastSeq);
    if (verdict.kind !== "resume" || verdict.position.stream !== NATIVE_STREAM) return false;
    return this.#unread.take(Math.min(verdict.position.seq, this.log.lastSeq));
  }

  /**
   * Stores what readers have taken, so that it outlives the object's memory: in the attachment of the
   * witness, which costs no row, or in a row once the last reader has left. Names a witness if there
   * is none.
   */
  #keepAccount(): void {
    const { taken } = this.#unread;
    const witness = this.subscribers.witness(NATIVE_STREAM) ?? this.#nameWitness();
    if (witness) this.subscribers.note(witness, { taken: this.idOf(taken) });
    else if (taken > Math.max(this.#state.drainedSeq, this.log.takenAsStored)) this.#save({});
  }

  #nameWitness(): WebSocket | undefined {
    const socket = this.subscribers.first(NATIVE_STREAM);
    if (!socket) return undefined;
    this.subscribers.note(socket, { witness: true });
    this.subscribers.send(socket, WITNESS);
    return socket;
  }

  /**
   * Has every bridge say soon that the older part of what is unread is taken: publishing may depend
   * on it.
   */
  #askForReport(): void {
    if (this.#isAsked || this.writers === 0) return;
    const { settledSoon } = this.#unread;
    if (settledSoon === undefined) return;
    this.#isAsked = true;
    const word = reportUpTo(this.idOf(settledSoon), this.idOf(this.log.lastSeq));
    this.subscribers.sendControl(word, NATIVE_STREAM);
  }

  get #state(): StoredChannel {
    return (this.#stored ??= this.storage.kv.get<StoredChannel>(CHANNEL) ?? NEW_CHANNEL);
  }

  #changed(change: Partial<StoredChannel>): StoredChannel {
    return { ...this.#state, drainedSeq: this.#unread.taken, ...change };
  }

  #save(change: Partial<StoredChannel>): void {
    const changed = this.#changed(change);
    this.storage.kv.put(CHANNEL, changed);
    this.#stored = changed;
  }

  #open(start: StreamStart): Opening {
    switch (start.kind) {
      case "earliest":
        return this.#openingUnread(this.log.beforeFirst);
      case "queued":
        return this.#openingUnread(this.#unread.start);
      case "after": {
        const verdict = this.log.resume(start.lastEventId, this.#lastSeq);
        if (verdict.kind === "resume" && verdict.position.stream === NATIVE_STREAM) {
          // A reader that comes back with an id has taken what is before it.
          this.#take(start.lastEventId);
          return this.#opening(verdict.position.seq);
        }
        // The log no longer has that place: the stream says so, and starts with all that is retained.
        return this.#openingAfterGap(start.lastEventId);
      }
    }
  }

  /** The opening for a reader that comes for everything unread. It has a gap if some of that was trimmed. */
  #openingUnread(position: number): Opening {
    return this.#unread.isTrimmed ? this.#openingAfterGap(null) : this.#opening(position);
  }

  /**
   * The gap is in the first frame. If a frame before it named the new place, a client that is cut
   * between the two would come back with that place, and never hear of the gap.
   */
  #openingAfterGap(requested: string | null): Opening {
    const retries = encodeFields({ retry: RETRY_MS }) + encodeFields({ retry: spreadRetry() });
    return { preamble: retries + this.#gapFrame(requested), position: this.log.beforeFirst };
  }

  /**
   * `retry`, and the id of the place where the stream starts: a frame without data dispatches
   * nothing and still sets the client's last event id (WHATWG HTML, 9.2.6), so a client that is
   * cut before its first event resumes too. The first `retry` is the contract's. All of it is one
   * frame, because some clients hand on an empty message for each frame without data.
   */
  #opening(position: number): Opening {
    const id = this.idOf(position);
    const preamble = encodeFields({ retry: RETRY_MS, id }) + encodeFrame({ retry: spreadRetry() });
    return { preamble, position };
  }

  #endedFrame(seq: number): LoggedEvent {
    const data = JSON.stringify({ id: this.#id });
    const frame = encodeFrame({ event: "ended", data, id: this.idOf(seq) });
    return { seq, frame: encoder.encode(frame), isEnd: true };
  }

  /**
   * Says that events after `requested`, or unread ones if it is null, are no longer retained. All
   * retained events follow. The frame's id is the place before them, so a client that is cut right
   * after it does not get a second gap.
   */
  #gapFrame(requested: string | null): string {
    const data = JSON.stringify(gapIn(this.log, requested));
    return encodeFrame({ id: this.idOf(this.log.beforeFirst), event: "gap", data });
  }
}

/** Spreads out clients that are cut together by a deploy. */
function spreadRetry(): number {
  return RETRY_MS + Math.floor(Math.random() * RETRY_MS);
}
