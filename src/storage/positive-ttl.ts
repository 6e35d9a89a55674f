/** A TTL in milliseconds. Throws a RangeError where it is not a positive, finite number: Go panics there. */
export function positiveTtl(ttlMs: number): number {
  if (Number.isFinite(ttlMs) && ttlMs > 0) return ttlMs;
  throw new RangeError(`ttlMs must be a positive number of milliseconds, not ${String(ttlMs)}`);
}
