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

  /** Calls `callback`, which waits for nothing else here, after `ms` unless the returned function is called before. */
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

/**
 * How long one request to an upstream may still take. One that finds that more time was
 * given when its time was up looks again later.
 */
export class CallDeadline {
  readonly #abort = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #reject: (reason: Error) => void;
  readonly #onOuter = (): void => this.#lapse();
  /** Rejects when the time is up, or whoever asked has given up. */
  readonly lapsed: Promise<never>;
  #until = 0;
  #armedFor = Infinity;
  readonly #timer: SharedTimer;
  #callOff: (() => void) | undefined;
  #timedOut = false;
  #ended = false;

  /** Aborting `outer` is giving up. */
  constructor(ms: number, timer: SharedTimer, outer?: AbortSignal) {
    this.#timer = timer;
    const { promise, reject } = Promise.withResolvers<never>();
    this.lapsed = promise;
    this.#reject = reject;
    // Nobody may be waiting when it lapses.
    promise.catch(() => undefined);
    this.#outer = outer;
    if (outer?.aborted) this.#lapse();
    else {
      outer?.addEventListener("abort", this.#onOuter);
      this.give(ms);
    }
  }

  /** Aborted when this lapses. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get timedOut(): boolean {
    return this.#timedOut;
  }

  /** It may take this many milliseconds from now. */
  give(ms: number): void {
    this.#until = Date.now() + ms;
    if (!this.#ended && this.#until < this.#armedFor) this.#arm();
  }

  /** It may take as long as it likes; giving up still ends it. */
  release(): void {
    this.#callOff?.();
  }

  /** It is over. */
  end(): void {
    this.#ended = true;
    this.#callOff?.();
    this.#outer?.removeEventListener("abort", this.#onOuter);
  }

  #arm(): void {
    this.#callOff?.();
    this.#armedFor = this.#until;
    this.#callOff = this.#timer.after(this.#until - Date.now(), () => this.#look());
  }

  #look(): void {
    if (Date.now() < this.#until) return this.#arm();
    this.#timedOut = true;
    this.#lapse();
  }

  #lapse(): void {
    this.end();
    this.#abort.abort();
    this.#reject(new Error(this.#timedOut ? "timed out" : "given up"));
  }
}
