/** Waits before another try, and bounds the time of one try. */
import { HoldfastError, noAnswer } from "./error.ts";

/** The clock, timers and random numbers. Tests pass their own. */
export interface Timing {
  /** Milliseconds since the epoch. */
  now(): number;
  /** From 0 up to, but not including, 1. */
  random(): number;
  /** Resolves after `ms` milliseconds, or as soon as `signal` aborts, or a page's network is back if it `waitsForNetwork`. */
  sleep(ms: number, signal: AbortSignal, waitsForNetwork: boolean): Promise<void>;
  /** Runs `task` every `ms` milliseconds until the returned function is called. */
  every(ms: number, task: () => void): () => void;
}

export const systemTiming: Timing = {
  now: () => Date.now(),
  random: () => Math.random(),
  sleep: (ms, signal, waitsForNetwork) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      // React Native has a `window` without `addEventListener`.
      const { window } = globalThis as { readonly window?: Partial<EventTarget> };
      const page = waitsForNetwork ? window : undefined;
      const over = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", over);
        page?.removeEventListener?.("online", over);
        resolve();
      };
      const timer = setTimeout(over, ms);
      signal.addEventListener("abort", over);
      page?.addEventListener?.("online", over);
    }),
  every(ms, task) {
    const timer = setInterval(task, ms);
    return () => clearInterval(timer);
  },
};

/** Milliseconds that the client waits at most before it tries again. */
export const MAX_WAIT_MS = 30_000;
/** The longest `Retry-After` and `retry:` that it keeps to, in milliseconds. A timer cannot hold much longer ones. */
const MAX_ASKED_MS = 10 * 60_000;
/** Milliseconds between two looks at the clock. A laptop that wakes up notices within this time that its connection is old. */
const LOOK_MS = 5000;

/** Hears of each failure that the client does not give up on, and the milliseconds until it tries again. */
export type OnRetry = (error: HoldfastError, waitMs: number) => void;

/** Waits longer and longer between tries, until one succeeds. */
export class Backoff {
  readonly #timing: Timing;
  readonly #onRetry: OnRetry | undefined;
  #failures = 0;
  /** Milliseconds of the first wait. */
  baseMs: number;

  constructor(timing: Timing, baseMs: number, onRetry: OnRetry | undefined) {
    this.#timing = timing;
    this.baseMs = baseMs;
    this.#onRetry = onRetry;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** Waits before the next try. Throws a failure that does not pass, and the signal's reason if it aborts. */
  async wait(failure: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    // Any other error comes from this program, such as from a callback.
    if (!(failure instanceof HoldfastError) || !failure.mayPass) throw failure;
    const grown = Math.min(MAX_WAIT_MS, this.baseMs * 2 ** this.#failures++);
    const least = Math.min(MAX_ASKED_MS, Math.max(this.baseMs, failure.retryAfterMs ?? 0));
    // Up to half as much again, so that many clients do not come back at once.
    const waitMs = Math.max(grown, least) * (1 + this.#timing.random() / 2);
    this.#onRetry?.(failure, waitMs);
    await this.#timing.sleep(waitMs, signal, failure.status === 0);
    signal.throwIfAborted();
  }
}

/** One try of a call: it aborts with the caller's signal, and when nothing comes for too long. */
export class Attempt {
  readonly #timing: Timing;
  readonly #outer: AbortSignal;
  readonly #controller = new AbortController();
  readonly #abort = (): void => this.#controller.abort(this.#outer.reason);

  constructor(timing: Timing, outer: AbortSignal) {
    this.#timing = timing;
    this.#outer = outer;
    outer.addEventListener("abort", this.#abort);
    if (outer.aborted) this.#abort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /**
   * Resolves as `work` does. Throws its HoldfastError; `no_answer` for any other failure of it, and after
   * `ms` milliseconds; and the reason of the caller's signal. `what` names what is awaited.
   */
  async within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
    const { signal } = this;
    const since = this.#timing.now();
    // By the clock: timers stand still while a machine sleeps.
    const stopLooking = this.#timing.every(Math.min(ms, LOOK_MS), () => {
      if (this.#timing.now() - since < ms) return;
      this.#controller.abort(noAnswer(`${what} did not come for ${ms / 1000} s.`));
    });
    let abort: (() => void) | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        abort = () => reject(signal.reason);
        signal.addEventListener("abort", abort);
        if (signal.aborted) abort();
        work.then(resolve, (failure: unknown) => {
          const isNamed = failure instanceof HoldfastError;
          reject(isNamed ? failure : noAnswer(`${what} did not come: ${String(failure)}`, failure));
        });
      });
    } finally {
      stopLooking();
      if (abort) signal.removeEventListener("abort", abort);
    }
  }

  /** Ends what the try has opened. */
  close(): void {
    this.#outer.removeEventListener("abort", this.#abort);
    this.#controller.abort();
  }
}
