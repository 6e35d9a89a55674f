/**
 * Decides when a session must be reported to the directory again. It looks at stored state alone, so
 * every change that is stored will be sent, without a row that says so.
 */
import { CREDITS_PER_TTL, latestEnd, type Lifetime } from "../core/expiry.ts";
import {
  ENTRY_GRACE_MS,
  FIRST_RESEND_MS,
  LONGEST_RESEND_MS,
  RENEWED_FOR_MS,
} from "../core/limits.ts";
import type { DirectoryEntry, KeptEntry, Renewal } from "./contract.ts";

/** A deadline may move by this share of the TTL before the directory hears of it. */
const STALE_SHARE = 1 / 4;

/** Something held the session open at `at` (milliseconds since the epoch); how its entry may renew itself then. */
export interface Held {
  readonly at: number;
  readonly renewal: Renewal;
}

export function heldOpen(session: Lifetime, at: number): Held {
  const until = Math.min(at + RENEWED_FOR_MS, latestEnd(session));
  return { at, renewal: { everyMs: session.ttlMs, until } };
}

/** The deadline that a listing shows at `now` of a kept entry; both in milliseconds since the epoch. */
export function shownDeadline(expiresAt: number, renewMs: number | undefined, now: number): number {
  return renewMs === undefined ? expiresAt : Math.min(now + renewMs, expiresAt);
}

/**
 * Compares the listed entry with the session: `content` if it is missing or differs in more than its
 * deadline; `deadline` if that has moved by more than a quarter of the TTL, or would from now on.
 */
export function stalenessOf(
  listed: KeptEntry | undefined,
  now: DirectoryEntry,
  ttlMs: number,
  held?: Held,
): "content" | "deadline" | undefined {
  const { entry, renewMs } = listed ?? {};
  const isSame =
    entry?.id === now.id &&
    entry.type === now.type &&
    entry.subject === now.subject &&
    entry.createdAt === now.createdAt;
  if (!isSame) return "content";
  if (renewMs !== undefined && !(held && entry.expiresAt <= held.renewal.until)) {
    // It would go on although the deadline is fixed by now, or past the end of the session's lifetime.
    return "deadline";
  }
  const shown = shownDeadline(entry.expiresAt, renewMs, held?.at ?? 0);
  const moved = Math.abs(now.expiresAt - shown);
  return moved > ttlMs * STALE_SHARE ? "deadline" : undefined;
}

/**
 * When a shard that hears nothing more may drop an entry. A live session is at most that share
 * and one credit of use (`expiry.ts`) past the deadline that is listed. Then its alarm has to
 * fire and its message to arrive.
 */
export function dropTime(expiresAt: number, ttlMs: number): number {
  return Math.ceil(expiresAt + ttlMs * (STALE_SHARE + 1 / CREDITS_PER_TTL) + ENTRY_GRACE_MS);
}

/** The message of an entry, without its order. */
export function putOf(entry: DirectoryEntry, ttlMs: number, renewal?: Renewal) {
  const dropAt = dropTime(renewal?.until ?? entry.expiresAt, ttlMs);
  return { op: "put" as const, entry, dropAt, ...(renewal && { renewal }) };
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
