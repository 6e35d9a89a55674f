/** Durations that users give, in milliseconds, and what a runtime can keep of them. */

/** The longest that Go's `time.Duration` holds, and so ToolHive's TTLs: about 292 years. */
export const LONGEST_TTL_MS = 9_223_372_036_854;

/** A timer in JavaScript holds at most 2^31-1 ms; a longer one would fire at once. */
export const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

export function isTtl(ms: number): boolean {
  return typeof ms === "number" && ms > 0 && ms <= LONGEST_TTL_MS;
}

export function isTimeout(ms: number): boolean {
  return typeof ms === "number" && ms > 0 && ms <= LONGEST_TIMEOUT_MS;
}

/** A TTL. Throws a RangeError where it is not positive, or is over 292 years: Go panics there. */
export function positiveTtl(ttlMs: number): number {
  if (isTtl(ttlMs)) return ttlMs;
  throw new RangeError(
    `ttlMs must be a positive number of milliseconds, at most ${LONGEST_TTL_MS}, not ${String(ttlMs)}`,
  );
}

/** A limit on a whole life; 0 is no limit. Throws a RangeError where it is negative or no number. */
export function lifetime(maxLifetimeMs: number): number {
  if (typeof maxLifetimeMs === "number" && maxLifetimeMs >= 0) return maxLifetimeMs;
  throw new RangeError(
    `maxLifetimeMs must be 0 or more milliseconds, not ${String(maxLifetimeMs)}`,
  );
}

/** A time to compare with, in milliseconds since the epoch. Throws a RangeError where it is none: nothing is before or after that. */
export function timeOf(time: Date | number): number {
  const ms = Number(time);
  if (!Number.isNaN(ms)) return ms;
  throw new RangeError("the time must be a valid Date, or milliseconds since the epoch");
}

/** How long to wait. Throws a RangeError, which names the option, where no timer can. */
export function timeout(name: string, ms: number): number {
  if (isTimeout(ms)) return ms;
  throw new RangeError(
    `${name} must be a positive number of milliseconds, at most ${LONGEST_TIMEOUT_MS}, not ${String(ms)}`,
  );
}
