/**
 * When the directory is to be told about a session again. Pure: the outbox asks
 * this, and what it answers follows from stored state alone; so the wish to tell
 * is stored with every change of the session, in the same transaction, without a
 * row of its own.
 */
import { CREDITS_PER_TTL } from "../core/expiry.ts";
import { ENTRY_GRACE_MS, FIRST_RETELL_MS, LAST_RETELL_MS } from "../core/limits.ts";
import type { DirectoryEntry } from "./contract.ts";

/** A deadline may move by this share of the TTL before the directory hears of it. */
export const UNTOLD_SHARE = 1 / 4;

/**
 * What the entry is wrong about: `content` where it is missing, or differs in more
 * than its deadline; `deadline` where that has moved by more than a quarter of the
 * TTL; undefined where the directory is right enough.
 */
export function stalenessOf(
  told: DirectoryEntry | undefined,
  now: DirectoryEntry,
  ttlMs: number,
): "content" | "deadline" | undefined {
  if (
    told?.id !== now.id ||
    told.type !== now.type ||
    told.subject !== now.subject ||
    told.createdAt !== now.createdAt
  ) {
    return "content";
  }
  return Math.abs(now.expiresAt - told.expiresAt) > ttlMs * UNTOLD_SHARE ? "deadline" : undefined;
}

/**
 * When a shard that has heard nothing more may drop an entry. A live session is at
 * most the untold share and one credit of use (`expiry.ts`) past the deadline that
 * it told, and then its alarm has to fire and its message to arrive.
 */
export function dropTime(expiresAt: number, ttlMs: number): number {
  return Math.ceil(expiresAt + ttlMs * (UNTOLD_SHARE + 1 / CREDITS_PER_TTL) + ENTRY_GRACE_MS);
}

/** When to try again what failed between a session and the directory. */
/**
 * After as long as it has waited already, so that tries get rarer without a counter
 * to be stored; and a little spread, so that those which failed together do not come
 * back together. All in milliseconds since the epoch.
 */
export function retryTime(since: number, now: number): number {
  const waited = Math.min(Math.max(now - since, FIRST_RETELL_MS), LAST_RETELL_MS);
  return now + Math.round(waited * (1 + Math.random() / 4));
}
