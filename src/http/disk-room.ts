/**
 * Refuses requests that store more while the disk is full, so that deletes have what room there is.
 * `npm run serve` keeps a file as a reserve, and removes it when the disk is full.
 */
import type { MiddlewareHandler } from "hono";
import { DISK_LOOK_MS } from "../core/limits.ts";
import { problemResponse } from "./problem.ts";

/**
 * Methods and paths of the requests to mount the check before. Other requests store nothing, or little, and
 * pay nothing for the check. A legacy MCP client opens its session by a GET.
 */
export const STORING: readonly (readonly [methods: string[], path: string])[] = [
  [["POST", "PUT", "PATCH"], "*"],
  [["GET"], "/sse/*"],
];

/** `isFull` checks the disk. If the check fails, the result of the last one counts. */
export function whileTheDiskHasRoom(
  isFull: () => Promise<boolean>,
  now: () => number = Date.now,
): MiddlewareHandler {
  let full = false;
  let lookedAt = -Infinity;
  return async (c, next) => {
    if (now() - lookedAt >= DISK_LOOK_MS) {
      lookedAt = now();
      full = await isFull().catch(() => full);
    }
    if (!full) return next();
    c.set("reason", "disk_full");
    return problemResponse("unavailable", "The disk is full. Sessions can be deleted.");
  };
}
