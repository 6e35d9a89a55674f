import { UnavailableError } from "./errors.ts";

/**
 * The version of the calls between the Worker and the objects, and between the objects. For some
 * minutes after a deploy Cloudflare runs old objects under a new Worker, and new ones under an old.
 *
 * Most changes keep it: a new method (an object without it fails, which is answered with 503), or a
 * member or last argument that an older object may ignore. Raise it if an older object would
 * misread a call, as it would if it ignored a condition: an object refuses calls of a later version
 * than its own. The other way round the object sees an older version, and answers in its shape.
 * `test/e2e/skew.test.ts` runs both ways.
 */
export const CALL_VERSION = 1;

/** Throws an `UnavailableError` if the call is of a later version than this code knows. */
export function requireKnownVersion(version = 0): void {
  if (version > CALL_VERSION) {
    throw new UnavailableError("This object runs older code than its caller; try again.");
  }
}

/**
 * The caller of an operation on a session. The session's object compares it with the owner in the
 * same turn as it acts, so nothing can come between the check and the act.
 */
export interface Caller {
  /** Undefined for a caller that is not identified. It may touch sessions that have no owner. */
  readonly subject?: string | undefined;
  /** May touch anyone's sessions. */
  readonly admin: boolean;
  /** The `CALL_VERSION` of the code that calls. Absent: code older than this member. */
  readonly version?: number;
}

/** Whether the caller may touch a session of `subject`. A session without a subject belongs to callers without one. */
export function owns(caller: Caller, subject: string | undefined): boolean {
  return caller.admin || caller.subject === subject;
}

/** Whether the caller may make a session, or hand one over, in this subject's name. */
export function mayName(caller: Caller, subject: string | undefined): boolean {
  return subject === undefined || owns(caller, subject);
}

/** Begins the subject of a caller that is known by a credential for an upstream alone; its SHA-256 in hex follows. */
export const CREDENTIAL_OWNER = "credential-sha256:";
