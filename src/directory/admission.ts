/**
 * `MAX_SESSIONS_PER_SUBJECT`: who may make one more session. With a limit, making
 * and ending a session of a subject wait until the directory knows, so that the
 * next caller's count is right; without one nothing waits.
 *
 * A directory that cannot be asked stops nobody: a limit protects the service,
 * and must not be what takes it down.
 */
import type { DirectoryClient } from "./client.ts";
import { SessionError } from "../core/errors.ts";
import type { SessionId } from "../core/id.ts";

export class Admission {
  readonly #directory: DirectoryClient;
  readonly #limit: number;

  constructor(directory: DirectoryClient, limit: number) {
    this.#directory = directory;
    this.#limit = limit;
  }

  /**
   * Runs `make` if the subject has room for one more session; `told` waits for the
   * directory. Throws a SessionError (`rate_limited`) where there is no room.
   */
  async run<T>(
    subject: string,
    id: SessionId,
    make: () => Promise<T>,
    told: () => Promise<void>,
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
      await told();
      return made;
    } finally {
      // The place lapses by itself where this does not arrive.
      await this.#directory.release(subject, id).catch(() => undefined);
    }
  }
}
