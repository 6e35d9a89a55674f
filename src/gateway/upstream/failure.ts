/** The failures of an upstream, and the part of them that a client may know. */
import type { Failure } from "../contract.ts";
import { RPC_CODES } from "../json-rpc.ts";

/** The upstream gave no usable answer. A client may see `failure`, which never holds a URL or a header. */
export class UpstreamError extends Error {
  override readonly name = "UpstreamError";
  readonly failure: Failure;
  /** No connection was made, so another replica may be asked. */
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
  noRoom: failure(502, "The session's metadata have no room for its upstream's session"),
  changed: failure(502, "The upstream no longer agrees to what the session was made with"),
} as const;

/** The part of a failure that a client may know. */
export function failureOf(cause: unknown): Failure {
  return cause instanceof UpstreamError ? cause.failure : FAILURES.broken;
}

/**
 * Whether the client may see a JSON-RPC error that came with this HTTP status. A 401 is about the
 * gateway's own secret, a 404 about a session that the client does not know, and a 5xx about
 * the upstream itself.
 */
export function mayPass(status: number): boolean {
  return status !== 401 && status !== 404 && status < 500;
}

function failure(status: number, message: string): Failure {
  return { status, code: RPC_CODES.internalError, message };
}
