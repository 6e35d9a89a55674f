/** Writes errors as `application/problem+json` (RFC 9457); the gateway writes its own as JSON-RPC. */
import { ERROR_KINDS, SessionError, type ErrorCode, type ErrorKind } from "../core/errors.ts";
import { MAX_DETAIL_LENGTH } from "../core/limits.ts";
import { describeFailure, type Logger } from "../logger.ts";
import { shorten } from "../wire/shorten.ts";

export const PROBLEM_MEDIA_TYPE = "application/problem+json";

/** The problem's type is this and the code: an identifier, not the address of a page. */
const TYPE_PREFIX = "urn:holdfast:problem:";

/**
 * Makes the response for an error: its code and a detail, never a cause or a stack. The detail may quote
 * what the caller sent, so it is cut here. `members` are further ones of the problem (RFC 9457, 3.2).
 */
export function problemResponse(
  code: ErrorCode,
  detail?: string,
  headers?: Readonly<Record<string, string>>,
  members?: Readonly<Record<string, unknown>>,
): Response {
  const { status, title } = ERROR_KINDS[code];
  const shortDetail = shorten(detail ?? title, MAX_DETAIL_LENGTH);
  const body = { type: TYPE_PREFIX + code, title, status, detail: shortDetail, code, ...members };
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      "content-type": PROBLEM_MEDIA_TYPE,
      "cache-control": "no-store",
      ...retryAfter(code),
      ...headers,
    },
  });
}

/** The header that says when a new try may succeed, for errors that pass. */
export function retryAfter(code: ErrorCode): Readonly<Record<string, string>> {
  const { retryAfter: seconds }: ErrorKind = ERROR_KINDS[code];
  return seconds === undefined ? {} : { "retry-after": String(seconds) };
}

/** Logs a failure within the service, and returns the error that the caller may see. */
export function reportFailure(failure: unknown, log: Logger): SessionError {
  if (!(failure instanceof SessionError)) {
    log.error("request.crashed", { cause: describeFailure(failure) });
    return new SessionError("unavailable");
  }
  if (failure.cause !== undefined) {
    log.warn("request.failed", { code: failure.code, cause: describeFailure(failure.cause) });
  }
  return failure;
}

/** Headers of an event stream. */
export const STREAM_HEADERS = {
  "content-type": "text/event-stream",
  // A proxy that transforms or buffers would hold events back.
  "cache-control": "no-store, no-transform",
  "x-accel-buffering": "no",
};
