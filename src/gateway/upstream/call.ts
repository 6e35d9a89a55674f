/** One HTTP request to an upstream. */
import { SharedTimer, CallDeadline } from "./call-deadline.ts";
import { FAILURES, UpstreamError } from "./failure.ts";
import { Reply } from "./reply.ts";
import type { Replica, RequestParts, Upstream } from "./upstream.ts";

export interface Call {
  readonly method: "GET" | "POST" | "DELETE";
  readonly body?: string;
  readonly sid?: string | undefined;
  readonly version?: string | undefined;
  readonly lastEventId?: string | undefined;
  /** Headers of the client's that go on. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a call's life hangs on. */
export interface CallLife {
  /** Aborting it is giving up. */
  readonly signal?: AbortSignal | undefined;
  /** Shared with other calls of the same object, or its own. */
  readonly timer?: SharedTimer;
}

/**
 * Sends a request. The answer must begin within the upstream's timeout, and have
 * ended by then where it is read as a whole. Aborting `signal` ends its body too.
 * Throws UpstreamError.
 */
export async function call(
  upstream: Upstream,
  replica: Replica,
  { method, body, sid, version, lastEventId, headers }: Call,
  { signal, timer = new SharedTimer() }: CallLife = {},
): Promise<Reply> {
  const watch = new CallDeadline(upstream.timeoutMs, timer, signal);
  const request: RequestParts = {
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
    // A redirect could lead the gateway, and the secrets in its headers, anywhere, so none is followed.
    redirect: "manual",
    signal: watch.signal,
  };
  try {
    watch.signal.throwIfAborted();
    // A server in the same Worker may not look at the signal, so the time is raced as well.
    const answer = await Promise.race([replica.send(request), watch.lapsed]);
    return new Reply(answer, watch);
  } catch (cause) {
    watch.end();
    if (watch.timedOut) throw new UpstreamError(FAILURES.timedOut, { cause });
    const unreachable = !watch.signal.aborted;
    throw new UpstreamError(FAILURES.unreachable, { cause, unreachable });
  }
}
