/** So many times a second, by as many workers as it takes, until told to end. */
import { setTimeout as sleep } from "node:timers/promises";

/** More often than this one worker, with one call under way at a time, is not asked to act in a second. */
const MOST_PER_WORKER = 10;

export type Work = (worker: number) => Promise<void>;

/** How many workers it takes to act so many times a second. */
export function workersFor(rate: number): number {
  return Math.ceil(rate / MOST_PER_WORKER);
}

/** Resolves when told to end and every call that is under way has. */
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
      // What an outage has kept from happening is not made up for.
      next = Math.max(next + interval, performance.now());
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => each(worker)));
}

/** Waits until then; false where it was told to end meanwhile. */
export async function until(then: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false;
  try {
    await sleep(Math.max(0, then - performance.now()), undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
