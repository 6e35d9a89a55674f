/** When to try again what failed between a session and the directory. */
import { FIRST_RETELL_MS, LAST_RETELL_MS } from "../session/limits.ts";

/**
 * After as long as it has waited already, so that tries get rarer without a counter
 * to be stored; and a little spread, so that those which failed together do not come
 * back together. All in milliseconds since the epoch.
 */
export function retryTime(since: number, now: number): number {
  const waited = Math.min(Math.max(now - since, FIRST_RETELL_MS), LAST_RETELL_MS);
  return now + Math.round(waited * (1 + Math.random() / 4));
}
