/** Runs work at a fixed rate, with as many workers as that takes, until the signal aborts. */
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";

/** The most often that one worker acts in a second. It has one call under way at a time. */
const MOST_PER_WORKER = 10;

type Work = (worker: number) => Promise<void>;

/** The number of workers for a rate. */
export function workersFor(rate: number): number {
  return Math.ceil(rate / MOST_PER_WORKER);
}

/** Resolves when the signal has aborted and every call under way has ended. */
export async function atRate(
  rate: number,
  signal: AbortSignal,
  work: Work,
  workers = workersFor(rate),
): Promise<void> {
  const interval = (1000 * workers) / rate;
  const each = async (worker: number) => {
    let next = performance.now() + (interval * worker) / workers;
    while (await until(next, signal)) {
      await work(worker);
      // Work that an outage prevented is not repeated later.
      next = Math.max(next + interval, performance.now());
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => each(worker)));
}

/** Turns of the event loop in which all that has come is read, by a relay and by its client. */
const TURNS = 10;
const QUICK_MS = 50;

/**
 * Waits until this process has read all that has come to it. A process that was held up for long
 * must do so before it closes a connection: the service rightly counts as taken what a living
 * connection has held for half a second.
 */
export async function caughtUpOnInput(): Promise<void> {
  let began: number;
  do {
    began = performance.now();
    for (let n = 0; n < TURNS; n++) await turn();
  } while (performance.now() - began > QUICK_MS);
}

/** Waits until then. Answers false if the signal aborts first. */
export async function until(then: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false;
  try {
    await sleep(Math.max(0, then - performance.now()), undefined, { signal });
    return true;
  } catch {
    return false;
  }
}

/** Lets one work run at a time, in the order in which they came. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}
