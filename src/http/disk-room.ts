/**
 * Refuses requests that store more while the disk is full, so that deletes have what room there is.
 * `npm run serve` keeps a file as a reserve, and removes it when the disk is full.
 */
import type { Context } from "hono";
import { DISK_LOOK_MS } from "../core/limits.ts";
import type { Step } from "./guard.ts";
import { problemResponse } from "./problem.ts";

/** Methods of the requests that store more. Other requests store nothing, or little, and pay nothing for the check. */
const STORING: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/** A legacy MCP client opens its session by a GET of this path, or of one below it. */
const STORING_PATH = "/sse";

function storesMore({ method, path }: Context["req"]): boolean {
  if (STORING.has(method)) return true;
  return method === "GET" && (path === STORING_PATH || path.startsWith(`${STORING_PATH}/`));
}

/** `isFull` checks the disk. If the check fails, the result of the last one counts. */
export function whileTheDiskHasRoom(
  isFull: () => Promise<boolean>,
  now: () => number = Date.now,
): Step {
  let full = false;
  let lookedAt = -Infinity;
  return async (c, work) => {
    if (!storesMore(c.req)) return work();
    if (now() - lookedAt >= DISK_LOOK_MS) {
      lookedAt = now();
      full = await isFull().catch(() => full);
    }
    if (!full) return work();
    c.set("reason", "disk_full");
    return problemResponse("unavailable", "The disk is full. Sessions can be deleted.");
  };
}
