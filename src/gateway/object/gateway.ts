/** The gateway's part of a session's object: its exchanges, its streams and its link to the upstream. */
import type { Config } from "../../config/service.ts";
import type { Logger } from "../../logger.ts";
import { GATEWAY_KEYS, type Metadata } from "../../core/content.ts";
import { refuse, succeed, type Outcome } from "../../core/errors.ts";
import type { ChannelParts } from "../../stream/channel.ts";
import {
  MORE,
  readUpstreamMessage,
  UPSTREAM_HELD,
  UPSTREAM_LOST,
  UPSTREAM_MESSAGE,
  UPSTREAM_RETRY,
  type Lost,
} from "../../stream/protocol.ts";
import { bodies, NO_ROOM } from "../../http/held-bytes.ts";
import {
  STANDALONE_STREAM,
  type ExchangeAnswer,
  type ExchangeRequest,
  type GatewaySession,
  type InitializeAnswer,
  type InitializeRequest,
  type Listen,
  type SessionAccess,
} from "../contract.ts";
import { ObjectServer, type OwnServerParts, type SessionToCome } from "../own/object-server.ts";
import { messagesIn, requestMeant, unaskedIn, type RequestId } from "../json-rpc.ts";
import { agreedVersion, bindingOf, terminate } from "../upstream/handshake.ts";
import { replicaAt, type Send, type Upstream, type Upstreams } from "../upstream/upstream.ts";
import { refusesBatches } from "../versions.ts";
import { reportFailure } from "../upstream/failure.ts";
import type { Answering } from "./client-answer.ts";
import { EraCalls } from "./era-calls.ts";
import type { OpenExchange } from "./exchange-table.ts";
import { Exchange } from "./exchange.ts";
import type { ExchangeLimits } from "./streamed-answer.ts";
import { ObjectListener } from "./object-listener.ts";
import { openUpstreamSession } from "./open-upstream-session.ts";
import { GatewayStreams } from "./streams.ts";
import { SessionGone, UpstreamLink } from "./upstream-link.ts";
import { changesIn, UpstreamState } from "./upstream-state.ts";

type Headers = ExchangeRequest["headers"];

interface GatewayParts {
  readonly session: SessionAccess;
  readonly channel: ChannelParts;
  /** Makes the configured upstreams. It is called once, when a session first needs one. */
  readonly openUpstreams: (own: ReadonlyMap<string, Send>) => Upstreams;
  readonly own: Pick<OwnServerParts, "servers" | "publish" | "wakeBy">;
  readonly limits: ExchangeLimits & Pick<Config, "keepaliveMs">;
  readonly log: Logger;
  /** Called when a message came for an exchange that streams. It counts as use of the session. */
  readonly used: () => void;
}

export class Gateway {
  readonly #parts: GatewayParts;
  /** The server of one's own of this session, if its upstream is one. */
  readonly own: ObjectServer;
  readonly #running = new Set<Exchange>();
  #upstreams: Upstreams | undefined;
  #streams: GatewayStreams | undefined;
  #link: UpstreamLink | undefined;
  #listener: ObjectListener | undefined;
  #stateOf: UpstreamState | undefined;
  #era: EraCalls | undefined;
  /** The headers of the client's last request since this object was loaded. */
  #headers: Headers = {};

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    const { own, session, channel, log } = parts;
    this.own = new ObjectServer({
      ...own,
      session,
      storage: channel.storage,
      stateRequests: () => this.#state.requests,
      unasked: (open, text) => this.streamsOf(open).receive(undefined, [text]),
      log,
    });
  }

  /** Whether an exchange waits for its upstream's answer to begin, which its timeout bounds. */
  get isWaiting(): boolean {
    for (const { isWaiting } of this.#running) if (isWaiting) return true;
    return false;
  }

  /**
   * Makes an upstream session for a new session, and then the session itself: `make` gets its metadata
   * of the upstream. Both are made, or neither.
   */
  async initialize(
    request: InitializeRequest,
    session: SessionToCome,
    make: (metadata: Metadata) => Outcome<unknown>,
  ): Promise<Outcome<InitializeAnswer>> {
    this.#headers = request.headers;
    const upstream = this.#upstream(request.upstream);
    if (!upstream) return refuse("session_not_found");
    this.own.begin(session);
    const opened = await openUpstreamSession(upstream, request, this.#parts);
    if (opened.kind !== "initialized") {
      this.own.settle(false);
      return succeed(opened);
    }
    const { metadata, messages } = opened;
    const made = make(metadata);
    this.own.settle(made.ok);
    if (made.ok) {
      if (request.era) EraCalls.initialized(this.#parts.channel.storage, messages);
      return succeed({ kind: "initialized", messages });
    }
    void this.terminate(metadata, request.headers);
    return made;
  }

  /** Begins to carry one POST of the client. */
  exchange(
    session: GatewaySession,
    request: ExchangeRequest,
  ): Outcome<Pick<Exchange, "answer" | "ended">> {
    const link = this.#linkOf(session);
    if (!link) return refuse("session_not_found");
    const version = request.batch ? agreedVersion(bindingOf(session.metadata)) : undefined;
    if (version !== undefined && refusesBatches(version)) {
      return refuse("invalid_request", `${version} has no batches`);
    }
    this.#headers = request.headers;
    this.#listen(session, session.metadata);
    if (request.era) return succeed(this.#eraOf(link).carry(request, request.era));
    return this.#start(link, request);
  }

  /** `client` takes the answer; with `left`, the exchange goes on where the object's memory was lost. */
  #start(
    link: UpstreamLink,
    request: ExchangeRequest,
    how: { readonly client?: Answering; readonly left?: OpenExchange | undefined } = {},
  ): Outcome<Exchange> {
    const hold = bodies.hold();
    if (!hold.grow(request.body.length)) return refuse("unavailable", NO_ROOM);
    const { limits, log, used } = this.#parts;
    const exchange = new Exchange(request, { link, limits, log, hold, used, ...how });
    this.#remember(request, exchange);
    this.#running.add(exchange);
    void exchange.ended.then(() => this.#running.delete(exchange));
    return succeed(exchange);
  }

  #eraOn(session: GatewaySession): EraCalls | undefined {
    const link = this.#linkOf(session);
    return link && this.#eraOf(link);
  }

  #eraOf(link: UpstreamLink): EraCalls {
    return (this.#era ??= new EraCalls({
      link,
      storage: this.#parts.channel.storage,
      bufferBytes: this.#parts.channel.limits.streamBufferBytes,
      maxBytes: this.#parts.limits.bodyMaxBytes,
      keepaliveMs: this.#parts.limits.keepaliveMs,
      level: () => this.#state,
      start: (request, how) => this.#start(link, request, how),
      log: this.#parts.log,
    }));
  }

  /**
   * The object was loaded: the exchanges that were under way when it left memory go on where the
   * upstream's stream can be resumed, and get an error otherwise.
   */
  loaded(session: GatewaySession): void {
    this.streamsOf(session).answerInterrupted((left) => {
      const link = this.#linkOf(session);
      if (!link) return false;
      // A client that was asked has to come first, if it still can.
      if (isEra(session)) return this.#eraOf(link).isAwaited(left);
      const { asked, pending } = left;
      const request: ExchangeRequest = {
        match: { type: "", upstream: link.upstream.name },
        body: "",
        batch: asked.length > 1,
        pending,
        cancels: [],
        initialize: false,
        headers: this.#headers,
        delivery: "own",
      };
      return this.#start(link, request, { left }).ok;
    });
  }

  /** The client has cancelled these requests, and the upstream has accepted that. */
  cancel(ids: readonly RequestId[]): void {
    const open = [...this.#running].flatMap(({ pending }) => pending);
    for (const id of ids) {
      const meant = requestMeant(id, open, open);
      if (meant !== undefined) for (const one of this.#running) one.cancel(meant);
    }
  }

  /** Attaches a `subscriptions/listen` of a client of the stateless revision. */
  listen(session: GatewaySession, socket: WebSocket, listen: Listen): void {
    this.#eraOn(session)?.listen(session, socket, listen);
  }

  /** A reader of one of the gateway's streams has left. */
  left(session: GatewaySession, socket: WebSocket): void {
    if (isEra(session)) this.#eraOn(session)?.left(session, socket);
  }

  /** A client of the session has sent these headers with a request for a stream. */
  hear(headers: Headers): void {
    this.#headers = headers;
  }

  streamsOf(session: GatewaySession): GatewayStreams {
    return (this.#streams ??= new GatewayStreams(
      this.#parts.channel,
      session.epoch,
      (metadata) => this.#listen(session, metadata),
      isEra(session) ? (texts) => this.#eraOn(session)?.unasked(texts) ?? [] : undefined,
    ));
  }

  /** Handles a word from a bridge: about its reader, or about the upstream's stream that it holds. */
  receive(session: GatewaySession, socket: WebSocket, stream: number, word: string): void {
    const streams = this.streamsOf(session);
    if (word === MORE) streams.sendPage(socket);
    else if (stream !== STANDALONE_STREAM) return;
    else if (word === UPSTREAM_HELD) streams.held();
    else if (word.startsWith(UPSTREAM_RETRY)) streams.retry(word.slice(UPSTREAM_RETRY.length));
    else if (word.startsWith(UPSTREAM_MESSAGE)) this.#deliver(streams, word);
    else if (word.startsWith(UPSTREAM_LOST)) this.#lost(session, word.slice(UPSTREAM_LOST.length));
  }

  /**
   * The session has ended: nothing more of it is stored. Returns a function that ends its exchanges
   * and its upstream session, and that resolves when the upstream has answered. `headers` are those
   * of the client that ended it.
   */
  silence(metadata: Metadata, headers?: Headers): () => Promise<void> {
    this.#streams = undefined;
    this.#link = undefined;
    this.#era?.end();
    this.#era = undefined;
    this.#listener?.end();
    this.#listener = undefined;
    this.own.end();
    const abandoned = [...this.#running].map((exchange) => exchange.abandon());
    this.#running.clear();
    return () => {
      for (const answerWaiting of abandoned) answerWaiting();
      return this.terminate(metadata, headers);
    };
  }

  async terminate(metadata: Metadata, headers: Headers = {}): Promise<void> {
    const { url, sid, version } = bindingOf(metadata);
    const upstream = this.#upstream(metadata[GATEWAY_KEYS.upstream]);
    if (!upstream) return;
    await terminate(upstream, { replica: replicaAt(upstream, url), sid, version }, headers);
  }

  #upstream(name: string | undefined): Upstream | undefined {
    if (name === undefined) return undefined;
    this.#upstreams ??= this.#parts.openUpstreams(this.own.sends);
    return this.#upstreams.get(name);
  }

  #linkOf(session: GatewaySession): UpstreamLink | undefined {
    if (this.#link) return this.#link;
    const upstream = this.#upstream(session.metadata[GATEWAY_KEYS.upstream]);
    if (!upstream) return undefined;
    return (this.#link = new UpstreamLink({
      upstream,
      session: this.#parts.session,
      streams: this.streamsOf(session),
      maxBytes: this.#parts.limits.bodyMaxBytes,
      stateRequests: () => this.#state.requests,
    }));
  }

  /** Remembers a lasting request of the client, such as a log level, once the upstream has agreed to it. */
  #remember({ initialize, body }: ExchangeRequest, { answer }: Exchange): void {
    if (initialize) return this.#state.clear();
    const changes = changesIn(body);
    if (changes.length === 0) return;
    void answer.then((outcome) => {
      // Requests that are answered on a stream, or in a batch, count as agreed to: asked again, they can only be refused again.
      if (outcome.ok && outcome.value.kind !== "failed" && !isError(outcome.value)) {
        for (const change of changes) this.#state.apply(change);
      }
    });
  }

  get #state(): UpstreamState {
    return (this.#stateOf ??= new UpstreamState(this.#parts.channel.storage));
  }

  /** Listens to an upstream whose stream lives in this object. Returns whether it is one. */
  #listen(session: GatewaySession, metadata: Metadata): boolean {
    const link = this.#linkOf(session);
    if (!link?.upstream.listensInObject) return false;
    // It says by itself what belongs to no request, and so the object can sleep.
    if (this.own.serves(link.upstream.name)) return true;
    const { limits, log } = this.#parts;
    this.#listener ??= new ObjectListener({
      link,
      headers: () => this.#headers,
      maxBytes: limits.bodyMaxBytes,
      log,
    });
    this.#listener.listen(bindingOf(metadata));
    return true;
  }

  /** Logs what came on the upstream's stream. */
  #deliver(streams: GatewayStreams, word: string): void {
    const { id, data } = readUpstreamMessage(word);
    streams.receive(id, unaskedIn(data));
  }

  #lost(session: GatewaySession, json: string): void {
    const link = this.#linkOf(session);
    // Only the session's own bridges write to this socket.
    const lost = JSON.parse(json) as Lost;
    const { sid } = bindingOf(session.metadata);
    if (!link || sid === undefined || lost.sid !== sid) return;
    link.confirm(lost.headers ?? {}).catch((cause: unknown) => {
      if (!(cause instanceof SessionGone)) reportFailure(this.#parts.log, link.upstream, cause);
    });
  }
}

/** Whether the session carries clients of the stateless revision. */
function isEra({ metadata }: GatewaySession): boolean {
  return metadata[GATEWAY_KEYS.era] !== undefined;
}

/** Whether an answer is a JSON-RPC error. */
function isError(answer: ExchangeAnswer): boolean {
  if (answer.kind !== "json") return false;
  const [first, ...others] = messagesIn(answer.body);
  return others.length === 0 && first?.message.kind === "response" && "error" in first.message;
}
