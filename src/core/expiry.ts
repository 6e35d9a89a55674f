/**
 * When a session ends. Pure: the clock is an argument.
 *
 * A use extends a session's life by its TTL. Writing that down on each use would
 * cost a billed row per read, so a use is *credited ahead*: the stored
 * `usedUntil` lies up to TTL/16 in the future, and later uses before it cost
 * nothing. While the object stays in memory it knows the exact last use and ends
 * the session exactly; after an eviction only the credit is left, and the
 * session ends up to TTL/16 late. It never ends early.
 */

/** At most this many credits are written per TTL. */
export const CREDITS_PER_TTL = 16;

interface Lifetime {
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Milliseconds that a session lives after its last use. */
  readonly ttlMs: number;
  /** Milliseconds that a session may live in all, whatever its use; 0 is no limit. */
  readonly maxLifetimeMs: number;
}

export type ExpiryVerdict =
  | { readonly kind: "expire"; readonly reason: "idle" | "max_lifetime" }
  | { readonly kind: "live"; readonly until: number };

/**
 * Whether the session has ended at `now`, and otherwise when to look again.
 * `lastUse` is the last use that is known (or credited), in milliseconds since
 * the epoch. `inUse` is true while a writer is attached or an exchange runs: that
 * is use at this very moment, and only `maxLifetimeMs` ends such a session.
 */
export function expiryVerdict(
  lifetime: Lifetime,
  lastUse: number,
  now: number,
  inUse: boolean,
): ExpiryVerdict {
  const cap = lifetime.maxLifetimeMs > 0 ? lifetime.createdAt + lifetime.maxLifetimeMs : Infinity;
  if (now >= cap) return { kind: "expire", reason: "max_lifetime" };
  const idleAt = (inUse ? Math.max(now, lastUse) : lastUse) + lifetime.ttlMs;
  if (now >= idleAt) return { kind: "expire", reason: "idle" };
  return { kind: "live", until: Math.min(idleAt, cap) };
}

/** The credit to store for a use at `now`, when the stored one does not reach it. */
export function creditUse(now: number, ttlMs: number): number {
  return now + Math.floor(ttlMs / CREDITS_PER_TTL);
}

/**
 * The credit to store while a writer is attached, or an exchange runs, at `now`.
 * It reaches to the next look at the session, a TTL away: should the object die
 * without a word in between, the client still has a whole TTL to come back.
 */
export function creditWhileInUse(now: number, ttlMs: number): number {
  return now + ttlMs;
}

/**
 * The last use, as far as an object that has just been loaded can know. A use
 * lies in the past, so a credit that reaches beyond `now` counts as `now`.
 */
export function lastUseOnLoad(usedUntil: number, now: number): number {
  return Math.min(usedUntil, now);
}
