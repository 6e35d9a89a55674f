/**
 * Does what comes in close together in one turn, so that the storage commits it
 * all at once: each commit is a write to disk that lasts, whatever it holds.
 */
export class SharedTurn {
  readonly #gatherMs: number;
  #waiting: (() => void)[] = [];

  constructor(gatherMs: number) {
    this.#gatherMs = gatherMs;
  }

  /** Resolves with what `work` returns, once its turn has come; rejects with what it throws, which harms no other. */
  do<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const first = this.#waiting.length === 0;
      this.#waiting.push(() => {
        try {
          resolve(work());
        } catch (failure) {
          reject(failure);
        }
      });
      if (first) setTimeout(() => this.#take(), this.#gatherMs);
    });
  }

  #take(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const work of waiting) work();
  }
}
