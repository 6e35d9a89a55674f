/**
 * Refuses requests that store more while the disk is full, so that deletes have what room there is.
 * `npm run serve` keeps a file as a reserve, and removes it when the disk is full.
 */
import type { HonoRequest, MiddlewareHandler } from "hono";
import { DISK_LOOK_MS } from "../core/limits.ts";
import { problemResponse } from "./problem.ts";

/** Requests of other methods store nothing, or little. */
const STORES: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/** A legacy MCP client opens its session by a GET. */
function storesMore({ method, path }: HonoRequest): boolean {
  return STORES.has(method) || (method === "GET" && /^\/sse(\/|$)/.test(path));
}

/** `isFull` checks the disk. If the check fails, the result of the last one counts. */
export function whileTheDiskHasRoom(
  isFull: () => Promise<boolean>,
  now: () => number = Date.now,
): MiddlewareHandler {
  let full = false;
  let lookedAt = -Infinity;
  return async (c, next) => {
    if (!storesMore(c.req)) return next();
    if (now() - lookedAt >= DISK_LOOK_MS) {
      lookedAt = now();
      full = await isFull().catch(() => full);
    }
    return full
      ? problemResponse("unavailable", "The disk is full. Sessions can be deleted.")
      : next();
  };
}
