/**
 * Milliseconds since the epoch at which tests that set the clock begin: the year 2100.
 * workerd fires alarms by the real clock, whatever a test has `Date` say, so one that is
 * set for the test's own time must lie beyond it: then it fires when the test runs it.
 */
export const FAR_TIME = Date.UTC(2100, 0, 1);
