/**
 * Enforces `MAX_SESSIONS_PER_SUBJECT`: decides whether a subject may have one more session. With a limit, a call
 * that makes or ends a session of a subject waits until the directory knows of it, so that the
 * next count is right. Without one nothing waits.
 *
 * If the directory does not answer, the session is made: a limit that took the service down would
 * not protect it.
 */
import { SessionError } from "../core/errors.ts";
import type { SessionId } from "../core/id.ts";
import type { DirectoryClient } from "./client.ts";

export class Admission {
  readonly #directory: DirectoryClient;
  readonly #limit: number;

  constructor(directory: DirectoryClient, limit: number) {
    this.#directory = directory;
    this.#limit = limit;
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
    const admitted = await this.#directory.admit(subject, id, this.#limit).catch(() => true);
    if (!admitted) {
      throw new SessionError(
        "rate_limited",
        `The subject has ${this.#limit} sessions, the most that MAX_SESSIONS_PER_SUBJECT allows; end one first.`,
      );
    }
    try {
      const made = await make();
      await untilListed();
      return made;
    } finally {
      // If this call is lost, the reservation lapses by itself.
      await this.#directory.release(subject, id).catch(() => undefined);
    }
  }
}
