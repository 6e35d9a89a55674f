/**
 * A session's link to its upstream: sends requests under the upstream's own session id, makes a new
 * upstream session, once, when that one is lost, and sends nothing twice that may have been executed.
 */
import { isBridgedSid } from "../eras/wire.ts";
import { isHarmless, type RequestId } from "../json-rpc.ts";
import {
  bindingOf,
  endBinding,
  handshakeMetadata,
  initialize,
  OWN_INITIALIZE,
  sendInitialized,
  terminate,
  type Binding,
  type Handshake,
} from "../upstream/handshake.ts";
import { askedWithin, call, type Call, type CallOptions, type Reply } from "../upstream/call.ts";
import {
  FAILURES,
  HandshakeRefused,
  isBroken,
  SessionGone,
  UpstreamError,
} from "../upstream/failure.ts";
import { asksFirst, healthOf, soundFirst } from "../upstream/health.ts";
import { hear, hearHead, hearOne } from "../upstream/hear.ts";
import { meaningOf, type Meaning, type Question, type Settled } from "../upstream/meaning.ts";
import { replicaAt, type Replica, type Upstream } from "../upstream/upstream.ts";
import { SharedTimer } from "../upstream/call-deadline.ts";
import { within } from "../../wire/timers.ts";
import type { OpenSession, SessionAccess } from "../contract.ts";
import type { GatewayStreams } from "./streams.ts";
import { restate } from "./upstream-state.ts";

type Headers = Readonly<Record<string, string>>;

interface LinkParts {
  readonly upstream: Upstream;
  readonly session: SessionAccess;
  readonly streams: GatewayStreams;
  /** Bytes of one message of the upstream. */
  readonly maxBytes: number;
  /** The requests that a new upstream session is sent before any other. */
  readonly stateRequests: () => readonly string[];
  /** The session has another upstream session, by its metadata. The server's answer to initialize is the last message. */
  readonly adopted: (metadata: OpenSession["metadata"], messages: readonly string[]) => void;
}

/** A POST of the client. */
interface Parcel {
  readonly body: string;
  /** Its requests. */
  readonly pending: readonly RequestId[];
  readonly headers: Headers;
  /** A round of a call that only a server of the stateless era understands. */
  readonly isRound?: boolean;
  /** Milliseconds until its answer must begin, in place of the upstream's timeout. */
  readonly withinMs?: number | undefined;
}

/** An answer that is a stream. */
export interface Streamed {
  readonly kind: "stream";
  /** Undefined: the stream is one that was left, and is resumed. */
  readonly reply: Reply | undefined;
  /** The upstream session that it came under, until a ping has settled whether that is lost. */
  readonly doubted: Binding | undefined;
  /** Whether a server of the stateless era sends it. */
  readonly bridged: boolean;
}

/** The verdict of a ping on the upstream and its session: the session is kept where nothing shows that it is lost. */
type Verdict = "kept" | "lost" | "down";

export class UpstreamLink {
  /** One timer for everything that the session's exchanges wait for. */
  readonly timer = new SharedTimer();
  readonly streams: GatewayStreams;
  readonly upstream: Upstream;
  readonly #parts: LinkParts;
  /** Set while a new upstream session is being made. Every request that needs one waits for it. */
  #recovery: Promise<void> | undefined;
  /** Set while a ping asks the upstream about a session. Every request that doubts the same session waits for it. */
  #question: { readonly about: Binding; readonly verdict: Promise<Verdict> } | undefined;

  constructor(parts: LinkParts) {
    this.#parts = parts;
    this.upstream = parts.upstream;
    this.streams = parts.streams;
  }

  /**
   * Posts a body. If the upstream has lost the session, which it says by refusing the body, this
   * initializes anew and sends it once more. If the connection breaks, the body may have been
   * executed: only what is harmless is sent to another replica then.
   */
  async post(parcel: Parcel, signal?: AbortSignal): Promise<Streamed | Settled> {
    let binding = await this.#soundBinding(parcel);
    let meaning: Streamed | Meaning;
    try {
      meaning = await this.#send(binding, parcel, signal);
    } catch (failure) {
      const mayRepeat = this.upstream.replicas.length > 1 && isHarmless(parcel.body);
      if (!isBroken(failure) || !mayRepeat) throw failure;
      await this.#recover(binding, parcel.headers, true);
      binding = this.#binding();
      meaning = await this.#send(binding, parcel, signal);
    }
    if (meaning.kind !== "doubt") return meaning;
    return (await this.repeatIfLost(binding, parcel, signal)) ?? meaning.otherwise;
  }

  /**
   * The upstream's answer may say that its session `doubted` is lost. If it is, this initializes
   * anew and posts the body once more; undefined where it lives, or where nobody can tell.
   */
  async repeatIfLost(
    doubted: Binding,
    parcel: Parcel,
    signal?: AbortSignal,
  ): Promise<Streamed | Settled | undefined> {
    if ((await this.#ask(doubted, parcel.headers)) !== "lost") return undefined;
    await this.#recover(doubted, parcel.headers, false);
    const meaning = await this.#send(this.#binding(), parcel, signal);
    // Once in a row: an upstream may know no session that it makes.
    if (meaning.kind === "doubt") return meaning.otherwise;
    return meaning.kind === "stream" ? { ...meaning, doubted: undefined } : meaning;
  }

  /** Takes up an SSE answer that broke off. */
  async resume(lastEventId: string, headers: Headers, signal: AbortSignal): Promise<Reply> {
    return this.#call(this.#binding(), { method: "GET", lastEventId, headers }, { signal });
  }

  /** Asks for the upstream's standalone stream, after an event of it. */
  async listen(headers: Headers, signal: AbortSignal, lastEventId?: string): Promise<Reply> {
    const options = { signal, withinMs: this.upstream.silenceMs };
    return this.#call(this.#binding(), { method: "GET", lastEventId, headers }, options);
  }

  /**
   * The upstream would not give the session's standalone stream. A server answers alike if it
   * does not know the session and if it has no such stream, so this asks, and makes a new
   * upstream session if this one is lost. `headers` are those of the client that listens.
   */
  async confirm(headers: Headers): Promise<void> {
    const binding = this.#binding();
    if ((await this.#ask(binding, headers)) === "lost")
      await this.#recover(binding, headers, false);
  }

  /** Ends the upstream session, and makes a new one in its place: also where the upstream ends none. Throws UpstreamError. */
  async renew(headers: Headers): Promise<void> {
    const stale = this.#binding();
    const ended = endBinding(this.upstream, stale, headers);
    await within(ended, askedWithin(this.upstream), () => undefined);
    await this.#recover(stale, headers, false);
  }

  /** The client's own initialize, sent on by the session of a legacy stream. */
  async initialize(body: string, headers: Headers): Promise<Handshake> {
    const stale = this.#binding();
    const { maxBytes } = this.#parts;
    const replicas = soundFirst(this.upstream.replicas);
    const handshake = await initialize(this.upstream, replicas, body, headers, maxBytes);
    this.#adopt(handshake, body, headers);
    // A client that initializes again has given up the session that it had.
    void endBinding(this.upstream, stale, headers);
    return handshake;
  }

  #binding(): Binding {
    const session = this.#current();
    if (!session) throw new SessionGone();
    return bindingOf(session.metadata);
  }

  /** The session of this link; undefined once it has ended, even if another was made under its id. */
  #current(): OpenSession | undefined {
    const session = this.#parts.session();
    return session?.epoch === this.streams.epoch ? session : undefined;
  }

  /** The upstream session for a body, with a replica that is not known to be down. */
  async #soundBinding({ body, headers }: Parcel): Promise<Binding> {
    const binding = await this.#initialized(headers);
    const replica = replicaAt(this.upstream, binding.url);
    if (!asksFirst(this.upstream, replica) || isHarmless(body)) return binding;
    const verdict = await this.#ask(binding, headers);
    if (verdict === "kept") return this.#binding();
    await this.#recover(binding, headers, verdict === "down");
    return this.#binding();
  }

  /** A client of a legacy stream that came back after a drop does not initialize again. */
  async #initialized(headers: Headers): Promise<Binding> {
    const binding = this.#binding();
    if (binding.initBody !== undefined) return binding;
    await this.#recover(binding, headers, false);
    return this.#binding();
  }

  async #send(
    binding: Binding,
    { body, pending, headers, isRound = false, withinMs }: Parcel,
    signal?: AbortSignal,
  ): Promise<Streamed | Meaning> {
    const bridged = isBridgedSid(binding.sid);
    // The upstream is another server now, which would execute the call from its beginning.
    if (isRound && !bridged) throw new UpstreamError(FAILURES.interrupted);
    const options = { signal, withinMs };
    const reply = await this.#call(binding, { method: "POST", body, headers }, options);
    const question = this.#questionOf(binding, pending);
    if (reply.ok && reply.isEventStream && pending.length > 0) {
      return { kind: "stream", reply, doubted: question.mayBeLost ? binding : undefined, bridged };
    }
    const isTaken = reply.ok && pending.length === 0;
    const heard = isTaken ? hearHead(reply) : await hear(reply, this.#parts.maxBytes);
    const meaning = meaningOf(question, heard);
    return meaning.kind === "answer" ? { ...meaning, bridged } : meaning;
  }

  /** The question that these requests put to the upstream. */
  #questionOf({ url, sid }: Binding, pending: readonly RequestId[]): Question {
    const { forwardAuthorization } = this.upstream;
    // A server of the stateless era may stand where one with sessions stood.
    const mayChange = replicaAt(this.upstream, url).modern !== undefined;
    return { pending, mayBeLost: sid !== undefined, mayChange, forwardAuthorization };
  }

  /** Checks an upstream session by a ping. Requests that ask at the same time share the answer. */
  async #ask(about: Binding, headers: Headers): Promise<Verdict> {
    const now = this.#binding();
    // The session was replaced, or is being replaced: `#recover` waits for the new one.
    if (this.#recovery || now.sid !== about.sid || now.url !== about.url) return "lost";
    const asked = this.#question;
    if (asked && asked.about.sid === about.sid && asked.about.url === about.url) {
      return asked.verdict;
    }
    const verdict = this.#ping(about, headers).finally(() => {
      if (this.#question === question) this.#question = undefined;
    });
    const question = { about, verdict };
    this.#question = question;
    return verdict;
  }

  async #ping(binding: Binding, headers: Headers): Promise<Verdict> {
    // An upstream of 2024-11-05 has one stream for all calls, so the id must be no client's.
    const id = JSON.stringify(`holdfast-${crypto.randomUUID()}`);
    const body = `{"jsonrpc":"2.0","id":${id},"method":"ping"}`;
    const options = { withinMs: askedWithin(this.upstream) };
    try {
      const reply = await this.#call(binding, { method: "POST", body, headers }, options);
      const heard = await hearOne(reply, id, this.#parts.maxBytes);
      const question = this.#questionOf(binding, [id]);
      return meaningOf(question, heard).kind === "doubt" ? "lost" : "kept";
    } catch (failure) {
      if (!(failure instanceof UpstreamError)) throw failure;
      const isSilent = failure.failure === FAILURES.timedOut;
      if (!isSilent && !failure.broken) return "kept";
      healthOf(replicaAt(this.upstream, binding.url)).broke();
      return "down";
    }
  }

  #call(
    { url, sid, version }: Binding,
    parts: Omit<Call, "sid" | "version">,
    options: Pick<CallOptions, "signal" | "withinMs">,
  ): Promise<Reply> {
    const { upstream, timer } = this;
    const request = { ...parts, sid, version };
    return call(upstream, replicaAt(upstream, url), request, { ...options, timer });
  }

  /** Makes a new upstream session in place of the one in `stale`, unless another call has done so meanwhile. */
  async #recover(stale: Binding, headers: Headers, elsewhere: boolean): Promise<void> {
    if (!this.#recovery) {
      const { url, sid } = this.#binding();
      if (url !== stale.url || sid !== stale.sid) return;
      this.#recovery = this.#reinitialize(stale, headers, elsewhere).finally(() => {
        this.#recovery = undefined;
      });
    }
    await this.#recovery;
  }

  async #reinitialize(stale: Binding, headers: Headers, elsewhere: boolean): Promise<void> {
    const body = stale.initBody ?? OWN_INITIALIZE;
    const handshake = await this.#handshake(stale, body, headers, elsewhere);
    this.#mustExist(handshake, headers);
    try {
      if (stale.version !== undefined && handshake.version !== stale.version) {
        throw new UpstreamError(FAILURES.changed);
      }
      await sendInitialized(this.upstream, handshake, headers);
      await restate(this.upstream, handshake, headers, this.#parts.stateRequests());
    } catch (failure) {
      this.#drop(handshake, headers);
      throw failure;
    }
    this.#adopt(handshake, body, headers);
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
    // The session's own replica comes first, or last if its connection broke.
    const isLater = (replica: Replica) => Number((replica.url === url) === elsewhere);
    const replicas = soundFirst(this.upstream.replicas).toSorted((a, b) => isLater(a) - isLater(b));
    try {
      return await initialize(this.upstream, replicas, body, headers, this.#parts.maxBytes);
    } catch (failure) {
      if (!(failure instanceof HandshakeRefused)) throw failure;
      const { status, headers } = failure;
      const kept = status === 200 ? {} : { status, headers };
      throw new UpstreamError({ ...FAILURES.refused, ...kept }, { cause: failure, status });
    }
  }

  /** Stores the new upstream session, or ends it if its session has ended. */
  #adopt(handshake: Handshake, body: string, headers: Headers): void {
    const session = this.#mustExist(handshake, headers);
    const metadata = session.patchMetadata(handshakeMetadata(handshake, body));
    if (metadata) return this.#parts.adopted(metadata, handshake.messages);
    this.#drop(handshake, headers);
    throw new UpstreamError(FAILURES.noRoom);
  }

  #mustExist(handshake: Handshake, headers: Headers): OpenSession {
    const session = this.#current();
    if (session) return session;
    this.#drop(handshake, headers);
    throw new SessionGone();
  }

  #drop(handshake: Handshake, headers: Headers): void {
    void terminate(this.upstream, handshake, headers);
  }
}
