/** The one mapping of errors to the wire: `application/problem+json`, RFC 9457. */
import { ERROR_KINDS, type ErrorCode, type SessionError } from "../core/errors.ts";

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

export function problemOf(error: SessionError): Response {
  return problemResponse(error.code, error.message);
}
