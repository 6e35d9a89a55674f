/**
 * Messages on their way to one reader, bounded: ToolHive's `MessageCh`. Like a Go
 * channel, a closed queue still gives out what it holds, and each message goes to
 * one reader only.
 */

/** Messages that a queue holds while nobody reads: ToolHive's channel size. */
export const MESSAGE_QUEUE_CAPACITY = 100;

type Waiting = (result: IteratorResult<string, undefined>) => void;

export class MessageQueue implements AsyncIterable<string> {
  readonly capacity: number;
  readonly #held: string[] = [];
  readonly #waiting: Waiting[] = [];
  #closed = false;

  /** Throws a RangeError where `capacity` is not a whole number of at least 1. */
  constructor(capacity = MESSAGE_QUEUE_CAPACITY) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError(
        `a queue's capacity must be a whole number of at least 1, not ${capacity}`,
      );
    }
    this.capacity = capacity;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Messages that nobody has read yet. */
  get size(): number {
    return this.#held.length;
  }

  /** Gives a message to a waiting reader, or holds it. False where the queue is full or closed. */
  push(message: string): boolean {
    if (this.#closed) return false;
    const reader = this.#waiting.shift();
    if (reader) {
      reader({ done: false, value: message });
      return true;
    }
    if (this.#held.length >= this.capacity) return false;
    this.#held.push(message);
    return true;
  }

  /** Takes no more messages; readers get what is held, then the end. Repeating it does nothing. */
  close(): void {
    this.#closed = true;
    for (const reader of this.#waiting.splice(0)) reader({ done: true, value: undefined });
  }

  /**
   * Closes this queue, and passes on to another what nobody has read, in its order
   * and as far as it has room. What it had no room for is still read here.
   */
  closeInto(next: MessageQueue): void {
    const left = this.#held.findIndex((message) => !next.push(message));
    this.#held.splice(0, left < 0 ? this.#held.length : left);
    this.close();
  }

  /** The next message, or the end. */
  next(): Promise<IteratorResult<string, undefined>> {
    const value = this.#held.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#closed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Reading ends with the queue, not with the loop: a second loop goes on where the first broke off. */
  [Symbol.asyncIterator](): AsyncIterator<string, undefined> {
    return { next: () => this.next() };
  }
}
