/**
 * Does calls that come close together in one turn, so that they share a commit: a commit
 * costs one flush to disk, however much it holds.
 */
import { sleep } from "./wire/timers.ts";

interface GroupCommitParts<Job, Done, Result> {
  /** Does one job. If it throws, its own call rejects, and no other. */
  readonly work: (job: Job) => Done;
  /** Ends a turn with all that it has done. Returns a function from each result of `work` to the call's own. */
  readonly finish: (done: readonly Done[]) => (done: Done) => Result;
  /** The share of a turn that a job takes: the jobs of one turn come to 1 at most. Absent: 0. */
  readonly weigh?: (job: Job) => number;
  /** Milliseconds that a turn waits for more calls. Absent: a call that comes alone is done at once. */
  readonly gatherMs?: number;
  /** Settles when the next turn may begin, after a turn of `calls` calls. */
  readonly pause?: (calls: number) => Promise<unknown>;
}

interface Call<Job, Result> {
  readonly job: Job;
  readonly resolve: (result: Result) => void;
  readonly reject: (reason: unknown) => void;
}

export class GroupCommit<Job, Done, Result> {
  readonly #parts: GroupCommitParts<Job, Done, Result>;
  readonly #waiting: Call<Job, Result>[] = [];
  #isBusy = false;

  constructor(parts: GroupCommitParts<Job, Done, Result>) {
    this.#parts = parts;
  }

  /** Whether a call that comes now has to wait for its turn. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Resolves with the result that `finish` gives it. Rejects with what `work` or `finish` throws. */
  do(job: Job): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      if (!this.#isBusy) void this.#workOff();
    });
  }

  async #workOff(): Promise<void> {
    const { gatherMs, pause } = this.#parts;
    this.#isBusy = true;
    while (this.#waiting.length > 0) {
      if (gatherMs !== undefined) await sleep(gatherMs);
      const calls = this.#takeTurn();
      this.#doTurn(calls);
      // The platform itself fails a call whose commit failed: it does not let the answer out.
      await pause?.(calls.length).catch(() => undefined);
    }
    this.#isBusy = false;
  }

  /** The first that wait: as many as one turn holds, and at least one. */
  #takeTurn(): Call<Job, Result>[] {
    const { weigh = () => 0 } = this.#parts;
    let weight = 0;
    const tooMuch = this.#waiting.findIndex(({ job }, n) => {
      weight += weigh(job);
      return n > 0 && weight > 1;
    });
    return this.#waiting.splice(0, tooMuch < 0 ? this.#waiting.length : tooMuch);
  }

  /** Settles every call of the turn, whatever goes wrong. */
  #doTurn(calls: readonly Call<Job, Result>[]): void {
    const { work, finish } = this.#parts;
    const done = calls.flatMap((call) => {
      try {
        return [{ call, done: work(call.job) }];
      } catch (failure) {
        call.reject(failure);
        return [];
      }
    });
    try {
      const answer = finish(done.map((one) => one.done));
      for (const one of done) one.call.resolve(answer(one.done));
    } catch (failure) {
      for (const { call } of done) call.reject(failure);
    }
  }
}
