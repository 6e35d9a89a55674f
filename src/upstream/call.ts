/** One HTTP request to an upstream, and reading what it answers, within bounds of time and size. */
import type { Failure } from "../session/exchange.ts";
import { RPC_CODES } from "../session/json-rpc.ts";
import { SseEventTooLargeError, type SseEvent, type SseParser } from "../session/sse-parser.ts";
import type { Replica, Upstream } from "./upstream.ts";

/** The upstream gave no usable answer. `failure` is what a client may know: never an URL or a header. */
export class UpstreamError extends Error {
  override readonly name = "UpstreamError";
  readonly failure: Failure;
  /** Whether no connection was made, so that another replica may be asked. */
  readonly unreachable: boolean;

  constructor(failure: Failure, options: ErrorOptions & { unreachable?: boolean } = {}) {
    super(failure.message, options);
    this.failure = failure;
    this.unreachable = options.unreachable ?? false;
  }
}

export const FAILURES = {
  unreachable: failure(502, "The upstream could not be reached"),
  timedOut: failure(504, "The upstream did not answer in time"),
  broken: failure(502, "The upstream sent an answer that is not MCP"),
  tooLarge: failure(502, "The upstream sent a message that is too large"),
  closed: failure(502, "The upstream closed the stream before it had answered"),
  interrupted: failure(503, "upstream exchange was interrupted"),
  cancelled: failure(200, "The request was cancelled"),
  refused: failure(502, "The upstream refused the request"),
  changed: failure(502, "The upstream no longer agrees to what the session was made with"),
} as const;

function failure(status: number, message: string): Failure {
  return { status, code: RPC_CODES.internalError, message };
}

export interface Call {
  readonly method: "GET" | "POST" | "DELETE";
  readonly body?: string;
  readonly sid?: string | undefined;
  readonly version?: string | undefined;
  readonly lastEventId?: string | undefined;
  /** Headers of the client's that go on. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Sends a request. The answer must begin within the upstream's timeout; what
 * follows is the reader's to bound. Aborting `signal` ends the answer's body too.
 */
export async function call(
  upstream: Upstream,
  replica: Replica,
  { method, body, sid, version, lastEventId, headers }: Call,
  signal: AbortSignal,
): Promise<Response> {
  const abort = new AbortController();
  const onAbort = (): void => abort.abort();
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    abort.abort();
  }, upstream.timeoutMs);
  const request = new Request(replica.url, {
    method,
    headers: {
      ...headers,
      ...upstream.headers,
      accept: method === "GET" ? "text/event-stream" : "application/json, text/event-stream",
      ...(body !== undefined && { "content-type": "application/json" }),
      ...(sid !== undefined && { "mcp-session-id": sid }),
      ...(version !== undefined && { "mcp-protocol-version": version }),
      ...(lastEventId !== undefined && { "last-event-id": lastEventId }),
    },
    ...(body !== undefined && { body }),
    signal: abort.signal,
  });
  try {
    // A server in the same Worker may not look at the signal, so it is raced as well.
    return await Promise.race([replica.server.fetch(request), aborted(abort.signal)]);
  } catch (cause) {
    if (timedOut) throw new UpstreamError(FAILURES.timedOut, { cause });
    throw new UpstreamError(FAILURES.unreachable, { cause, unreachable: !signal.aborted });
  } finally {
    clearTimeout(timer);
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = (): void => reject(new Error("aborted"));
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}

export function isEventStream(response: Response): boolean {
  return mediaType(response) === "text/event-stream" && response.body !== null;
}

export function isJson(response: Response): boolean {
  return mediaType(response) === "application/json";
}

function mediaType(response: Response): string {
  return response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
}

/** Lets go of an answer that nobody reads. */
export function discard(response: Response): void {
  void response.body?.cancel().catch(() => undefined);
}

/** The whole body, of at most `maxBytes`, within `timeoutMs`. */
export async function readText(
  response: Response,
  maxBytes: number,
  timeoutMs: number,
): Promise<string> {
  if (!response.body) return "";
  const reader = response.body.getReader();
  const timer = setTimeout(() => void reader.cancel("timeout").catch(() => undefined), timeoutMs);
  const started = Date.now();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes += value.byteLength;
      if (bytes > maxBytes) {
        void reader.cancel().catch(() => undefined);
        throw new UpstreamError(FAILURES.tooLarge);
      }
      text += decoder.decode(value, { stream: true });
    }
  } catch (cause) {
    if (cause instanceof UpstreamError) throw cause;
    throw new UpstreamError(FAILURES.closed, { cause });
  } finally {
    clearTimeout(timer);
  }
  if (Date.now() - started >= timeoutMs) throw new UpstreamError(FAILURES.timedOut);
  return text + decoder.decode();
}

/**
 * The events of an SSE answer, until it ends or has been silent for `silenceMs`.
 * An answer that breaks off just ends: the caller knows whether it had said enough.
 */
export async function* events(
  response: Response,
  parser: SseParser,
  silenceMs: number,
): AsyncGenerator<SseEvent> {
  if (!response.body) return;
  const reader = response.body.getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    for (;;) {
      timer = setTimeout(() => void reader.cancel("silent").catch(() => undefined), silenceMs);
      const chunk = await reader.read().catch(() => undefined);
      clearTimeout(timer);
      if (!chunk || chunk.done) return;
      yield* parser.push(chunk.value);
    }
  } catch (cause) {
    if (cause instanceof SseEventTooLargeError)
      throw new UpstreamError(FAILURES.tooLarge, { cause });
    throw cause;
  } finally {
    clearTimeout(timer);
    void reader.cancel().catch(() => undefined);
  }
}
