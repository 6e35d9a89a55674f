/** The one mapping of errors to the wire: `application/problem+json`, RFC 9457. */
import { ERROR_KINDS, SessionError, type ErrorCode } from "../core/errors.ts";
import { describeFailure, type Logger } from "../logger.ts";

export const PROBLEM_MEDIA_TYPE = "application/problem+json";

/** Where the codes are explained; an identifier, not necessarily a page. */
const TYPE_PREFIX = "urn:holdfast:problem:";

/** An error as a response. Only `code` and `detail` leave; never a cause or a stack. */
export function problemResponse(
  code: ErrorCode,
  detail?: string,
  headers?: Readonly<Record<string, string>>,
): Response {
  const { status, title } = ERROR_KINDS[code];
  const body = { type: TYPE_PREFIX + code, title, status, detail: detail ?? title, code };
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": PROBLEM_MEDIA_TYPE, "cache-control": "no-store", ...headers },
  });
}

/** Logs what failed within the service, and answers the error that a caller may see of it: never a stack. */
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

/** Of an answer that is an event stream. */
export const STREAM_HEADERS = {
  "content-type": "text/event-stream",
  // A proxy that transforms or buffers would hold events back.
  "cache-control": "no-store, no-transform",
  "x-accel-buffering": "no",
};
