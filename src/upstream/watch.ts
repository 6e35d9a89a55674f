import type { SharedTimer } from "./shared-timer.ts";

/**
 * How long one request to an upstream may still take. One that finds that more time was
 * given when its time was up looks again later.
 */
export class Watch {
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
