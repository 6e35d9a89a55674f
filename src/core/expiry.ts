/**
 * Decides when a session ends. The time is an argument: nothing here reads a clock.
 *
 * A use extends a session's life by its TTL. Storing each use would cost a billed write for
 * each read, so the object *credits a use ahead*: the stored `usedUntil` lies up to TTL/16 in the
 * future, and uses before it write nothing. An object in memory knows the exact last use and
 * ends the session on time. After an eviction it knows the credit alone, and ends the session
 * up to TTL/16 late. It never ends one early.
 */

/** How many credits are written per TTL at most. */
export const CREDITS_PER_TTL = 16;

export interface Lifetime {
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Milliseconds that a session lives after its last use. */
  readonly ttlMs: number;
  /** Milliseconds that a session may live at most, however it is used; 0: no limit. */
  readonly maxLifetimeMs: number;
}

export type ExpiryVerdict =
  | { readonly kind: "expire"; readonly reason: "idle" | "max_lifetime" }
  | { readonly kind: "live"; readonly until: number };

/**
 * Whether the session has ended at `now`, and otherwise when to look again. Times are
 * milliseconds since the epoch; `lastUse` is the last known or credited use. `inUse` is true
 * while a subscriber is attached or an exchange runs: then only `maxLifetimeMs` ends it.
 */
export function expiryVerdict(
  lifetime: Lifetime,
  lastUse: number,
  now: number,
  inUse: boolean,
): ExpiryVerdict {
  const cap = latestEnd(lifetime);
  if (now >= cap) return { kind: "expire", reason: "max_lifetime" };
  const idleAt = (inUse ? Math.max(now, lastUse) : lastUse) + lifetime.ttlMs;
  if (now >= idleAt) return { kind: "expire", reason: "idle" };
  return { kind: "live", until: Math.min(idleAt, cap) };
}

/** When the session ends at the latest, however it is used, in milliseconds since the epoch; Infinity: no limit. */
export function latestEnd({ createdAt, maxLifetimeMs }: Lifetime): number {
  return maxLifetimeMs > 0 ? createdAt + maxLifetimeMs : Infinity;
}

/** The credit to store for a use at `now`, if the stored credit does not reach that far. */
export function creditUse(now: number, ttlMs: number): number {
  return now + Math.floor(ttlMs / CREDITS_PER_TTL);
}

/**
 * The credit to store while the session is in use at `now`. It reaches to the next look at the
 * session, a TTL away: if the object dies in between, the client has a whole TTL to come back.
 */
export function creditWhileInUse(now: number, ttlMs: number): number {
  return now + ttlMs;
}

/** The last use that a freshly loaded object knows. A use lies in the past, so a later credit counts as `now`. */
export function lastUseOnLoad(usedUntil: number, now: number): number {
  return Math.min(usedUntil, now);
}
