import { TURN_BYTES } from "../../core/limits.ts";

/** The messages that one chunk of an upstream's stream brings: they are stored and sent together. */
export class Turn {
  readonly #texts: string[] = [];
  /** UTF-16 units. */
  #size = 0;

  /** Whether this message is to be part of the turn. A turn has 64 KiB, or one message that is larger. */
  fits(text: string): boolean {
    return this.#texts.length === 0 || this.#size + text.length <= TURN_BYTES;
  }

  add(text: string): void {
    this.#texts.push(text);
    this.#size += text.length;
  }

  /** Ends the turn, and returns its messages. */
  take(): string[] {
    this.#size = 0;
    return this.#texts.splice(0);
  }
}
