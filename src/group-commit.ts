/**
 * Has calls that come close together done in one turn, so that they share a commit: that
 * is a flush to disk whatever it holds. A call that comes alone is done at once. Those
 * that come while its commit is under way are done together once that is over; and
 * where they were several, what comes after them is held a little longer.
 */
export interface SharedCommitParts<Job, Result> {
  /** Does the jobs in one turn, and answers for each. */
  readonly work: (jobs: readonly Job[]) => readonly PromiseSettledResult<Result>[];
  /** How much of a turn a job takes: those that share one come to 1 at most. */
  readonly weigh: (job: Job) => number;
  /** Settles when what was written is durable, or never will be. */
  readonly untilCommitted: () => Promise<unknown>;
  /** What else calls wait for once several have come together. */
  readonly hold: () => Promise<unknown>;
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
    const waiting = (this.#waiting = [first]);
    while (waiting.length > 0) {
      const due = this.#takeTurn(waiting);
      this.#turn(due);
      await this.#pause(due.length > 1);
    }
    this.#waiting = undefined;
  }

  /** The first that wait: as many as one turn holds, and at least one. */
  #takeTurn(waiting: Waiting<Job, Result>[]): Waiting<Job, Result>[] {
    let weight = 0;
    const tooMuch = waiting.findIndex(({ job }, n) => {
      weight += this.#parts.weigh(job);
      return n > 0 && weight > 1;
    });
    return waiting.splice(0, tooMuch < 0 ? waiting.length : tooMuch);
  }

  /** Whatever goes wrong, everybody is answered and those who come later get their turn. */
  #turn(due: readonly Waiting<Job, Result>[]): void {
    let results: readonly PromiseSettledResult<Result>[] = [];
    let failure: unknown = new Error("a job was not answered");
    try {
      results = this.#parts.work(due.map(({ job }) => job));
    } catch (thrown) {
      failure = thrown;
    }
    due.forEach(({ resolve, reject }, n) => {
      const result = results[n] ?? { status: "rejected", reason: failure };
      if (result.status === "fulfilled") resolve(result.value);
      else reject(result.reason);
    });
  }

  async #pause(several: boolean): Promise<void> {
    try {
      await this.#parts.untilCommitted();
      if (several) await this.#parts.hold();
    } catch {
      // Those whose commit failed hear of it from the platform, which does not let their answers out.
    }
  }
} /**
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
