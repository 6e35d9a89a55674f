/**
 * A session's link to its upstream: sends requests under the upstream's own session id, and makes
 * a new upstream session, once, when that one is lost.
 */
import { isObject, parseJson } from "../../wire/json.ts";
import { RPC_CODES } from "../json-rpc.ts";
import {
  bindingOf,
  handshakeMetadata,
  HandshakeRefused,
  initialize,
  OWN_INITIALIZE,
  sendInitialized,
  terminate,
  type Binding,
  type Handshake,
} from "../upstream/handshake.ts";
import { call, type Call } from "../upstream/call.ts";
import { FAILURES, UpstreamError } from "../upstream/failure.ts";
import type { Reply } from "../upstream/call.ts";
import { replicaAt, type Replica, type Upstream } from "../upstream/upstream.ts";
import { SharedTimer } from "../upstream/call-deadline.ts";
import type { OpenSession, SessionAccess } from "../contract.ts";
import type { GatewayStreams } from "./streams.ts";

const PING = JSON.stringify({ jsonrpc: "2.0", id: "holdfast-ping", method: "ping" });

type Headers = Readonly<Record<string, string>>;

/**
 * Whether the JSON-RPC error in a 400 is about the session. The specification has servers answer
 * 404 to an id that they do not know, but the SDKs' examples answer 400, and so do the servers
 * that follow them, with one of these two codes.
 */
function saysSessionLost(text: string): boolean {
  const value = parseJson(text);
  const error = isObject(value) ? value["error"] : undefined;
  if (!isObject(error) || typeof error["message"] !== "string") return false;
  const { serverError, invalidRequest } = RPC_CODES;
  const isAboutRequest = error["code"] === serverError || error["code"] === invalidRequest;
  return isAboutRequest && /\bsession\b|not initialized/i.test(error["message"]);
}

/** The session ended while the upstream was being asked. */
export class SessionGone extends Error {
  override readonly name = "SessionGone";
}

export class UpstreamLink {
  /** One timer for everything that the session's exchanges wait for. */
  readonly timer = new SharedTimer();
  readonly streams: GatewayStreams;
  readonly upstream: Upstream;
  readonly #session: SessionAccess;
  readonly #maxBytes: number;
  /** Set while a new upstream session is being made. Every request that needs one waits for it. */
  #recovery: Promise<void> | undefined;

  /** `maxBytes` bounds one message of the upstream. */
  constructor(
    upstream: Upstream,
    session: SessionAccess,
    streams: GatewayStreams,
    maxBytes: number,
  ) {
    this.upstream = upstream;
    this.#session = session;
    this.streams = streams;
    this.#maxBytes = maxBytes;
  }

  /**
   * Posts a body. If the upstream has forgotten the session, or cannot be reached and has
   * another replica, this initializes anew and sends the body once more.
   */
  async post(body: string, headers: Headers, signal?: AbortSignal): Promise<Reply> {
    const binding = await this.#initialized(headers);
    let reply: Reply | undefined;
    try {
      reply = await this.#post(binding, body, headers, signal);
      if (binding.sid === undefined) return reply;
      if (reply.status === 400 && reply.isJson) {
        const text = await reply.text(this.#maxBytes);
        if (!saysSessionLost(text)) return reply.unread(text);
      } else if (reply.status === 404) reply.discard();
      else return reply;
    } catch (failure) {
      if (!(failure instanceof UpstreamError) || !failure.unreachable) throw failure;
      if (this.upstream.replicas.length < 2) throw failure;
    }
    await this.#recover(binding, headers, reply === undefined);
    return this.#post(this.#binding(), body, headers, signal);
  }

  /** Takes up an SSE answer that broke off. */
  resume(lastEventId: string, headers: Headers, signal: AbortSignal): Promise<Reply> {
    const binding = this.#binding();
    const { version } = binding;
    return this.#call(binding, { method: "GET", lastEventId, version, headers }, signal);
  }

  /**
   * The upstream would not give the session's standalone stream. A server answers alike if it
   * does not know the session and if it has no such stream. A ping tells the two apart, and
   * makes a new upstream session if this one is lost, as any request does.
   */
  async confirm(): Promise<void> {
    (await this.post(PING, {})).discard();
  }

  /** Makes a new upstream session in place of the one in `stale`, unless another call has done so meanwhile. */
  async #recover(stale: Binding, headers: Headers, elsewhere: boolean): Promise<void> {
    if (!this.#recovery) {
      const { url, sid } = this.#binding();
      if (url !== stale.url || sid !== stale.sid) return;
      const recovery = this.#reinitialize(stale, headers, elsewhere).finally(() => {
        this.#recovery = undefined;
      });
      this.#recovery = recovery;
    }
    await this.#recovery;
  }

  /** The client's own initialize, sent on by the session of a legacy stream. */
  async initialize(body: string, headers: Headers): Promise<Handshake> {
    const { url, sid, version } = this.#binding();
    const handshake = await initialize(
      this.upstream,
      this.upstream.replicas,
      body,
      headers,
      this.#maxBytes,
    );
    this.#adopt(handshake, body);
    // A client that initializes again has given up the session that it had.
    if (sid !== undefined) {
      void terminate(this.upstream, replicaAt(this.upstream, url), sid, version);
    }
    return handshake;
  }

  #binding(): Binding {
    const session = this.#current();
    if (!session) throw new SessionGone();
    return bindingOf(session.metadata);
  }

  /** The session of this link; undefined once it has ended, even if another was made under its id. */
  #current(): OpenSession | undefined {
    const session = this.#session();
    return session?.epoch === this.streams.epoch ? session : undefined;
  }

  /** A client of a legacy stream that came back after a drop does not initialize again. */
  async #initialized(headers: Headers): Promise<Binding> {
    const binding = this.#binding();
    if (binding.initBody !== undefined) return binding;
    await this.#recover(binding, headers, false);
    return this.#binding();
  }

  #post(binding: Binding, body: string, headers: Headers, signal?: AbortSignal): Promise<Reply> {
    const version = headers["mcp-protocol-version"] ?? binding.version;
    return this.#call(binding, { method: "POST", body, version, headers }, signal);
  }

  #call({ url, sid }: Binding, parts: Omit<Call, "sid">, signal?: AbortSignal): Promise<Reply> {
    const replica = replicaAt(this.upstream, url);
    return call(this.upstream, replica, { ...parts, sid }, { signal, timer: this.timer });
  }

  async #reinitialize(stale: Binding, headers: Headers, elsewhere: boolean): Promise<void> {
    const body = stale.initBody ?? OWN_INITIALIZE;
    const handshake = await this.#handshake(stale, body, headers, elsewhere);
    this.#mustExist(handshake);
    try {
      if (stale.version !== undefined && handshake.version !== stale.version) {
        throw new UpstreamError(FAILURES.changed);
      }
      await sendInitialized(this.upstream, handshake, headers);
    } catch (failure) {
      this.#drop(handshake);
      throw failure;
    }
    this.#adopt(handshake, body);
  }

  /**
   * The end of the session does not abort this: the upstream may have made a session by then, and
   * only its answer says which one to end.
   */
  async #handshake(
    { url }: Binding,
    body: string,
    headers: Headers,
    elsewhere: boolean,
  ): Promise<Handshake> {
    // This header says what initialize agreed on, so initialize itself has none.
    const { "mcp-protocol-version": _agreed, ...others } = headers;
    // The session's own replica comes first, or last if it cannot be reached.
    const isLater = (replica: Replica) => Number((replica.url === url) === elsewhere);
    const replicas = this.upstream.replicas.toSorted((a, b) => isLater(a) - isLater(b));
    try {
      return await initialize(this.upstream, replicas, body, others, this.#maxBytes);
    } catch (failure) {
      if (!(failure instanceof HandshakeRefused)) throw failure;
      throw new UpstreamError(FAILURES.refused, { cause: failure });
    }
  }

  /** Stores the new upstream session, or ends it if its session has ended. */
  #adopt(handshake: Handshake, body: string): void {
    const session = this.#mustExist(handshake);
    const metadata = session.patchMetadata(handshakeMetadata(handshake, body));
    if (metadata) return this.streams.followUpstream(metadata);
    this.#drop(handshake);
    throw new UpstreamError(FAILURES.noRoom);
  }

  #mustExist(handshake: Handshake): OpenSession {
    const session = this.#current();
    if (session) return session;
    this.#drop(handshake);
    throw new SessionGone();
  }

  #drop({ replica, sid, version }: Handshake): void {
    if (sid !== undefined) void terminate(this.upstream, replica, sid, version);
  }
}
