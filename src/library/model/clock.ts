/**
 * Time, as an argument. Whatever decides by the clock takes a `Clock`, so a test
 * drives it; the system's is only the default of the classes that users make.
 */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs `task` every `intervalMs` milliseconds until the returned function is called. */
  every(intervalMs: number, task: () => void): () => void;
}

/** A timer in JavaScript holds at most 2^31-1 ms; a longer one would fire at once. */
const LONGEST_INTERVAL_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  every(intervalMs, task) {
    const timer: unknown = setInterval(task, Math.min(intervalMs, LONGEST_INTERVAL_MS));
    // In Node a clean-up timer must not keep a process alive that is done.
    if (isUnrefable(timer)) timer.unref();
    // What setInterval returned is what clearInterval takes, whatever the runtime calls its type.
    return () => clearInterval(timer as Parameters<typeof clearInterval>[0]);
  },
};

function isUnrefable(timer: unknown): timer is { unref(): void } {
  return typeof timer === "object" && timer !== null && "unref" in timer;
}
