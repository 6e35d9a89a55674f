/**
 * On whose behalf a session is touched, and whether it is theirs. The check
 * runs where the session is kept, in the same turn as what it allows, so nothing
 * can come between the two.
 */

export interface Caller {
  /** Undefined for a caller that nobody has identified, and owns what nobody owns. */
  readonly subject?: string | undefined;
  /** May touch anyone's sessions. */
  readonly admin: boolean;
}

/** Whether a session of `subject` is the caller's to touch. A session of nobody is an admin's, or nobody's. */
export function owns(caller: Caller, subject: string | undefined): boolean {
  return caller.admin || caller.subject === subject;
}

/** Whether the caller may make a session, or hand one over, in this subject's name. */
export function mayName(caller: Caller, subject: string | undefined): boolean {
  return subject === undefined || owns(caller, subject);
}
