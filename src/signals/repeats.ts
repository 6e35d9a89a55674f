/**
 * Bounds the lines of a log that a stranger can cause. Each kind gets two lines in ten seconds at most:
 * the first one as it comes, and one that says how many came after it.
 */

/** Milliseconds after a line for which others of its kind are counted, not written. */
export const COUNTED_MS = 10_000;
/** Kinds that are counted at a time. */
export const MOST_KINDS = 100;

interface Counted<Fields> {
  readonly fields: Fields;
  readonly until: number;
  repeated: number;
}

export class Repeats<Fields> {
  readonly #write: (fields: Fields, repeated: number | undefined) => void;
  /** The oldest first. */
  readonly #kinds = new Map<string, Counted<Fields>>();

  /** `write` writes a line. `repeated`: the line stands for this many after the one that was written at once. */
  constructor(write: (fields: Fields, repeated: number | undefined) => void) {
    this.#write = write;
  }

  /** Whether anything is counted: `settle` has something to do sooner or later. */
  get isEmpty(): boolean {
    return this.#kinds.size === 0;
  }

  /** Takes what a line says. `now` is in milliseconds since the epoch. */
  take(kind: string, fields: Fields, now: number): void {
    this.settle(now);
    const counted = this.#kinds.get(kind);
    if (counted) {
      counted.repeated++;
      return;
    }
    if (this.#kinds.size >= MOST_KINDS) this.#sumOldest();
    this.#kinds.set(kind, { fields, until: now + COUNTED_MS, repeated: 0 });
    this.#write(fields, undefined);
  }

  /** Writes what was counted for kinds whose time is over. A Worker has no timer between requests, so each request calls it. */
  settle(now: number): void {
    for (const { until } of this.#kinds.values()) {
      // A clock that was set back must not keep a kind silent for longer.
      if (now < until && now >= until - COUNTED_MS) return;
      this.#sumOldest();
    }
  }

  #sumOldest(): void {
    const [oldest] = this.#kinds;
    if (!oldest) return;
    const [kind, { fields, repeated }] = oldest;
    this.#kinds.delete(kind);
    if (repeated > 0) this.#write(fields, repeated);
  }
}
