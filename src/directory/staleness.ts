/**
 * Decides when a session must be reported to the directory again. It looks at stored state alone, so
 * every change that is stored will be sent, without a row that says so.
 */
import { CREDITS_PER_TTL } from "../core/expiry.ts";
import { ENTRY_GRACE_MS, FIRST_RESEND_MS, LONGEST_RESEND_MS } from "../core/limits.ts";
import type { DirectoryEntry } from "./contract.ts";

/** A deadline may move by this share of the TTL before the directory hears of it. */
const STALE_SHARE = 1 / 4;

/**
 * Compares the listed entry with the session: `content` if it is missing or differs in more
 * than its deadline; `deadline` if that has moved by more than a quarter of the TTL.
 */
export function stalenessOf(
  listed: DirectoryEntry | undefined,
  now: DirectoryEntry,
  ttlMs: number,
): "content" | "deadline" | undefined {
  const isSame =
    listed?.id === now.id &&
    listed.type === now.type &&
    listed.subject === now.subject &&
    listed.createdAt === now.createdAt;
  if (!isSame) return "content";
  return Math.abs(now.expiresAt - listed.expiresAt) > ttlMs * STALE_SHARE ? "deadline" : undefined;
}

/**
 * When a shard that hears nothing more may drop an entry. A live session is at most that share
 * and one credit of use (`expiry.ts`) past the deadline that is listed. Then its alarm has to
 * fire and its message to arrive.
 */
export function dropTime(expiresAt: number, ttlMs: number): number {
  return Math.ceil(expiresAt + ttlMs * (STALE_SHARE + 1 / CREDITS_PER_TTL) + ENTRY_GRACE_MS);
}

/**
 * When to try again to send what has waited since `since`; all in milliseconds since the epoch.
 * The next wait is as long as all waits so far, so tries get rarer without a stored counter. A
 * little spread keeps tries that failed together from coming back together.
 */
export function retryTime(since: number, now: number): number {
  const waited = Math.min(Math.max(now - since, FIRST_RESEND_MS), LONGEST_RESEND_MS);
  return now + Math.round(waited * (1 + Math.random() / 4));
}
