/**
 * Has calls that come close together done in one turn, so that they share a commit: that
 * is a flush to disk whatever it holds. A call that comes alone is done at once. Those
 * that come while its commit is under way are done together once that is over; and
 * where they were several, what comes after them is held a little longer.
 */
export interface SharedCommitParts<Job, Result> {
  /** Does the jobs in one turn; one that fails harms no other. */
  readonly work: (jobs: readonly Job[]) => readonly PromiseSettledResult<Result>[];
  /** Settles when what was written is durable, or never will be. */
  readonly committed: () => Promise<unknown>;
  /** What else calls wait for once several have come together. */
  readonly held: () => Promise<unknown>;
}

interface Waiting<Job, Result> {
  readonly job: Job;
  readonly resolve: (result: Result) => void;
  readonly reject: (reason: unknown) => void;
}

export class SharedCommit<Job, Result> {
  readonly #parts: SharedCommitParts<Job, Result>;
  /** Undefined while nothing is being committed. */
  #waiting: Waiting<Job, Result>[] | undefined;

  constructor(parts: SharedCommitParts<Job, Result>) {
    this.#parts = parts;
  }

  do(job: Job): Promise<Result> {
    return new Promise((resolve, reject) => {
      const one = { job, resolve, reject };
      if (this.#waiting) this.#waiting.push(one);
      else void this.#workOff(one);
    });
  }

  async #workOff(first: Waiting<Job, Result>): Promise<void> {
    for (let due = [first]; due.length > 0; due = this.#waiting) {
      this.#waiting = [];
      this.#turn(due);
      // A commit that failed is told to its callers by the platform, and to the next by their own.
      await this.#parts.committed().catch(() => undefined);
      if (due.length > 1) await this.#parts.held();
    }
    this.#waiting = undefined;
  }

  #turn(due: readonly Waiting<Job, Result>[]): void {
    const results = this.#parts.work(due.map(({ job }) => job));
    due.forEach(({ resolve, reject }, n) => {
      const result = results[n];
      if (result?.status === "fulfilled") resolve(result.value);
      else reject(result?.reason);
    });
  }
}
