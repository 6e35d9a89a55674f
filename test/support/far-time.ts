/**
 * The time at which tests that set the clock begin, in milliseconds since the epoch: the year 2100.
 * workerd fires alarms by the real clock, and not by a test's `Date`. An alarm for the test's own
 * time must be in the real future, so that it fires only when the test runs it.
 */
export const FAR_TIME = Date.UTC(2100, 0, 1);
