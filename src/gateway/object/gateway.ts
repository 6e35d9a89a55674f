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
import { isBridgedSid } from "../eras/wire.ts";
import {
  STANDALONE_STREAM,
  type ExchangeRequest,
  type GatewaySession,
  type InitializeRequest,
  type Listen,
  type SessionAccess,
} from "../contract.ts";
import { ObjectServer, type OwnServerParts } from "../own/object-server.ts";
import { unaskedIn, type RequestId } from "../json-rpc.ts";
import { agreedVersion, bindingOf, endBinding } from "../upstream/handshake.ts";
import type { Send, Upstream, Upstreams, WakeTask } from "../upstream/upstream.ts";
import { refusesBatches } from "../versions.ts";
import { FAILURES, reportFailure, SessionGone } from "../upstream/failure.ts";
import { EraBridge, isEra } from "./era-bridge.ts";
import { describe } from "./described.ts";
import { EraCalls } from "./era-calls.ts";
import type { Exchange } from "./exchange.ts";
import { Exchanges, type ExchangesParts, type How } from "./exchanges.ts";
import type { ExchangeLimits } from "./streamed-answer.ts";
import { ObjectListener } from "./object-listener.ts";
import { openSession, type Opened, type ToMake } from "./open-upstream-session.ts";
import { GatewayStreams } from "./streams.ts";
import { UpstreamLink } from "./upstream-link.ts";
import { UpstreamState } from "./upstream-state.ts";

type Headers = ExchangeRequest["headers"];

interface GatewayParts extends Pick<ExchangesParts, "used" | "released"> {
  readonly session: SessionAccess;
  readonly channel: ChannelParts;
  /** Makes the configured upstreams. It is called once, when a session first needs one. */
  readonly openUpstreams: (own: ReadonlyMap<string, Send>) => Upstreams;
  readonly own: Pick<OwnServerParts, "servers" | "publish" | "wakeBy">;
  readonly limits: ExchangeLimits & Pick<Config, "keepaliveMs">;
  readonly log: Logger;
  /** Ends the session, and with it its upstream's, which gets these headers. */
  readonly over: (headers: Headers) => void;
  readonly wakeTask: WakeTask;
}

export class Gateway {
  readonly #parts: GatewayParts;
  /** The server of one's own of this session, if its upstream is one. */
  readonly own: ObjectServer;
  readonly #exchanges: Exchanges;
  #upstreams: Upstreams | undefined;
  #streams: GatewayStreams | undefined;
  #link: UpstreamLink | undefined;
  #listener: ObjectListener | undefined;
  #stateOf: UpstreamState | undefined;
  /** For a server of the stateless era alone. */
  readonly #eras: EraBridge;
  /** For clients of the stateless era. */
  #eraCalls: EraCalls | undefined;
  /** The headers of the client's last request since this object was loaded. */
  #headers: Headers = {};
  /** Set while the session is being made. */
  #opening: Promise<Opened> | undefined;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    const { own, session, channel, limits, log, used, released } = parts;
    this.#eras = new EraBridge({
      session,
      state: () => this.#state,
      followSubscription: async (metadata) => this.#streams?.followSubscription(metadata),
      maxBytes: limits.bodyMaxBytes,
    });
    this.#exchanges = new Exchanges({
      eras: this.#eras,
      limits,
      log,
      used,
      released,
      link: () => {
        const open = session();
        return open ? this.#linkOf(open) : undefined;
      },
      headers: () => this.#headers,
    });
    this.own = new ObjectServer({
      ...own,
      session,
      storage: channel.storage,
      stateRequests: () => this.#state.requests,
      unasked: (open, text) => this.streamsOf(open).receive(undefined, [text]),
      log,
    });
  }

  /** Whether an exchange holds the session open: its answer is still to begin, or it is a task's call. */
  get isWaiting(): boolean {
    return this.#exchanges.isWaiting;
  }

  /** Whether the gateway keeps the object in memory: by an exchange, or by a stream of the upstream. */
  get isBusy(): boolean {
    return this.openExchanges > 0 || this.#listener !== undefined;
  }

  /** How many exchanges are under way. */
  get openExchanges(): number {
    return this.#exchanges.open;
  }

  /** Makes a session with an upstream session of its own: see `openSession`. */
  async initialize(request: InitializeRequest, ...made: ToMake): Promise<Opened> {
    // The first calls of a client may come together: each would open an upstream session.
    while (this.#opening) {
      const other = await this.#opening.catch(() => undefined);
      if (!other?.ok) continue;
      if (other.value.kind === "initialized") return refuse("session_already_exists");
      // A silent upstream is waited for once. Another failure may be about the other one's credential.
      if (other.value.kind === "failed" && other.value.failure === FAILURES.timedOut) return other;
    }
    this.#opening = this.#open(request, made).finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  async #open(request: InitializeRequest, made: ToMake): Promise<Opened> {
    this.#headers = request.headers;
    const upstream = this.#upstream(request.upstream);
    if (!upstream) return refuse("session_not_found");
    const terminate: Gateway["terminate"] = (...given) => this.terminate(...given);
    return openSession({ ...this.#parts, upstream, own: this.own, terminate }, request, made);
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

  #start(link: UpstreamLink, request: ExchangeRequest, how?: How): Outcome<Exchange> {
    const begun = this.#exchanges.begin(link, request, how);
    if (begun.ok) this.#state.remember(request, begun.value.answer);
    return begun;
  }

  #eraOn(session: GatewaySession): EraCalls | undefined {
    const link = this.#linkOf(session);
    return link && this.#eraOf(link);
  }

  #eraOf(link: UpstreamLink): EraCalls {
    return (this.#eraCalls ??= new EraCalls({
      link,
      channel: this.#parts.channel,
      limits: this.#parts.limits,
      level: () => this.#state,
      eras: this.#eras,
      own: this.own,
      start: (request, how) => this.#start(link, request, how),
      over: this.#parts.over,
      wakeTask: this.#parts.wakeTask,
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
      // The call waits for its client's answers, if the client can still come back.
      if (isEra(session)) return this.#eraOf(link).isAwaited(left);
      if (left.upstreamId === undefined) return false;
      const request: ExchangeRequest = {
        match: { type: "", upstream: link.upstream.name },
        body: "",
        batch: left.asked.length > 1,
        pending: left.pending,
        cancels: [],
        initialize: false,
        headers: this.#headers,
        delivery: "own",
      };
      return this.#start(link, request, { left }).ok;
    });
  }

  /** The client has cancelled these requests, and the upstream has accepted that. */
  cancel(session: GatewaySession, ids: readonly RequestId[]): void {
    const link = this.#linkOf(session);
    if (link) this.#exchanges.cancel(link, ids);
  }

  /** The session has another owner, who must not answer in place of the last one. */
  restart(session: GatewaySession): void {
    this.own.restart();
    // A caller who replaced the session's content may have removed the mark of the bridge.
    const link = this.#linkOf(session);
    if (link) this.#exchanges.parked(link).drop();
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
    return (this.#streams ??= new GatewayStreams(this.#parts.channel, session.epoch, {
      listens: (metadata) => this.#listen(session, metadata),
      subscription: (metadata) => this.#eras.subscription(metadata),
      divert: isEra(session) ? (texts) => this.#eraOn(session)?.unasked(texts) ?? [] : undefined,
    }));
  }

  /** Handles a word from a bridge: about its reader, or about the upstream's stream that it holds. */
  receive(session: GatewaySession, socket: WebSocket, stream: number, word: string): void {
    const streams = this.streamsOf(session);
    if (word === MORE) streams.sendPage(socket);
    else if (stream !== STANDALONE_STREAM) return;
    else if (word === UPSTREAM_HELD) streams.held();
    else if (word.startsWith(UPSTREAM_RETRY)) streams.retry(word.slice(UPSTREAM_RETRY.length));
    else if (word.startsWith(UPSTREAM_MESSAGE)) {
      const { id, data } = readUpstreamMessage(word);
      if (!streams.isBetween) streams.receive(id, unaskedIn(data));
    } else if (word.startsWith(UPSTREAM_LOST))
      this.#lost(session, word.slice(UPSTREAM_LOST.length));
  }

  /** Before the session ends: returns a function that answers the calls that wait for its client. */
  waiting(session: GatewaySession): () => void {
    const link = isBridgedSid(bindingOf(session.metadata).sid) && this.#linkOf(session);
    return link ? this.#exchanges.parked(link).farewell() : () => undefined;
  }

  /**
   * The session has ended: nothing more of it is stored. Returns a function that ends its exchanges
   * and its upstream session, and that resolves when the upstream has answered. `headers` are those
   * of the client that ended it.
   */
  silence(metadata: Metadata, headers?: Headers): () => Promise<void> {
    this.#streams = undefined;
    this.#link = undefined;
    this.#eraCalls?.end();
    this.#eraCalls = undefined;
    this.#listener?.end();
    this.#listener = undefined;
    this.own.end();
    const answerWaiting = this.#exchanges.abandon();
    return () => {
      answerWaiting();
      return this.terminate(metadata, headers);
    };
  }

  async terminate(metadata: Metadata, headers: Headers = {}): Promise<void> {
    const upstream = this.#upstream(metadata[GATEWAY_KEYS.upstream]);
    if (upstream) await endBinding(upstream, bindingOf(metadata), headers);
  }

  #upstream(name: string | undefined): Upstream | undefined {
    this.#upstreams ??= this.#eras.over(this.#parts.openUpstreams(this.own.sends));
    return this.#upstreams.get(name ?? "");
  }

  #linkOf(session: GatewaySession): UpstreamLink | undefined {
    if (this.#link) return this.#link;
    const upstream = this.#upstream(session.metadata[GATEWAY_KEYS.upstream]);
    if (!upstream) return undefined;
    const streams = this.streamsOf(session);
    return (this.#link = new UpstreamLink({
      upstream,
      session: this.#parts.session,
      streams,
      maxBytes: this.#parts.limits.bodyMaxBytes,
      stateRequests: () => this.#state.requests,
      adopted: (metadata, messages) => {
        if (isEra(session)) describe(this.#parts.channel.storage.kv, messages);
        streams.followUpstream(metadata);
      },
    }));
  }

  get #state(): UpstreamState {
    return (this.#stateOf ??= new UpstreamState(this.#parts.channel.storage));
  }

  /** Listens to an upstream whose stream lives in this object. Returns whether it is one. */
  #listen(session: GatewaySession, metadata: Metadata): boolean {
    const link = this.#linkOf(session);
    if (!link?.upstream.listensInObject) return false;
    // A server of one's own hands over messages of no request by itself, and so the object can sleep.
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
