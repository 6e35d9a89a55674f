/**
 * Refuses requests before the process has no more files to open. Under plain workerd a connection
 * takes two and an object in memory three. Without any left workerd cannot accept a connection,
 * and ends (measured: 150 idle connections where 256 files may be open).
 *
 * To count them costs a millisecond, so one count serves for as many requests as surely fit.
 */
import { FILES_PER_REQUEST, OPEN_FILES_PAUSE_MS, OPEN_FILES_SHARE } from "../core/limits.ts";
import { sleep } from "../wire/timers.ts";
import type { Step } from "./guard.ts";
import { problemResponse } from "./problem.ts";

interface OpenFilesParts {
  /** How many files the process may have open. */
  readonly limit: number;
  /** How many it has open. */
  readonly count: () => Promise<number>;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** Milliseconds between two checks of a waiting request whether a count has ended: one request cannot await another's work. */
const LOOK_MS = 2;
/** Once no more than this share of the last count's room is left, one request counts again while others use the rest. */
const LOW = 1 / 4;

export class OpenFiles {
  readonly #parts: OpenFilesParts;
  readonly #now: () => number;
  /** Requests that fit before the next count. */
  #room = 0;
  #low = 0;
  /** Requests under way: what they will open may not be open yet. */
  #underWay = 0;
  /** When the last count began, in milliseconds since the epoch, and whether it goes on. */
  #countedAt = -Infinity;
  #isCounting = false;

  constructor(parts: OpenFilesParts) {
    this.#parts = parts;
    this.#now = parts.now ?? Date.now;
  }

  /**
   * Does the work of one request; undefined if there is no room for it.
   *
   * @example const answer = await openFiles.within(() => handle(request));
   */
  async within<T>(work: () => Promise<T>): Promise<T | undefined> {
    // Most requests need no count, and then no promise either.
    if (this.#room > this.#low) this.#room--;
    else if (!(await this.#take())) return undefined;
    this.#underWay++;
    try {
      return await work();
    } finally {
      this.#underWay--;
    }
  }

  async #take(): Promise<boolean> {
    while (this.#room <= this.#low) {
      // The platform may end a request that counts, and then its count never ends.
      const isRecent = this.#now() - this.#countedAt < OPEN_FILES_PAUSE_MS;
      const isUnderWay = this.#isCounting && isRecent;
      if (!isUnderWay) {
        if (this.#room <= 0 && isRecent) return false;
        await this.#count();
      }
      if (this.#room > 0) break;
      if (!isUnderWay) return false;
      await sleep(LOOK_MS);
    }
    this.#room--;
    return true;
  }

  async #count(): Promise<void> {
    const { limit, count } = this.#parts;
    this.#countedAt = this.#now();
    this.#isCounting = true;
    // To count takes a file too. If that cannot be had, there is no room.
    const open = await count().catch(() => limit);
    this.#isCounting = false;
    const left = Math.floor((OPEN_FILES_SHARE * limit - open) / FILES_PER_REQUEST);
    this.#room = left - this.#underWay;
    this.#low = Math.max(0, Math.floor(LOW * this.#room));
  }
}

/** Answers 503 while there is no room. A health check passes: this service is well, and busy. */
export function whileThereIsRoom(openFiles: OpenFiles): Step {
  return async (c, work) => {
    if (c.req.path === "/healthz") return work();
    const answer = await openFiles.within(work);
    if (answer) return answer;
    c.set("reason", "open_files");
    return problemResponse(
      "unavailable",
      "The service has as many files open as it may; try again.",
    );
  };
}
