/**
 * Counts the bytes of bodies that are held at a time, for all requests and all objects that share
 * a Worker's memory. Without the bound a few dozen large bodies at once end the process.
 */
import { MAX_HELD_BYTES, MAX_SMALL_BODY_BYTES } from "../core/limits.ts";

/** The detail of the error (`unavailable`) for a body that there is no room for. */
export const NO_ROOM = "Too many large bodies are under way; try again.";

export class HeldBytes {
  readonly #most: number;
  #held = 0;

  constructor(most: number = MAX_HELD_BYTES) {
    this.#most = most;
  }

  /** Bytes that are held now. */
  get held(): number {
    return this.#held;
  }

  /** Begins to hold a body, of no bytes yet. */
  hold(): Hold {
    return new Hold((bytes) => this.#add(bytes));
  }

  #add(bytes: number): boolean {
    if (bytes > 0 && this.#held + bytes > this.#most) return false;
    this.#held += bytes;
    return true;
  }
}

/** One body. Its holder releases it in the end, whatever happens. */
export class Hold {
  readonly #add: (bytes: number) => boolean;
  #bytes = 0;
  #isReleased = false;

  constructor(add: (bytes: number) => boolean) {
    this.#add = add;
  }

  /**
   * Counts the body as this large by now, in bytes. False if there is no room for it, and after the
   * release, when nobody waits for the body. A small body always has room, and is not counted.
   */
  grow(bytes: number): boolean {
    if (bytes <= MAX_SMALL_BODY_BYTES) return true;
    if (this.#isReleased || !this.#add(bytes - this.#bytes)) return false;
    this.#bytes = bytes;
    return true;
  }

  /** Whether the body is counted. */
  get isLarge(): boolean {
    return this.#bytes > 0;
  }

  /** Ends the holding of the body. A second call does nothing. */
  release(): void {
    this.#isReleased = true;
    this.#add(-this.#bytes);
    this.#bytes = 0;
  }
}

/** The count of this Worker, for its requests and for the exchanges of its objects. */
export const bodies = new HeldBytes();
