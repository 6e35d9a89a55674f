/** The streams of one gateway session: their log, their readers and their ends. */
import { GATEWAY_KEYS, type Metadata } from "../../core/content.ts";
import { RETRY_MS, UPSTREAM_HELD_MS } from "../../core/limits.ts";
import { Channel, type ChannelParts } from "../../stream/channel.ts";
import { sized, type LoggedEvent } from "../../stream/event-log.ts";
import { BACKEND, CLOSE_CODES } from "../../stream/protocol.ts";
import { encodeFrame, MESSAGE_EVENT } from "../../wire/sse-frame.ts";
import { STANDALONE_STREAM, type GatewayStart } from "../contract.ts";
import { rpcError, type RequestId } from "../json-rpc.ts";
import { FAILURES } from "../upstream/failure.ts";
import { bindingOf } from "../upstream/handshake.ts";
import { readsEmptyEvents } from "../versions.ts";
import { ExchangeTable, type OpenExchange } from "./exchange-table.ts";
import { Rounds } from "./rounds.ts";

/** A place in the log where a reader starts. */
interface StreamPlace {
  readonly stream: number;
  /** The stream's events after this seq are sent. */
  readonly seq: number;
}

/** Key of the last event of the upstream's standalone stream. */
const UPSTREAM_EVENT_ID = "upstream-event-id";
/** Key of the seq after which messages have come on the standalone stream while nobody followed it. */
const UNREAD_FROM = "unread-from";

const encoder = new TextEncoder();

interface StandaloneHooks {
  /** Has the object itself listen to the upstream where it can; otherwise the bridge does. */
  readonly listens: (metadata: Metadata) => boolean;
  /** The request that opens the stream of an upstream of the stateless era. */
  readonly subscription: (metadata: Metadata) => string | undefined;
  /** Takes what came on the upstream's standalone stream, and returns what is for the client's. */
  readonly divert?: ((messages: readonly string[]) => readonly string[]) | undefined;
}

export class GatewayStreams extends Channel {
  readonly epoch: string;
  /** Set while the bridge opens the upstream's standalone stream. */
  #opening: PromiseWithResolvers<void> | undefined;
  #table: ExchangeTable | undefined;
  #roundsOf: Rounds | undefined;

  readonly #listens: (metadata: Metadata) => boolean;
  readonly #subscription: (metadata: Metadata) => string | undefined;
  readonly #divert: (messages: readonly string[]) => readonly string[];
  /** Readers of the standalone stream get what comes while they listen, and nothing else. */
  readonly #isShared: boolean;

  constructor(parts: ChannelParts, epoch: string, hooks: StandaloneHooks) {
    super(parts, "messages", epoch);
    this.epoch = epoch;
    this.#listens = hooks.listens;
    this.#subscription = hooks.subscription;
    this.#divert = hooks.divert ?? ((messages) => messages);
    this.#isShared = hooks.divert !== undefined;
  }

  /** Calls that wait for the client. */
  get rounds(): Rounds {
    return (this.#roundsOf ??= new Rounds(this.storage.sql));
  }

  /** An exchange that has not ended. */
  openExchange(id: number): OpenExchange | undefined {
    return this.#exchanges.find(id);
  }

  /** Logs and sends the questions to the client that `questionsFor` returns, in one transaction with what it stores. */
  ask({ id, stream }: OpenExchange, questionsFor: (exchange: number) => readonly string[]): void {
    const logged = this.storage.transactionSync(() => this.#store(stream, questionsFor(id)));
    this.send(stream, logged);
  }

  /** Whether a reader follows the standalone stream. */
  get isFollowed(): boolean {
    return this.subscribers.count(STANDALONE_STREAM) > 0;
  }

  /**
   * Begins an exchange with a stream of its own, or one that answers on the standalone stream. After
   * `upstreamId` the upstream's stream can be resumed.
   */
  beginExchange(
    pending: readonly RequestId[],
    standalone: boolean,
    upstreamId?: string,
  ): OpenExchange {
    return this.#exchanges.begin(pending, standalone, standalone ? undefined : upstreamId);
  }

  /** An exchange that could not be resumed so far can be, after `upstreamId`. */
  resumeAfter(exchange: OpenExchange, upstreamId: string): OpenExchange {
    this.#exchanges.resumeAfter(exchange, upstreamId);
    return { ...exchange, upstreamId };
  }

  /**
   * Logs messages of an exchange, together with the requests that are still pending after them, and
   * sends them. It writes the pending requests only if they are fewer than in `exchange`. After
   * `upstreamId` the upstream's stream that brought them can be resumed.
   */
  say(
    exchange: OpenExchange,
    messages: readonly string[],
    pending: readonly RequestId[],
    upstreamId?: string,
  ): void {
    const resumesAfter = exchange.stream === STANDALONE_STREAM ? undefined : upstreamId;
    const logged = this.storage.transactionSync(() => {
      if (pending.length < exchange.pending.length) this.#exchanges.savePending(exchange, pending);
      return this.#store(exchange.stream, messages, resumesAfter);
    });
    this.send(exchange.stream, logged);
  }

  /** The exchanges whose requests wait for an answer, with the place after which each can be resumed. */
  openExchanges(): OpenExchange[] {
    return this.#exchanges.open().map((exchange) => {
      const { stream, upstreamId } = exchange;
      return { ...exchange, upstreamId: this.log.aside(stream) ?? upstreamId };
    });
  }

  /** The event after which the upstream's stream can be resumed, as stored with the messages after a place in the log. */
  resumesAfter(stream: number, seq: number): string | undefined {
    return this.log.aside(stream, seq);
  }

  /** The messages of a stream after a place in the log. */
  messagesAfter(stream: number, seq: number): string[] {
    return [...this.log.texts(stream, seq)];
  }

  /** The place of the newest message. */
  get lastSeq(): number {
    return this.log.lastSeq;
  }

  /**
   * Answers the exchanges that were under way when the object left memory: nobody else will. It leaves out
   * an exchange that `takesUp` accepts.
   */
  answerInterrupted(takesUp: (exchange: OpenExchange) => boolean): void {
    const { code, message } = FAILURES.interrupted;
    for (const exchange of this.openExchanges()) {
      const { id: row, pending, stream } = exchange;
      // A call that waits for the client runs nowhere: it goes on when the client answers.
      const parked = this.rounds.parked(row).map(({ request }) => request);
      const lost = pending.filter((id) => !parked.includes(id));
      if (lost.length === 0) continue;
      if (parked.length === 0 && takesUp(exchange)) continue;
      const answers = lost.map((id) => rpcError(code, message, id));
      this.say(exchange, answers, parked);
      if (parked.length === 0 && stream !== STANDALONE_STREAM) this.endStream(stream);
    }
  }

  /** Sends a message without logging it: the session has ended, and its log with it. */
  sendLast(stream: number, data: string): void {
    this.subscribers.broadcast(stream, encoder.encode(encodeFrame({ event: MESSAGE_EVENT, data })));
  }

  /** Where a reader starts; undefined where it asks for a place that the log cannot give. */
  placeOf(start: GatewayStart): StreamPlace | undefined {
    if (start.kind === "exchange") {
      return { stream: start.stream, seq: this.log.beforeStream(start.stream) };
    }
    if (start.kind === "resume") {
      const verdict = this.log.resume(start.lastEventId);
      const known = verdict.kind !== "gap" && this.#exchanges.knows(verdict.position.stream);
      return known ? verdict.position : undefined;
    }
    const seq = this.#unreadFrom ?? this.log.lastSeq;
    return { stream: STANDALONE_STREAM, seq: Math.max(seq, this.log.beforeFirst) };
  }

  /** Attaches a stream's reader, in place of the one that it had. */
  attach(socket: WebSocket, start: GatewayStart, place: StreamPlace, metadata: Metadata): void {
    const { stream, seq } = place;
    // The id comes first, so that a client that is cut here can resume. Some clients forget the
    // id of a frame without data, so these get it as an event of its own.
    const empty = readsEmptyEvents(metadata[GATEWAY_KEYS.protocolVersion]) ? { data: "" } : {};
    const priming = encodeFrame({ retry: RETRY_MS, id: this.log.idOf(seq, stream), ...empty });
    this.subscribers.closeStream(stream, CLOSE_CODES.superseded);
    const endpoint = start.kind === "standalone" ? start.endpoint : undefined;
    const said = endpoint === undefined ? "" : encodeFrame({ event: "endpoint", data: endpoint });
    this.subscribe(socket, stream, seq, priming + said);
    if (stream === STANDALONE_STREAM) {
      if (this.#unreadFrom !== undefined) this.storage.kv.delete(UNREAD_FROM);
      this.#openUpstream(socket, metadata);
    }
    this.sendPage(socket);
  }

  /** Attaches one of several readers of the standalone stream. One of their bridges holds the upstream's. */
  attachListener(socket: WebSocket, metadata: Metadata): void {
    this.subscribe(socket, STANDALONE_STREAM, this.log.lastSeq, "");
    this.sendPage(socket);
    this.holdUpstream(metadata);
  }

  /** Has a bridge hold the upstream's stream, if none of those on the standalone stream does. */
  holdUpstream(metadata: Metadata): void {
    if (this.subscribers.witness(STANDALONE_STREAM)) return;
    const socket = this.subscribers.first(STANDALONE_STREAM);
    if (!socket) return;
    this.subscribers.note(socket, { witness: true });
    this.#openUpstream(socket, metadata);
  }

  /** Sends a message to one reader, without logging it. */
  sayTo(socket: WebSocket, data: string): void {
    this.subscribers.send(socket, encoder.encode(encodeFrame({ event: MESSAGE_EVENT, data })));
  }

  /** Lets a reader go. */
  dismiss(socket: WebSocket): void {
    this.subscribers.close(socket, CLOSE_CODES.finished);
  }

  /** Ends a reader that has missed messages because the log was trimmed: it must not wait for an answer that is gone. */
  override sendPage(socket: WebSocket): void {
    const from = this.subscribers.state(socket)?.replayingFrom;
    if (from === undefined || from >= this.log.beforeFirst) super.sendPage(socket);
    else this.subscribers.close(socket, CLOSE_CODES.unreadable);
  }

  /** Resolves when the bridge has the upstream's stream, or will not get it. */
  upstreamHeld(): Promise<void> {
    return this.#opening?.promise ?? Promise.resolve();
  }

  /** Whether what a bridge says is still of the last upstream session. */
  get isBetween(): boolean {
    return this.#isShared && this.#opening !== undefined;
  }

  held(): void {
    this.#opening?.resolve();
    this.#opening = undefined;
  }

  /** The upstream asks readers to wait so many milliseconds before they reconnect. */
  retry(ms: string): void {
    // No blank line: some clients take one for an empty message. The next message ends the frame.
    if (/^\d+$/.test(ms)) {
      this.subscribers.broadcast(STANDALONE_STREAM, encoder.encode(`retry: ${ms}\n`));
    }
  }

  /** Logs what came on the upstream's standalone stream, and remembers its id, to resume there. */
  receive(id: string | undefined, received: readonly string[]): void {
    const messages = this.#divert(received);
    const logged = this.storage.transactionSync(() => {
      if (id !== undefined && !this.#isShared) this.storage.kv.put(UPSTREAM_EVENT_ID, id);
      if (messages.length === 0) return [];
      if (!this.isFollowed && this.#unreadFrom === undefined && !this.#isShared) {
        this.storage.kv.put(UNREAD_FROM, this.log.lastSeq);
      }
      return this.#store(STANDALONE_STREAM, messages);
    });
    this.send(STANDALONE_STREAM, logged);
  }

  /** Makes the bridge follow another upstream session. The last one's event ids mean nothing to it. */
  followUpstream(metadata: Metadata): void {
    this.storage.kv.delete(UPSTREAM_EVENT_ID);
    if (this.#listens(metadata)) return;
    // A call may ask there as soon as it is sent.
    if (this.#isShared && this.isFollowed) this.#open();
    const holder = this.subscribers.witness(STANDALONE_STREAM);
    if (holder) this.subscribers.send(holder, this.#backend(metadata));
    else this.subscribers.sendControl(this.#backend(metadata), STANDALONE_STREAM);
  }

  /** Makes the bridge listen to what the client has subscribed to now. Resolves as `upstreamHeld`. */
  followSubscription(metadata: Metadata): Promise<void> {
    if (!this.isFollowed) return Promise.resolve();
    this.#open();
    this.subscribers.sendControl(this.#backend(metadata), STANDALONE_STREAM);
    return this.upstreamHeld();
  }

  protected override isOpen(stream: number): boolean {
    return this.#exchanges.isOpen(stream);
  }

  #openUpstream(socket: WebSocket, metadata: Metadata): void {
    if (this.#listens(metadata)) return;
    // Without one it has nothing to open: the client is still to initialize.
    if (bindingOf(metadata).version !== undefined) this.#open();
    this.subscribers.send(socket, this.#backend(metadata));
  }

  #open(): void {
    const opening = Promise.withResolvers<void>();
    this.#opening?.resolve();
    this.#opening = opening;
    // A bridge that is cut here never answers.
    setTimeout(() => opening.resolve(), UPSTREAM_HELD_MS);
  }

  /** The word that tells the bridge which stream of the upstream to hold. */
  #backend(metadata: Metadata): string {
    const { url, sid, version } = bindingOf(metadata);
    const lastEventId = this.storage.kv.get<string>(UPSTREAM_EVENT_ID);
    const subscription = this.#subscription(metadata);
    return BACKEND + JSON.stringify({ url, sid, version, lastEventId, subscription });
  }

  #store(stream: number, messages: readonly string[], upstreamId?: string): LoggedEvent[] {
    const events = messages.map((data) => sized({ data }));
    const last = events.at(-1);
    if (last && upstreamId !== undefined)
      events[events.length - 1] = { ...last, aside: upstreamId };
    return this.log.append(stream, events);
  }

  get #unreadFrom(): number | undefined {
    return this.storage.kv.get<number>(UNREAD_FROM);
  }

  get #exchanges(): ExchangeTable {
    return (this.#table ??= new ExchangeTable(this.storage.sql));
  }
}
