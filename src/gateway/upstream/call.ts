/** Sends one HTTP request to an upstream, and reads its answer within bounds of time and size. */
import { isOfType, JSON_TYPES } from "../../http/body.ts";
import { UPSTREAM_ASKED_MS } from "../../core/limits.ts";
import { upstreamRequests, upstreamSeconds } from "../../signals/metrics.ts";
import { traced } from "../../signals/traces.ts";
import { boundedBody, exceeds } from "../../wire/bytes.ts";
import { SseEventTooLargeError, type SseEvent, type SseParser } from "../../wire/sse-parser.ts";
import { isBridgedSid } from "../eras/wire.ts";
import { SharedTimer, CallDeadline } from "./call-deadline.ts";
import { FAILURES, UpstreamError } from "./failure.ts";
import { healthOf, type ReplicaHealth } from "./health.ts";
import { followed } from "./redirect.ts";
import type { Answer, Replica, RequestParts, Upstream } from "./upstream.ts";

export interface Call {
  readonly method: "GET" | "POST" | "DELETE";
  readonly body?: string;
  readonly sid?: string | undefined;
  readonly version?: string | undefined;
  readonly lastEventId?: string | undefined;
  /** The client's headers that go on to the upstream; its configured headers take their place. */
  readonly headers?: Readonly<Record<string, string>>;
  /** By the bridge to the stateless era; absent: if `sid` says so. */
  readonly bridged?: boolean;
}

/** The name of this software, as upstreams see it. The version is that of package.json. */
export const SELF = { name: "holdfast", version: "0.1.0" } as const;

/** Servers log it, and some refuse a request without one. An upstream's configured header replaces it. */
export const USER_AGENT = `${SELF.name}/${SELF.version}`;

export interface CallOptions {
  /** The caller gives up by aborting it. */
  readonly signal?: AbortSignal | undefined;
  /** Shared with other calls of the same object; else the call has its own. */
  readonly timer?: SharedTimer;
  /** Milliseconds in place of the upstream's own timeout. */
  readonly withinMs?: number | undefined;
  /** Milliseconds that the answer may take in all, a stream too. Absent: the caller bounds a stream. */
  readonly totalMs?: number | undefined;
}

/** The longest silence of a stream, in milliseconds. */
interface Silence {
  readonly ms: number;
  /** A message ends a silence, or any byte does, such as a comment that shows that the peer is there. */
  readonly endedBy: "message" | "byte";
}

/** Milliseconds within which an upstream must answer a harmless request, such as a ping. */
export const askedWithin = ({ timeoutMs }: Upstream): number =>
  Math.min(timeoutMs, UPSTREAM_ASKED_MS);

/**
 * Sends a request. The answer must begin within the upstream's timeout; one that is read whole
 * must end within it too. Aborting `signal` ends the answer's body as well. Throws UpstreamError.
 *
 * @example const reply = await call(upstream, replica, { method: "POST", body, sid });
 */
export function call(
  upstream: Upstream,
  replica: Replica,
  request: Call,
  options: CallOptions = {},
): Promise<Reply> {
  const { name } = upstream;
  const outcomes = {
    of: outcomeOf,
    ofFailure: (cause: unknown) => outcomeOfFailure(cause, options.signal),
  };
  return traced("holdfast.upstream", { upstream: name }, outcomes, async () => {
    const begun = Date.now();
    let outcome = "";
    try {
      const reply = await send(upstream, replica, request, options);
      outcome = outcomes.of(reply);
      return reply;
    } catch (cause) {
      outcome = outcomes.ofFailure(cause);
      throw cause;
    } finally {
      upstreamRequests.add(1, name, outcome);
      upstreamSeconds.observe(Math.max(0, Date.now() - begun) / 1000);
    }
  });
}

function outcomeOf({ status }: Reply): string {
  if (status >= 500) return "server_error";
  if (status >= 400) return "client_error";
  return status >= 300 ? "redirect" : "ok";
}

function outcomeOfFailure(cause: unknown, signal: AbortSignal | undefined): string {
  if (!(cause instanceof UpstreamError)) return "failed";
  if (cause.failure === FAILURES.timedOut) return "timed_out";
  if (cause.broken) return "unreachable";
  return signal?.aborted ? "cancelled" : "failed";
}

async function send(
  upstream: Upstream,
  replica: Replica,
  { method, body, sid, version, lastEventId, headers, bridged = isBridgedSid(sid) }: Call,
  { signal, timer = new SharedTimer(), withinMs = upstream.timeoutMs, totalMs }: CallOptions = {},
): Promise<Reply> {
  const deadline = new CallDeadline(withinMs, timer, signal, totalMs);
  // Where there is one replica alone, nothing is ever decided by its health.
  const health = upstream.replicas.length > 1 ? healthOf(replica) : undefined;
  const request: RequestParts = {
    method,
    headers: {
      "user-agent": USER_AGENT,
      ...headers,
      ...upstream.headers,
      accept: method === "GET" ? "text/event-stream" : "application/json, text/event-stream",
      ...(body !== undefined && { "content-type": "application/json" }),
      ...(sid !== undefined && { "mcp-session-id": sid }),
      ...(version !== undefined && { "mcp-protocol-version": version }),
      ...(lastEventId !== undefined && { "last-event-id": lastEventId }),
    },
    ...(body !== undefined && { body }),
    // A redirect could take the secrets in the headers anywhere, so the platform follows none.
    redirect: "manual",
    signal: deadline.signal,
  };
  try {
    deadline.signal.throwIfAborted();
    // A server in the same Worker may ignore the signal, so this races the deadline as well.
    const send = (bridged && replica.modern) || replica.send;
    const sending = followed(replica.url, method, (url) => send(request, url));
    const { answer } = await Promise.race([sending, deadline.lapsed]);
    health?.heard();
    return new Reply(answer, deadline, health);
  } catch (cause) {
    deadline.end();
    if (deadline.timedOut) {
      // Otherwise each new session, and each list, would wait for a replica that hangs while another one serves.
      if (method === "POST") health?.broke();
      throw new UpstreamError(FAILURES.timedOut, { cause });
    }
    // A server in the same Worker may say itself what failed.
    if (cause instanceof UpstreamError) throw cause;
    const broken = !deadline.signal.aborted;
    if (broken) health?.broke();
    throw new UpstreamError(FAILURES.unreachable, { cause, broken });
  }
}

/** The bytes of a stream as they come. */
export type ChunkReader = Pick<ReadableStreamDefaultReader<Uint8Array>, "read" | "cancel">;

/**
 * Milliseconds, and bytes, that a refusal may take which is not JSON by its type. Most are a line, or a
 * page for people. A refusal that is a stream may be silent for as long.
 */
export const REFUSAL_MS = 1000;
const MAX_REFUSAL_BYTES = 64 * 1024;

type Bytes = ArrayBuffer | Uint8Array;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const JSON_TYPE = "application/json";
const EVENT_STREAM = /^text\/event-stream$/;

/** An upstream's answer. Read it or discard it: until then it holds a connection and a timer. */
export class Reply {
  /** An answer has one of the two. */
  readonly #response: Response | undefined;
  readonly #whole: string | undefined;
  readonly #deadline: CallDeadline;
  readonly #health: ReplicaHealth | undefined;

  constructor(answer: Answer, deadline: CallDeadline, health?: ReplicaHealth) {
    if (typeof answer === "string") this.#whole = answer;
    else this.#response = answer;
    this.#deadline = deadline;
    this.#health = health;
  }

  get ok(): boolean {
    return this.#response?.ok ?? true;
  }

  get status(): number {
    return this.#response?.status ?? 200;
  }

  /** `name` in lower case. */
  header(name: string): string | null {
    if (this.#response) return this.#response.headers.get(name);
    return name === "content-type" ? JSON_TYPE : null;
  }

  /** Whether it was cut short because its time was up. */
  get timedOut(): boolean {
    return this.#deadline.timedOut;
  }

  get isEventStream(): boolean {
    return this.#isOf(EVENT_STREAM) && Boolean(this.#response?.body);
  }

  get isJson(): boolean {
    return this.#isOf(JSON_TYPES);
  }

  /** Gives the connection up without reading the body. */
  discard(): void {
    this.#deadline.end();
    void this.#response?.body?.cancel().catch(() => undefined);
  }

  /**
   * A reader of the body of an event stream; undefined if the answer is not one. Each chunk may take
   * `silenceMs`, or `read` rejects. `cancel` gives the connection up.
   */
  passOn(silenceMs: number): ChunkReader | undefined {
    const body = this.isEventStream ? this.#response?.body : undefined;
    if (!body) return undefined;
    const reader = (body as ReadableStream<Uint8Array>).getReader();
    const cancel = (): Promise<void> => {
      this.#deadline.end();
      return reader.cancel();
    };
    this.#deadline.lapsed.catch(() => void cancel().catch(() => undefined));
    const read = async () => {
      this.#deadline.give(silenceMs);
      const chunk = await reader.read();
      if (!chunk.done) return chunk;
      this.#deadline.end();
      if (this.timedOut) throw new UpstreamError(FAILURES.timedOut);
      return chunk;
    };
    return { read, cancel };
  }

  /** The whole body, of at most `maxBytes`, as text. Throws UpstreamError. */
  async text(maxBytes: number): Promise<string> {
    if (this.#response) return decoder.decode(await this.#bytesOf(this.#response, maxBytes));
    this.#deadline.end();
    const whole = this.#whole ?? "";
    if (exceeds(whole, maxBytes)) throw new UpstreamError(FAILURES.tooLarge);
    return whole;
  }

  /** The text of a refusal, if it comes at once and is short, whatever its type. */
  async refusal(): Promise<string | undefined> {
    this.#deadline.give(REFUSAL_MS);
    return this.text(MAX_REFUSAL_BYTES).catch(() => undefined);
  }

  /** The whole body, of at most `maxBytes`. Throws UpstreamError. */
  async bytes(maxBytes: number): Promise<Bytes> {
    if (this.#response) return this.#bytesOf(this.#response, maxBytes);
    return encoder.encode(await this.text(maxBytes));
  }

  async #bytesOf(response: Response, maxBytes: number): Promise<Bytes> {
    try {
      const whole = isAnnouncedWithin(response, maxBytes)
        ? response.arrayBuffer()
        : read(response, maxBytes);
      return await Promise.race([whole, this.#deadline.lapsed]);
    } catch (cause) {
      this.discard();
      if (this.#deadline.timedOut) throw new UpstreamError(FAILURES.timedOut, { cause });
      if (cause instanceof UpstreamError) throw cause;
      throw new UpstreamError(FAILURES.closed, { cause });
    } finally {
      this.#deadline.end();
    }
  }

  /**
   * The messages of an SSE answer, those of a chunk together, until it ends or is silent for too long;
   * without `silence`, until the deadline. An answer that breaks off just ends: the caller knows whether
   * it was complete. Events of other names, such as pings, are not messages (WHATWG HTML, EventSource).
   */
  async *messages(parser: SseParser, silence?: Silence): AsyncGenerator<SseEvent[]> {
    const reader = this.#response?.body?.getReader();
    if (!reader) return;
    parser.restart();
    const closed = this.#health?.opened();
    const cancel = (): void => void reader.cancel().catch(() => undefined);
    this.#deadline.lapsed.catch(cancel);
    try {
      for (let isSilent = false; ;) {
        if (silence && !isSilent) this.#deadline.give(silence.ms);
        const chunk = await reader.read().catch(() => this.#brokeOff());
        if (!chunk || chunk.done) return;
        this.#health?.heard();
        const { events, failure } = takeFrom(parser, chunk.value);
        if (events.length > 0) yield events;
        if (failure) throw failure;
        isSilent = silence?.endedBy === "message" && !events.some(mayBeMessage);
      }
    } finally {
      this.#deadline.end();
      cancel();
      closed?.();
    }
  }

  #brokeOff(): undefined {
    // The end of a stream that this side has given up tells nothing about the replica.
    if (!this.#deadline.signal.aborted) this.#health?.broke();
  }

  #isOf(types: RegExp): boolean {
    return isOfType(this.header("content-type"), types);
  }
}

/** Whether an event may hold a message of JSON-RPC: a heartbeat, such as `null` or `{}`, holds none. */
function mayBeMessage({ data }: SseEvent): boolean {
  return data.includes('"jsonrpc"');
}

/** The messages that a chunk completes, and the error for an event after them that is too large. */
function takeFrom(
  parser: SseParser,
  chunk: Uint8Array,
): { readonly events: SseEvent[]; readonly failure?: UpstreamError } {
  const events: SseEvent[] = [];
  try {
    for (const event of parser.push(chunk)) if (event.event === "message") events.push(event);
    return { events };
  } catch (cause) {
    if (!(cause instanceof SseEventTooLargeError)) throw cause;
    return { events, failure: new UpstreamError(FAILURES.tooLarge, { cause }) };
  }
}

/** Whether the platform can read the body whole, which is quicker. A compressed body is longer than it announces. */
function isAnnouncedWithin({ headers }: Response, maxBytes: number): boolean {
  const length = headers.get("content-length");
  if (length === null || headers.has("content-encoding")) return false;
  return Number(length) <= maxBytes;
}

async function read({ body }: Response, maxBytes: number): Promise<Uint8Array> {
  if (!body) return new Uint8Array();
  const bytes = await boundedBody(body as ReadableStream<Uint8Array>, maxBytes);
  if (!bytes) throw new UpstreamError(FAILURES.tooLarge);
  return bytes;
}
