import type { Clock } from "../../src/library/model/time.ts";

/** A clock that stands still until a test moves it, and then runs the timers that are due. */
export class FakeClock implements Clock {
  #now: number;
  readonly #timers = new Set<{
    due: number;
    readonly intervalMs: number;
    readonly task: () => void;
  }>();

  constructor(now = Date.parse("2026-11-22T10:00:00Z")) {
    this.#now = now;
  }

  get timers(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  every(intervalMs: number, task: () => void): () => void {
    const timer = { due: this.#now + intervalMs, intervalMs, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves time, runs what came due in its order, and lets the promises that it left settle. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      const [next] = [...this.#timers]
        .filter((timer) => timer.due <= until)
        .toSorted((a, b) => a.due - b.due);
      if (!next) break;
      this.#now = next.due;
      next.due += next.intervalMs;
      next.task();
      await settle();
    }
    this.#now = until;
    await settle();
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}
