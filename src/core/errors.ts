/**
 * One family of errors. Code throws a `SessionError` or returns its code; `problem.ts` maps
 * it to HTTP, the gateway to JSON-RPC, and nothing else decides a status.
 */
export interface ErrorKind {
  /** HTTP status, RFC 9110. */
  readonly status: number;
  readonly title: string;
  /** JSON-RPC code, if MCP or ToolHive gives the error one. */
  readonly jsonRpcCode?: number;
  /** Seconds after which a new try may succeed (`Retry-After`, RFC 9110, 10.2.3). */
  readonly retryAfter?: number;
}

/** Every code that a caller can see. */
export const ERROR_KINDS = {
  session_not_found: { status: 404, title: "Session not found", jsonRpcCode: -32001 },
  session_already_exists: { status: 409, title: "Session already exists" },
  session_disconnected: { status: 503, title: "Session is disconnected", retryAfter: 1 },
  message_channel_full: { status: 503, title: "Message channel is full", retryAfter: 1 },
  stream_ended: { status: 409, title: "Stream has ended" },
  invalid_session_type: { status: 400, title: "Invalid session type", jsonRpcCode: -32602 },
  invalid_session_id: { status: 400, title: "Invalid session id", jsonRpcCode: -32602 },
  invalid_request: { status: 400, title: "Invalid request", jsonRpcCode: -32600 },
  unsupported_media_type: { status: 415, title: "Unsupported media type" },
  payload_too_large: { status: 413, title: "Payload too large" },
  idempotency_key_reused: { status: 422, title: "Idempotency key reused" },
  precondition_failed: { status: 412, title: "Precondition failed" },
  unauthorized: { status: 401, title: "Unauthorized" },
  forbidden: { status: 403, title: "Forbidden" },
  rate_limited: { status: 429, title: "Too many requests" },
  too_many_writers: { status: 429, title: "Too many streams on this session", retryAfter: 5 },
  uri_too_long: { status: 414, title: "URI too long" },
  headers_too_large: { status: 431, title: "Request header fields too large" },
  not_found: { status: 404, title: "No such route" },
  method_not_allowed: { status: 405, title: "Method not allowed" },
  unavailable: { status: 503, title: "Service unavailable", retryAfter: 1 },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_KINDS;

/**
 * An error with a stable `code` and the HTTP `status` that goes with it.
 *
 * @example
 * try {
 *   await manager.getWithError(id);
 * } catch (error) {
 *   if (error instanceof SessionError) respond(error.status, error.message);
 *   else throw error;
 * }
 */
export class SessionError extends Error {
  override readonly name: string = "SessionError";
  readonly code: ErrorCode;
  readonly status: number;
  /** JSON-RPC error code, if the error has one. */
  readonly jsonRpcCode: number | undefined;

  constructor(code: ErrorCode, detail?: string, options?: ErrorOptions) {
    const kind: ErrorKind = ERROR_KINDS[code];
    super(detail ?? kind.title, options);
    this.code = code;
    this.status = kind.status;
    this.jsonRpcCode = kind.jsonRpcCode;
  }
}

/** ToolHive's `ErrSessionNotFound`: there is no such session, or it has ended. */
export class SessionNotFoundError extends SessionError {
  override readonly name = "SessionNotFoundError";
  constructor(detail = "There is no session with this id, or it has ended.") {
    super("session_not_found", detail);
  }
}

/** ToolHive's `ErrSessionAlreadyExists`. */
export class SessionAlreadyExistsError extends SessionError {
  override readonly name = "SessionAlreadyExistsError";
  constructor(detail = "A session with this id exists already.") {
    super("session_already_exists", detail);
  }
}

/** ToolHive's `ErrSessionDisconnected`: no client is connected to send to. */
export class SessionDisconnectedError extends SessionError {
  override readonly name = "SessionDisconnectedError";
  constructor(detail = "The session was disconnected; publish again when a client has come back.") {
    super("session_disconnected", detail);
  }
}

/** ToolHive's `ErrMessageChannelFull`: the bounded queue of undelivered messages is full. */
export class MessageChannelFullError extends SessionError {
  override readonly name = "MessageChannelFullError";
  constructor(detail = "Nobody has read the last events, and no more can be kept for a reader.") {
    super("message_channel_full", detail);
  }
}

/** ToolHive's `ErrInvalidSessionType`. */
export class InvalidSessionTypeError extends SessionError {
  override readonly name = "InvalidSessionTypeError";
  constructor(detail?: string) {
    super("invalid_session_type", detail);
  }
}

/** The id is empty or not a UUID. */
export class InvalidSessionIdError extends SessionError {
  override readonly name = "InvalidSessionIdError";
  constructor(detail = "A session id must be a UUID.") {
    super("invalid_session_id", detail);
  }
}

/** The backend failed, so nobody knows whether the session exists: never read it as absence. */
export class UnavailableError extends SessionError {
  override readonly name = "UnavailableError";
  constructor(detail = "The session store did not answer; try again.", options?: ErrorOptions) {
    super("unavailable", detail, options);
  }
}

/**
 * A stored record cannot be read. The session is neither known nor absent, so a caller sees
 * a store that fails. The message names the record and the key, and quotes no content.
 */
export class CorruptRecordError extends SessionError {
  override readonly name = "CorruptRecordError";
  constructor(detail: string) {
    super("unavailable", detail);
  }
}

/** The codes that have a class of their own. */
const CLASSES: Partial<Record<ErrorCode, new (detail?: string) => SessionError>> = {
  session_not_found: SessionNotFoundError,
  session_already_exists: SessionAlreadyExistsError,
  session_disconnected: SessionDisconnectedError,
  message_channel_full: MessageChannelFullError,
  invalid_session_type: InvalidSessionTypeError,
  invalid_session_id: InvalidSessionIdError,
  unavailable: UnavailableError,
};

/** The error for a code that crossed a boundary where classes are lost (RPC, a stored record). */
export function errorFromCode(code: ErrorCode, detail?: string): SessionError {
  const Class = CLASSES[code];
  return Class ? new Class(detail) : new SessionError(code, detail);
}

/**
 * The answer of a session's object over RPC, where error classes are lost: a value, or the
 * code of an expected error. An object that throws has failed.
 */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail?: string };

export function succeed<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

export function refuse(code: ErrorCode, detail?: string): Outcome<never> {
  return detail === undefined ? { ok: false, code } : { ok: false, code, detail };
}

/** The value. Throws the error of an outcome without one. */
export function unwrap<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw errorFromCode(outcome.code, outcome.detail);
}
