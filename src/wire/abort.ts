/** Giving work up, in plain JavaScript. */

/** The part of an AbortSignal that code of ours uses. The platform's own signals fit, too. */
export interface Aborting {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Controllers of the platform that are kept for the next work. */
const MOST_SPARE = 8;

/**
 * An AbortController and its signal in one. The platform's are native objects: two of them and a
 * listener made a request to a server 40 µs longer (docs/performance.md). So this makes one only for
 * `fetch`, which takes no other, and uses it again after that. Listeners must not throw.
 */
export class Abort implements Aborting {
  readonly #listeners = new Set<() => void>();
  readonly #spare: AbortController[] | undefined;
  #platform: AbortController | undefined;
  #aborted = false;

  /** `spare`: controllers that work which has ended leaves for other work of the same object. */
  constructor(spare?: AbortController[]) {
    this.#spare = spare;
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  /** The same as a signal of the platform. */
  get platform(): AbortSignal {
    this.#platform ??= this.#spare?.pop() ?? new AbortController();
    if (this.#aborted) this.#platform.abort();
    return this.#platform.signal;
  }

  /** Calls every listener, once. */
  abort(): void {
    this.#aborted = true;
    this.#platform?.abort();
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }

  /** Says that the work has ended. Other work may then use its signal. */
  end(): void {
    if (!this.#platform || !this.#spare || this.#aborted) return;
    if (this.#spare.length < MOST_SPARE) this.#spare.push(this.#platform);
    this.#platform = undefined;
  }

  addEventListener(_type: "abort", listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    this.#listeners.delete(listener);
  }
}
