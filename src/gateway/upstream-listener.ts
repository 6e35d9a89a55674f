/**
 * Listens to the upstream's standalone stream while a client follows the session's, and sends its
 * events to the session's object over the reader's socket. The Worker does this, and not the
 * object, so that the object can sleep.
 */
import type { StreamSocket } from "../core/host.ts";
import {
  MAX_RETRY_AFTER_MS,
  MAX_UPSTREAM_REFUSED_MS,
  MAX_UPSTREAM_RETRY_MS,
  MIN_UPSTREAM_RETRY_MS,
  UPSTREAM_RETRY_MS,
} from "../core/limits.ts";
import { SseParser } from "../wire/sse-parser.ts";
import {
  BACKEND,
  READER_GONE,
  UPSTREAM_HELD,
  UPSTREAM_LOST,
  UPSTREAM_RETRY,
  upstreamMessage,
  type Backend,
  type Lost,
} from "../stream/protocol.ts";
import { isObject, parseJson } from "../wire/json.ts";
import { plainNotification } from "./eras/results.ts";
import {
  ACKNOWLEDGED,
  LISTEN,
  METHOD_NOT_FOUND,
  MODERN_HEADERS,
  MODERN_VERSION,
} from "./eras/wire.ts";
import { call, type Call, type Reply } from "./upstream/call.ts";
import { sleep } from "../wire/timers.ts";
import { mayMeanLost } from "./upstream/meaning.ts";
import { replicaAt, type Upstream } from "./upstream/upstream.ts";

interface ListenerParts {
  readonly upstream: Upstream;
  /** The reader's socket, which leads to the session's object. */
  readonly socket: StreamSocket;
  /** The client's headers that go on to the upstream. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes that one event may hold, in UTF-8. */
  readonly maxBytes: number;
}

/** The meaning of a refusal of the stream. */
type Refusal =
  /** The server has no such stream, or asking again changes nothing. */
  | "none"
  /** The server may have lost the session, or have no such stream; only another request tells. */
  | "lost"
  /** The server gives one stream at a time, or is asked too often: a later request may get the stream. */
  | "busy"
  | "failed";

/** How the upstream's stream ended, or was refused. */
interface Listened {
  readonly outcome: Refusal | "ended";
  /** Milliseconds that the server asks the client to wait (`Retry-After`). */
  readonly afterMs?: number | undefined;
  /** The server may have no such stream, and refuse each time. */
  readonly mayNeverPass?: boolean;
}

/**
 * Reads an upstream's answer that is no stream. `hasSession`: the upstream keeps one for this client.
 * `forwards`: the request had the client's own credential.
 */
export function refusalOf(status: number, hasSession: boolean, forwards: boolean): Refusal {
  if (status >= 500) return "failed";
  const mayBeLost = status === 404 || status === 410 || (status === 401 && !forwards);
  if (mayBeLost) return hasSession ? "lost" : "none";
  // Many servers say 400 to an id that they do not know, and some to a second stream. 409 is of that alone.
  if (status !== 401 && status !== 409 && mayMeanLost(status)) return hasSession ? "lost" : "busy";
  const isFinal = status < 400 || FINAL.has(status);
  return isFinal ? "none" : "busy";
}

/** A repeated request would get these again: they refuse the credential, the method or the media type. */
const FINAL: ReadonlySet<number> = new Set([401, 403, 405, 406, 415]);

/** Milliseconds that a `Retry-After` asks for; undefined without the header, or if it cannot be read. */
export function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? undefined : clamp(ms, MIN_UPSTREAM_RETRY_MS, MAX_RETRY_AFTER_MS);
}

export class UpstreamListener {
  readonly #parts: ListenerParts;
  readonly #settled = Promise.withResolvers<Response | undefined>();
  #held: AbortController | undefined;
  /** Ends the stream that the present one replaces. */
  #letGo: () => void = () => undefined;
  /** Whether this has told the object that the upstream did not know its session when last asked. */
  #isLostReported = false;
  #isEnded = false;
  /** The last `retry` that the object was sent. */
  #retryMs: number | undefined;

  constructor(parts: ListenerParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when the upstream's stream is open, or will not be. The value is the upstream's
   * refusal of the client's own credential, without its body.
   */
  get settled(): Promise<Response | undefined> {
    return this.#settled.promise;
  }

  /** Takes a message of the session's object: it names the upstream session to listen to from now on. */
  receive(word: string): void {
    if (!word.startsWith(BACKEND) || this.#isEnded) return;
    // Only the session's object writes to this socket.
    const backend = JSON.parse(word.slice(BACKEND.length)) as Backend;
    const last = this.#held;
    // A change of subscription must miss no message between the two streams.
    if (backend.subscription === undefined) last?.abort();
    this.#letGo = () => last?.abort();
    this.#held = undefined;
    // A legacy client opens its stream first and agrees on a version then.
    if (backend.version === undefined) return this.#settled.resolve(undefined);
    this.#held = new AbortController();
    void this.#hold(backend, this.#held.signal);
  }

  /** The client has gone, or its stream has ended. */
  end(): void {
    this.#isEnded = true;
    this.#letGo();
    this.#held?.abort();
    this.#settled.resolve(undefined);
  }

  async #hold(backend: Backend, signal: AbortSignal): Promise<void> {
    const parser = new SseParser(this.#parts.maxBytes, backend.lastEventId);
    let backoff = MIN_UPSTREAM_RETRY_MS;
    while (!signal.aborted) {
      const { outcome, afterMs, mayNeverPass } = await this.#listen(backend, parser, signal);
      if (outcome === "none" || signal.aborted) return;
      if (outcome === "lost") {
        // Sent once: the object must not ask an upstream for ever that never recognises its own sessions.
        if (!this.#isLostReported) this.#sayLost(backend.sid);
        this.#isLostReported = true;
      }
      const asked = parser.retryMs ?? UPSTREAM_RETRY_MS;
      const ended = outcome === "ended";
      const delay = ended ? clamp(asked, MIN_UPSTREAM_RETRY_MS, MAX_UPSTREAM_RETRY_MS) : backoff;
      const longest = mayNeverPass ? MAX_UPSTREAM_REFUSED_MS : MAX_UPSTREAM_RETRY_MS;
      backoff = ended ? MIN_UPSTREAM_RETRY_MS : Math.min(backoff * 2, longest);
      await sleep(afterMs ?? delay, signal);
    }
  }

  async #listen(backend: Backend, parser: SseParser, signal: AbortSignal): Promise<Listened> {
    const { url, sid, subscription } = backend;
    const { upstream, headers } = this.#parts;
    const request = requestFor(backend, headers, parser.lastEventId);
    let reply: Reply;
    try {
      // Some servers send not even the head of this answer before its first event.
      const options = { signal, withinMs: upstream.silenceMs };
      reply = await call(upstream, replicaAt(upstream, url), request, options);
    } catch {
      this.#sayHeld();
      return { outcome: "failed" };
    }
    if (reply.ok && reply.isEventStream) {
      if (subscription !== undefined)
        return { outcome: await this.#readSubscription(reply, parser) };
      this.#sayHeld();
      this.#isLostReported = false;
      return { outcome: await this.#read(reply, parser) };
    }
    const outcome = await this.#refusalIn(reply, sid !== undefined, subscription !== undefined);
    if (outcome !== "busy") this.#sayHeld(reply);
    // Many servers refuse every GET so, and not with 405.
    const mayNeverPass = outcome === "lost" || reply.status === 400;
    const afterMs = retryAfter(reply.header("retry-after"), Date.now());
    return { outcome, afterMs, mayNeverPass };
  }

  async #read(reply: Reply, parser: SseParser): Promise<"ended" | "failed"> {
    // The reader bounds this stream, so a comment is enough to show that the peer is there.
    const silence = { ms: this.#parts.upstream.silenceMs, endedBy: "byte" } as const;
    try {
      for await (const events of reply.messages(parser, silence)) {
        this.#sayRetry(parser.retryMs);
        for (const { id, data } of events) this.#say(upstreamMessage(id, data));
      }
      this.#sayRetry(parser.retryMs);
      return "ended";
    } catch {
      return "failed";
    }
  }

  async #refusalIn(reply: Reply, hasSession: boolean, isSubscription: boolean): Promise<Refusal> {
    if (!isSubscription) {
      reply.discard();
      return refusalOf(reply.status, hasSession, this.#forwards);
    }
    const error = parseJson((await reply.refusal()) ?? "");
    const { code } = isObject(error) && isObject(error["error"]) ? error["error"] : {};
    if (code === METHOD_NOT_FOUND) return "none";
    // An error in an answer with a status of success: the server has too many subscriptions.
    return reply.ok ? "busy" : refusalOf(reply.status, hasSession, this.#forwards);
  }

  /** Reads a subscription of the stateless era. It begins when the server has named the changes that it reports. */
  async #readSubscription(reply: Reply, parser: SseParser): Promise<"ended" | "failed" | "none"> {
    const silence = { ms: this.#parts.upstream.silenceMs, endedBy: "byte" } as const;
    let tellsNothing = false;
    try {
      for await (const events of reply.messages(parser, silence)) {
        for (const { data } of events) {
          const message = parseJson(data);
          if (isObject(message) && message["method"] === ACKNOWLEDGED) {
            tellsNothing = isEmptyFilter(message["params"]);
            this.#isLostReported = false;
            this.#sayHeld();
          } else if (isObject(message) && "method" in message) {
            this.#say(upstreamMessage(undefined, plainNotification(data)));
          }
        }
      }
    } catch {
      return "failed";
    }
    this.#sayHeld();
    // If the bridge asked again, the stream would end again at once.
    return tellsNothing ? "none" : "ended";
  }

  get #forwards(): boolean {
    return this.#parts.upstream.forwardAuthorization !== false;
  }

  /**
   * Settles `settled` with the first answer. A refusal of the client's credential must reach the client:
   * if its stream was answered before, the stream is ended, and the client reads the refusal when it
   * reconnects.
   */
  #sayHeld(refused?: Reply): void {
    this.#letGo();
    this.#letGo = () => undefined;
    this.#say(UPSTREAM_HELD);
    const isCredential = refused?.status === 401 || refused?.status === 403;
    if (!isCredential || !this.#forwards) return this.#settled.resolve(undefined);
    this.#settled.resolve(headOf(refused));
    this.#parts.socket.close(READER_GONE, "");
  }

  #sayLost(sid: string | undefined): void {
    const lost: Lost = { sid, headers: this.#parts.headers };
    this.#say(UPSTREAM_LOST + JSON.stringify(lost));
  }

  #sayRetry(ms: number | undefined): void {
    if (ms === undefined || ms === this.#retryMs) return;
    this.#retryMs = ms;
    this.#say(UPSTREAM_RETRY + ms);
  }

  #say(word: string): void {
    if (this.#isEnded) return;
    try {
      this.#parts.socket.send(word);
    } catch {
      this.end();
    }
  }
}

/** The request for a stream of the upstream. */
function requestFor(
  { sid, version, subscription }: Backend,
  headers: Readonly<Record<string, string>>,
  lastEventId: string | undefined,
): Call {
  if (subscription === undefined) return { method: "GET", sid, version, lastEventId, headers };
  return {
    method: "POST",
    body: subscription,
    version: MODERN_VERSION,
    headers: { ...headers, [MODERN_HEADERS.method]: LISTEN },
  };
}

/** Whether the parameters of an acknowledgement promise no notification. */
function isEmptyFilter(params: unknown): boolean {
  const filter = isObject(params) ? params["notifications"] : undefined;
  return isObject(filter) && Object.keys(filter).length === 0;
}

function headOf(reply: Reply): Response {
  const challenge = reply.header("www-authenticate");
  return new Response(null, {
    status: reply.status,
    headers: challenge === null ? {} : { "www-authenticate": challenge },
  });
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
