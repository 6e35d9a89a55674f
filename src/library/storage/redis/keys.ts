/** Keys and lifetimes in Redis, and the walk through keys that never blocks the server. */
import { InvalidSessionIdError, UnavailableError } from "../../../core/errors.ts";
import { badCursor, type CallOptions } from "../storage.ts";
import type { RedisConnection } from "./connection.ts";
import { storedId } from "../calls.ts";

/** Keys that one SCAN looks at while counting: some milliseconds of a server that does nothing else meanwhile. */
const COUNT_PAGE = 1000;

/** SCAN's own cursors are of 64 bits. */
const LAST_SCAN_CURSOR = 2n ** 64n - 1n;

/**
 * The key of a session. An id with `:` is refused: under one prefix it could name a
 * session of a longer one, and so open another server's.
 */
export function redisKey(prefix: string, id: string): string {
  const stored = storedId(id);
  if (stored.includes(":"))
    throw new InvalidSessionIdError("A session id in Redis must not hold ':'.");
  return prefix + stored;
}

/** The id that a key names. */
export function idOfKey(prefix: string, key: string): string {
  return key.slice(prefix.length);
}

/** Whether some call could ask for the key: not one of a longer prefix, nor of a UUID in another form. */
function isReachable(prefix: string, key: string): boolean {
  const id = idOfKey(prefix, key);
  return id !== "" && !id.includes(":") && storedId(id) === id;
}

/** `EX` with seconds, or `PX` with milliseconds where the TTL is not whole seconds: as go-redis writes it. */
export function expiryArguments(ttlMs: number): readonly [string, number] {
  if (ttlMs >= 1000 && ttlMs % 1000 === 0) return ["EX", ttlMs / 1000];
  return ["PX", Math.max(1, Math.trunc(ttlMs))];
}

export interface KeyPage {
  readonly keys: readonly string[];
  readonly cursor?: string;
}

/** One step of SCAN, over each server in turn. The cursor names the server and its own cursor. */
export async function scanPage(
  connection: RedisConnection,
  prefix: string,
  options: CallOptions & { readonly cursor?: string | undefined; readonly limit: number },
): Promise<KeyPage> {
  const { signal, limit } = options;
  const holders = await connection.keyHolders({ signal });
  const [holder, at] = readCursor(options.cursor, holders);
  const args = [at, "MATCH", `${escapeGlob(prefix)}*`, "COUNT", limit];
  const reply = await connection.commandTo(holder, "SCAN", args, { signal, repeatable: true });
  const [next, found] = readScanReply(reply);
  const keys = [...new Set(found)].filter((key) => isReachable(prefix, key));
  if (next !== "0") return { keys, cursor: `${next}@${holder}` };
  const following = holders[holders.indexOf(holder) + 1];
  return following === undefined ? { keys } : { keys, cursor: `0@${following}` };
}

/** Counts keys by SCAN. Approximate while writes go on. */
export async function countKeys(
  connection: RedisConnection,
  prefix: string,
  { signal }: CallOptions,
): Promise<number> {
  let count = 0;
  let cursor: string | undefined;
  do {
    const page: KeyPage = await scanPage(connection, prefix, { signal, cursor, limit: COUNT_PAGE });
    count += page.keys.length;
    cursor = page.cursor;
  } while (cursor !== undefined);
  return count;
}

function readCursor(cursor: string | undefined, holders: readonly string[]): [string, string] {
  const first = holders[0];
  if (first === undefined) throw new UnavailableError("The Redis cluster has no masters.");
  if (cursor === undefined) return [first, "0"];
  const match = /^(\d{1,20})@(.*)$/.exec(cursor);
  const [, at, holder] = match ?? [];
  if (at === undefined || holder === undefined || BigInt(at) > LAST_SCAN_CURSOR) throw badCursor();
  if (!holders.includes(holder)) throw badCursor();
  return [holder, at];
}

function readScanReply(reply: unknown): [string, string[]] {
  if (Array.isArray(reply) && Array.isArray(reply[1]))
    return [String(reply[0]), reply[1].map(String)];
  throw new UnavailableError("A node of the Redis cluster has left.");
}

/** A prefix is text, and MATCH takes a pattern. */
function escapeGlob(text: string): string {
  return text.replace(/[*?[\]\\]/g, "\\$&");
}
