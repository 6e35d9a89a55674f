/**
 * One timer for many things that are each to happen after some time, unless they are called
 * off. Most are over soon, and a timer that is set and cleared for each costs a
 * twentieth of a quick call (measured on workerd). So the timer fires within
 * `IDLE_MS` of the first of them, for nothing where nothing is left, and only what still
 * waits then has it set for as long as that takes.
 */

/** Milliseconds that the timer goes on for nothing at most: while it does, an object stays in memory. */
const IDLE_MS = 250;

export class SharedTimer {
  /** What waits, with when it is due. */
  readonly #waiting = new Map<() => void, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires. */
  #at = Infinity;

  /**
   * Calls `callback` after `ms` unless the returned function is called before. One that
   * waits already waits for that long from now instead.
   */
  after(ms: number, callback: () => void): () => void {
    const now = Date.now();
    this.#waiting.set(callback, now + ms);
    this.#wakeBy(now + Math.min(ms, IDLE_MS), now);
    return () => this.#callOff(callback);
  }

  #callOff(callback: () => void): void {
    this.#waiting.delete(callback);
    if (this.#waiting.size > 0 || this.#at - Date.now() <= IDLE_MS) return;
    clearTimeout(this.#timer);
    this.#at = Infinity;
  }

  #wakeBy(at: number, now: number): void {
    if (at >= this.#at) return;
    clearTimeout(this.#timer);
    this.#at = at;
    this.#timer = setTimeout(() => this.#look(), at - now);
  }

  #look(): void {
    this.#at = Infinity;
    const now = Date.now();
    try {
      for (const [callback, due] of this.#waiting) {
        if (due > now) continue;
        this.#waiting.delete(callback);
        callback();
      }
    } finally {
      // Where one threw, the others are looked at in a turn of their own.
      if (this.#waiting.size > 0)
        this.#wakeBy(Math.max(now, Math.min(...this.#waiting.values())), now);
    }
  }
}

/** How long one request to an upstream may still take. */
export class CallDeadline {
  readonly #timer: SharedTimer;
  readonly #outer: AbortSignal | undefined;
  readonly #abort = new AbortController();
  readonly #lapsed = Promise.withResolvers<never>();
  readonly #giveUp = (): void => this.#lapse("given up");
  readonly #timeUp = (): void => {
    this.timedOut = true;
    this.#lapse("timed out");
  };
  #callOff: (() => void) | undefined;
  timedOut = false;

  /** Aborting `outer` is giving up. */
  constructor(ms: number, timer: SharedTimer, outer?: AbortSignal) {
    this.#timer = timer;
    this.#outer = outer;
    // Nobody may be waiting when it lapses.
    this.lapsed.catch(() => undefined);
    if (outer?.aborted) this.#giveUp();
    outer?.addEventListener("abort", this.#giveUp);
    this.give(ms);
  }

  /** Rejects when the time is up, or whoever asked has given up. */
  get lapsed(): Promise<never> {
    return this.#lapsed.promise;
  }

  /** Aborted when this lapses. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** It may take this many milliseconds from now. */
  give(ms: number): void {
    if (!this.signal.aborted) this.#callOff = this.#timer.after(ms, this.#timeUp);
  }

  /** It may take as long as it likes; giving up still ends it. */
  release(): void {
    this.#callOff?.();
  }

  /** It is over. */
  end(): void {
    this.release();
    this.#outer?.removeEventListener("abort", this.#giveUp);
  }

  #lapse(why: string): void {
    this.end();
    this.#abort.abort();
    this.#lapsed.reject(new Error(why));
  }
}

/** Resolves after `ms` milliseconds, or as soon as `signal` is aborted. */
export async function wait(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = (): void => resolve();
  signal.addEventListener("abort", stop);
  await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", stop);
}
