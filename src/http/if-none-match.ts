/**
 * If-None-Match on writes (RFC 9110, 13.1.2). `*` on a PUT says "make, never replace".
 * No other form is of use to a writer, and none may be passed over: a write must not be
 * made where its condition is false. So they are refused.
 */
import { SessionError } from "../session/errors.ts";

/** Whether a PUT may only make a session. Throws a SessionError (`invalid_request`) for entity tags. */
export function onlyWhereAbsent(header: string | undefined): boolean {
  if (header === undefined) return false;
  if (header.trim() === "*") return true;
  throw new SessionError("invalid_request", "If-None-Match: must be * where it is given");
}

/** For a method that changes only what exists, of which the condition asks nothing useful. */
export function refuseIfNoneMatch(header: string | undefined): void {
  if (header === undefined) return;
  throw new SessionError("invalid_request", "If-None-Match: only PUT takes it; use If-Match");
}
