/**
 * Enforces `MAX_SESSIONS_PER_SUBJECT`: decides whether a subject may have one more session. With a limit, a call
 * that makes or ends a session of a subject waits until the directory knows of it, so that the
 * next count is right. Without one nothing waits.
 *
 * If the directory does not answer, the session is made: a limit that took the service down would
 * not protect it.
 */
import type { Config } from "../config/service.ts";
import { SESSION_TYPE_TASK } from "../core/content.ts";
import { SessionError } from "../core/errors.ts";
import type { SessionId } from "../core/id.ts";
import type { DirectoryClient } from "./client.ts";

export class Admission {
  readonly #directory: DirectoryClient;
  readonly #limit: number;
  /** Undefined: sessions of every type count. */
  readonly #type: typeof SESSION_TYPE_TASK | undefined;

  constructor(directory: DirectoryClient, limit: number, type?: typeof SESSION_TYPE_TASK) {
    this.#directory = directory;
    this.#limit = limit;
    this.#type = type;
  }

  /**
   * Runs `make` if the subject has room for one more session. `untilListed` waits until the
   * directory knows of it. Throws a SessionError (`rate_limited`) if there is no room.
   */
  async run<T>(
    subject: string,
    id: SessionId,
    make: () => Promise<T>,
    untilListed: () => Promise<void>,
  ): Promise<T> {
    const asked = this.#directory.admit(subject, id, this.#limit, this.#type);
    if (!(await asked.catch(() => true))) throw new SessionError("rate_limited", this.#refusal);
    try {
      const made = await make();
      await untilListed();
      return made;
    } finally {
      // If this call is lost, the reservation lapses by itself.
      await this.#directory.release(subject, id).catch(() => undefined);
    }
  }

  get #refusal(): string {
    return this.#type === undefined
      ? `The subject has ${this.#limit} sessions, the most that MAX_SESSIONS_PER_SUBJECT allows; end one first.`
      : `The owner has ${this.#limit} tasks, the most that MAX_TASKS_PER_OWNER allows; the call was cancelled.`;
  }
}

/**
 * Returns a function that runs `make` if the owner may have one more task. It is a session too, so both
 * limits hold. `untilListed` waits until the directory knows of the new session. Throws as `Admission.run`.
 */
export function taskAdmission(
  directory: DirectoryClient | undefined,
  { maxSessionsPerSubject, maxTasksPerOwner }: Config,
  untilListed: () => Promise<void>,
): (id: SessionId, owner: string | undefined, make: () => Promise<void>) => Promise<void> {
  return (id, owner, make) => {
    if (!directory || owner === undefined) return make();
    const within = (limit: number, made: () => Promise<void>, type?: typeof SESSION_TYPE_TASK) =>
      limit === 0
        ? made()
        : new Admission(directory, limit, type).run(owner, id, made, untilListed);
    return within(maxSessionsPerSubject, () => within(maxTasksPerOwner, make, SESSION_TYPE_TASK));
  };
}
