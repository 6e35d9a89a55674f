import { afterEach, beforeEach, vi } from "vitest";

/**
 * The time at which tests that set the clock begin, in milliseconds since the epoch: the year 2100.
 * workerd fires alarms by the real clock, and not by a test's `Date`. An alarm for the test's own
 * time must be in the real future, so that it fires only when the test runs it.
 */
export const FAR_TIME = Date.UTC(2100, 0, 1);

/** Each test of the file begins at FAR_TIME. Returns a function that sets the clock to so many seconds after it. */
export function farClock(): (seconds: number) => void {
  const at = (seconds: number) => void vi.setSystemTime(FAR_TIME + seconds * 1000);
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["Date"] });
    at(0);
  });
  afterEach(() => void vi.useRealTimers());
  return at;
}
