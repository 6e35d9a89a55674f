/** The failures of an upstream, and the part of them that a client may know. */
import { describeFailure, type Logger } from "../../logger.ts";
import { upstreamFailures } from "../../signals/metrics.ts";
import type { Failure } from "../contract.ts";
import { RPC_CODES } from "../json-rpc.ts";

interface UpstreamErrorOptions extends ErrorOptions {
  readonly broken?: boolean;
  readonly status?: number | undefined;
}

/** The upstream gave no usable answer. A client may see `failure`, which never holds a URL or a header. */
export class UpstreamError extends Error {
  override readonly name = "UpstreamError";
  readonly failure: Failure;
  /**
   * The connection could not be made, or broke before an answer. The platform does not tell which,
   * so the upstream may have executed the request.
   */
  readonly broken: boolean;
  /** The upstream's HTTP status, where it answered. */
  readonly status: number | undefined;

  constructor(failure: Failure, options: UpstreamErrorOptions = {}) {
    super(failure.message, options);
    this.failure = failure;
    this.broken = options.broken ?? false;
    this.status = options.status;
  }
}

/** The upstream answered initialize with a JSON-RPC error. */
export class HandshakeRefused extends Error {
  override readonly name = "HandshakeRefused";
  readonly status: number;
  readonly body: string;
  /** Headers of the upstream's that go to the client. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, body: string, headers: Readonly<Record<string, string>> = {}) {
    super("the upstream refused to initialize");
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

export function isBroken(cause: unknown): cause is UpstreamError {
  return cause instanceof UpstreamError && cause.broken;
}

export const FAILURES = {
  notStarted: failure(502, "The upstream could not be started"),
  unreachable: failure(502, "The upstream could not be reached"),
  timedOut: failure(504, "The upstream did not answer in time"),
  broken: failure(502, "The upstream sent an answer that is not MCP"),
  tooLarge: failure(502, "The upstream sent a message that is too large"),
  closed: failure(502, "The upstream closed the stream before it had answered"),
  interrupted: failure(503, "upstream exchange was interrupted"),
  cancelled: failure(200, "The request was cancelled"),
  refused: failure(502, "The upstream refused the request"),
  noRoom: failure(502, "The session's metadata have no room for its upstream's session"),
  taskUnmade: failure(503, "The call could not be made a task, and was cancelled"),
  changed: failure(502, "The upstream no longer agrees to what the session was made with"),
} as const;

/** The kind of a failure, for the log and the metrics. */
export type FailureKind = keyof typeof FAILURES | "metadata";

function kindOf({ message }: Failure): FailureKind {
  const kinds = Object.keys(FAILURES) as (keyof typeof FAILURES)[];
  // Some failures carry a status and headers of their own.
  return kinds.find((kind) => FAILURES[kind].message === message) ?? "broken";
}

/** Counts and logs why an upstream gave no answer, and returns the part of it that a client may know. */
export function reportFailure(
  log: Logger,
  upstream: { readonly name: string },
  cause: unknown,
): Failure {
  const known = cause instanceof UpstreamError ? cause : undefined;
  const failure = known?.failure ?? FAILURES.broken;
  const kind = kindOf(failure);
  upstreamFailures.add(1, upstream.name, kind);
  log.warn("upstream.failed", {
    upstream: upstream.name,
    kind,
    failure: failure.message,
    status: known?.status,
    // Only the cause of a server in the same code is logged: another server's words may hold anything.
    cause:
      known && failure !== FAILURES.notStarted ? undefined : describeFailure(known?.cause ?? cause),
  });
  return failure;
}

function failure(status: number, message: string): Failure {
  return { status, code: RPC_CODES.internalError, message };
}

/** The session ended while its upstream was being asked. */
export class SessionGone extends Error {
  override readonly name = "SessionGone";
}
