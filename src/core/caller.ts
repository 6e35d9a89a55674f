/**
 * Who touches a session, and whether it is theirs. The session's object checks this in the
 * same turn as it acts, so nothing can come between the two.
 */
export interface Caller {
  /** Undefined where nobody has identified the caller: it owns the sessions that nobody owns. */
  readonly subject?: string | undefined;
  /** May touch anyone's sessions. */
  readonly admin: boolean;
}

/** Whether the caller may touch a session of `subject`. Of a session of nobody, an admin and nobody may. */
export function owns(caller: Caller, subject: string | undefined): boolean {
  return caller.admin || caller.subject === subject;
}

/** Whether the caller may make a session, or hand one over, in this subject's name. */
export function mayName(caller: Caller, subject: string | undefined): boolean {
  return subject === undefined || owns(caller, subject);
}
