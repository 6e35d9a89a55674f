/**
 * Who touches a session, and whether it is theirs. The session's object checks this in the
 * same turn as it acts, so nothing can come between the two.
 */
export interface Caller {
  /** Undefined for a caller that is not identified. It may touch sessions that have no owner. */
  readonly subject?: string | undefined;
  /** May touch anyone's sessions. */
  readonly admin: boolean;
}

/** Whether the caller may touch a session of `subject`. A session without a subject belongs to callers without one. */
export function owns(caller: Caller, subject: string | undefined): boolean {
  return caller.admin || caller.subject === subject;
}

/** Whether the caller may make a session, or hand one over, in this subject's name. */
export function mayName(caller: Caller, subject: string | undefined): boolean {
  return subject === undefined || owns(caller, subject);
}
