/** How many files a process may have open, and what that allows. */
import { existsSync, readFileSync } from "node:fs";
import { FILES_PER_REQUEST, OPEN_FILES_SHARE } from "../src/core/limits.ts";
import { ConfigError } from "../src/config/env.ts";

/** Where the system lists what a process has open. Only Linux does. */
export const OPEN_FILES = "/proc/self/fd";

/** Files that the service has open without any session in use, while its directory's shards are in memory. */
const LEAST = 128;

/**
 * How many files this process, and one that it starts, may have open; undefined where the system
 * does not say, or sets no limit. (Node raises its own limit as far as it may.)
 */
export function openFilesLimit(): number | undefined {
  if (!existsSync(OPEN_FILES)) return undefined;
  const [, limit] = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return limit === undefined ? undefined : Number(limit);
}

/** A sentence on what the limit allows. Throws a ConfigError if it is too low to serve. */
export function openFilesAdvice(limit: number): string {
  if (limit < LEAST) {
    throw new ConfigError(
      `the limit of open files is ${limit}, and must be ${LEAST} or more (ulimit -n)`,
    );
  }
  const share = Math.floor(limit * OPEN_FILES_SHARE);
  const connections = Math.floor((share - LEAST / 2) / 2);
  const together = Math.floor((share - LEAST / 2) / FILES_PER_REQUEST);
  return `${limit} files may be open: ${connections} idle connections, or ${together} sessions in use at a time; beyond, requests get 503`;
}
