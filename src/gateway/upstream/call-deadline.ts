/** Timers: one that many calls share, and the deadline of one call. */

/** Milliseconds until the shared timer first fires. An object stays in memory while its timer runs. */
const IDLE_MS = 250;
/**
 * Milliseconds after which a timer is set anew. Cloudflare keeps an object without a caller in memory while one of the
 * object's timers is pending, for 15 minutes from that timer's start (compatibility date 2026-10-01, "Pending I/O
 * operations"). A request to a server on the internet does not keep it. So a call of an hour lasts by its timers.
 */
const LONGEST_MS = 5 * 60_000;

/**
 * One timer for many callbacks, most of which are called off soon: to set and clear a timer for
 * each costs a twentieth of a quick call (measured on workerd). So the timer fires `IDLE_MS` after
 * the first of them, and is set for longer only if some still wait then.
 *
 * @example const callOff = timer.after(250, () => startStream());
 */
export class SharedTimer {
  /** When each callback is due. */
  readonly #waiting = new Map<() => void, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires. */
  #at = Infinity;

  /**
   * Calls `callback` after `ms` milliseconds, unless the returned function is called before. A
   * callback that waits already waits for `ms` from now instead.
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
      // If a callback threw, the others are called in another turn.
      if (this.#waiting.size > 0) {
        const due = Math.max(now, Math.min(...this.#waiting.values()));
        this.#wakeBy(Math.min(due, now + LONGEST_MS), now);
      }
    }
  }
}

/**
 * How long one request to an upstream may still take. It lapses when the time is up, and when
 * the caller gives up.
 */
export class CallDeadline {
  readonly #timer: SharedTimer;
  readonly #outer: AbortSignal | undefined;
  /** Milliseconds since the epoch. */
  readonly #latest: number;
  readonly #abort = new AbortController();
  readonly #lapsed = Promise.withResolvers<never>();
  readonly #giveUp = (): void => this.#lapse("given up");
  readonly #timeUp = (): void => {
    this.timedOut = true;
    this.#lapse("timed out");
  };
  #callOff: (() => void) | undefined;
  /** Whether it lapsed because the time was up. */
  timedOut = false;

  /** The caller gives up by aborting `outer`. `give` never extends the whole beyond `totalMs` milliseconds. */
  constructor(ms: number, timer: SharedTimer, outer?: AbortSignal, totalMs = Infinity) {
    this.#timer = timer;
    this.#latest = Date.now() + totalMs;
    this.#outer = outer;
    // The deadline may lapse while nobody waits for it.
    this.lapsed.catch(() => undefined);
    if (outer?.aborted) this.#giveUp();
    outer?.addEventListener("abort", this.#giveUp);
    this.give(ms);
  }

  /** Rejects when the deadline lapses. */
  get lapsed(): Promise<never> {
    return this.#lapsed.promise;
  }

  /** Aborted when the deadline lapses. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Sets the time that is left, in milliseconds from now. */
  give(ms: number): void {
    if (this.signal.aborted) return;
    const most = Math.max(0, this.#latest - Date.now());
    this.#callOff = this.#timer.after(Math.min(ms, most), this.#timeUp);
  }

  /** Takes the limit of time away. The caller can still give up. */
  release(): void {
    this.#callOff?.();
  }

  /** The request is over: the deadline does not lapse any more. */
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
