/**
 * The gateway's part of a session's object, all that the object sees of it: its
 * exchanges, its streams, its link to the upstream, and what the end of the session
 * means for them.
 */
import type { Logger } from "../../logger.ts";
import { GATEWAY_KEYS, type Metadata } from "../../core/content.ts";
import {
  type ExchangeAnswer,
  type ExchangeRequest,
  type InitializeAnswer,
  type InitializeRequest,
  type GatewayStart,
  STANDALONE_STREAM,
} from "../contract.ts";
import { isObject, parseJson } from "../../wire/json.ts";
import { messageOf, rpcError } from "../json-rpc.ts";
import { refusesBatches } from "../versions.ts";
import { refuse, succeed, type Outcome } from "../../core/errors.ts";
import { exceeds } from "../../wire/bytes.ts";
import {
  MORE,
  readUpstreamMessage,
  UPSTREAM_HELD,
  UPSTREAM_LOST,
  UPSTREAM_MESSAGE,
} from "../../stream/protocol.ts";
import { FAILURES, failureOf, mayPass } from "../upstream/failure.ts";
import {
  agreedVersion,
  bindingOf,
  handshakeMetadata,
  HandshakeRefused,
  initialize,
  terminate,
  type Handshake,
} from "../upstream/handshake.ts";
import { replicaAt, type Upstream, type Upstreams } from "../upstream/upstream.ts";
import type { EventLogLimits } from "../../stream/event-log.ts";
import { Exchange, type ExchangeLimits } from "./exchange.ts";
import { GatewayStreams, type SessionHolder } from "./streams.ts";
import { UpstreamLink } from "./upstream-link.ts";
import type { Subscribers } from "../../stream/subscribers.ts";

/** What a session made by an initialize is stored with. */
export type InitializedMetadata = Readonly<Record<string, string>>;

export interface GatewayParts {
  readonly storage: DurableObjectStorage;
  readonly writers: Subscribers;
  readonly session: SessionHolder;
  /** Makes the configured upstreams; called once, by the first session that has one. */
  readonly openUpstreams: () => Upstreams;
  readonly limits: ExchangeLimits & EventLogLimits;
  readonly log: Logger;
}

export class Gateway {
  readonly #port: GatewayStreams;
  readonly #limits: ExchangeLimits;
  readonly #log: Logger;
  readonly #open: () => Upstreams;
  #upstreams: Upstreams | undefined;
  #running = new Set<Exchange>();
  #looked = false;
  #link: { readonly epoch: string; readonly link: UpstreamLink } | undefined;

  constructor({ storage, writers, session, openUpstreams, limits, log }: GatewayParts) {
    this.#port = new GatewayStreams(storage, writers, session, limits);
    this.#open = openUpstreams;
    this.#limits = limits;
    this.#log = log;
  }

  /** Exchanges under way. */
  get running(): number {
    return this.#running.size;
  }

  /** Makes an upstream session for a session to come; `make` makes that, and refuses where it cannot. */
  async initialize(
    { upstream: name, body, headers }: InitializeRequest,
    make: (metadata: InitializedMetadata) => Outcome<unknown>,
  ): Promise<Outcome<InitializeAnswer>> {
    const upstream = this.#upstream(name);
    if (!upstream) return refuse("session_not_found");
    let handshake: Handshake;
    try {
      const { bodyMaxBytes } = this.#limits;
      handshake = await initialize(upstream, upstream.replicas, body, headers, bodyMaxBytes);
    } catch (failure) {
      return succeed(this.#notInitialized(upstream, failure));
    }
    const metadata = handshakeMetadata(handshake, body);
    const kept = Object.entries(metadata).filter(
      (entry): entry is [string, string] => entry[1] !== null,
    );
    const made = make({ ...Object.fromEntries(kept), [GATEWAY_KEYS.upstream]: name });
    if (made.ok) return succeed({ kind: "initialized", messages: handshake.messages });
    const { replica, sid, version } = handshake;
    if (sid !== undefined) void terminate(upstream, replica, sid, version);
    return made;
  }

  /** Carries one POST of the client's. The session is there, and admits the caller. */
  async exchange(request: ExchangeRequest): Promise<Outcome<ExchangeAnswer>> {
    const link = this.#linkNow();
    if (!link) return refuse("session_not_found");
    if (request.batch) {
      const version = agreedVersion(bindingOf(this.#port.session()?.metadata ?? {}));
      if (version !== undefined && refusesBatches(version)) {
        return refuse("invalid_request", `${version} has no batches`);
      }
    }
    const exchange = new Exchange(request, link, this.#port, this.#limits, this.#log);
    this.#running.add(exchange);
    void exchange.run().finally(() => {
      this.#running.delete(exchange);
      this.#port.exchangeEnded();
    });
    const answer = await exchange.answer;
    if (answer.ok && answer.value.kind === "accepted") {
      for (const id of request.cancels) for (const one of this.#running) one.cancel(id);
    }
    return answer;
  }

  /** Attaches a stream's reader, in place of the one it had. False: it cannot start there. */
  attach(socket: WebSocket, start: GatewayStart): boolean {
    return this.#port.attach(socket, start);
  }

  /** A word from the bridge of one of the streams: about the reader, or about the upstream's stream that it holds. */
  receive(socket: WebSocket, stream: number, word: string): void {
    if (word === MORE) return this.#port.sendPage(socket);
    if (stream !== STANDALONE_STREAM) return;
    if (word === UPSTREAM_HELD) this.#port.held();
    else if (word.startsWith(UPSTREAM_MESSAGE)) this.#deliver(word);
    else if (word.startsWith(UPSTREAM_LOST)) this.#lost(word.slice(UPSTREAM_LOST.length));
  }

  /**
   * Exchanges that were under way when the object was last in memory will not be
   * answered by anybody else. Those that began since then are not among them, so this
   * looks once, however often the session is loaded.
   */
  interrupted(): void {
    if (this.#looked) return;
    this.#looked = true;
    const table = this.#port.exchanges();
    for (const open of table.open()) {
      for (const id of open.pending) {
        const { code, message } = FAILURES.interrupted;
        this.#port.append(open.stream, rpcError(code, message, id));
      }
      table.savePending(open, []);
      if (open.stream !== STANDALONE_STREAM) this.#port.endStream(open.stream);
    }
  }

  /** The session has ended: so do its exchanges, and its upstream session. Resolves when the upstream was told. */
  async end(metadata: Metadata): Promise<void> {
    this.#link = undefined;
    for (const exchange of this.#running) exchange.abandon();
    this.#running = new Set();
    const { url, sid, version } = bindingOf(metadata);
    const upstream = this.#upstream(metadata[GATEWAY_KEYS.upstream]);
    if (upstream && sid !== undefined) {
      await terminate(upstream, replicaAt(upstream, url), sid, version);
    }
  }

  #upstream(name: string | undefined): Upstream | undefined {
    if (name === undefined) return undefined;
    this.#upstreams ??= this.#open();
    return this.#upstreams.get(name);
  }

  #linkNow(): UpstreamLink | undefined {
    const session = this.#port.session();
    if (!session) return undefined;
    if (this.#link?.epoch === session.epoch) return this.#link.link;
    const upstream = this.#upstream(session.metadata[GATEWAY_KEYS.upstream]);
    if (!upstream) return undefined;
    const { epoch } = session;
    const { bodyMaxBytes } = this.#limits;
    const link = new UpstreamLink(upstream, this.#port, epoch, bodyMaxBytes);
    this.#link = { epoch, link };
    return link;
  }

  #notInitialized(upstream: Upstream, failure: unknown): InitializeAnswer {
    if (failure instanceof HandshakeRefused) {
      const { status, body } = failure;
      return mayPass(status)
        ? { kind: "refused", status, body }
        : { kind: "failed", failure: FAILURES.refused };
    }
    const seen = failureOf(failure);
    this.#log.warn("upstream.failed", { upstream: upstream.name, failure: seen.message });
    return { kind: "failed", failure: seen };
  }

  /** The upstream's stream carries requests and notifications; an answer on it is to nobody. */
  #deliver(word: string): void {
    if (!this.#port.session()) return;
    const { id, data } = readUpstreamMessage(word);
    const message = messageOf(parseJson(data));
    const fits = !exceeds(data, this.#limits.eventMaxBytes);
    const isForClient = message !== undefined && message.kind !== "response" && fits;
    this.#port.take(id, isForClient ? data : undefined);
  }

  #lost(json: string): void {
    const link = this.#linkNow();
    const told = parseJson(json);
    if (!link || !isObject(told)) return;
    const { sid } = bindingOf(this.#port.session()?.metadata ?? {});
    if (sid === undefined || told["sid"] !== sid) return;
    link.confirm().catch((cause: unknown) => {
      this.#log.warn("upstream.failed", { upstream: link.upstream.name, cause: String(cause) });
    });
  }
}
