import { UnavailableError, InvalidSessionIdError } from "../../core/errors.ts";
import { parseSessionId } from "../../core/id.ts";

/**
 * Waits for `work`, but no longer than `timeoutMs` milliseconds and not past
 * `signal`. Rejects with `UnavailableError` on the one, with the signal's reason
 * on the other; `work` gets a signal of its own that says so, and what becomes of
 * it then is nobody's concern. `late` begins what the error says.
 */
export async function withDeadline<T>(
  work: (signal: AbortSignal) => Promise<T>,
  timeoutMs: number,
  signal?: AbortSignal,
  late = "The session store did not answer",
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const abandoned = new Promise<never>((_resolve, reject) => {
    controller.signal.addEventListener("abort", () => reject(asError(controller.signal.reason)));
  });
  const timer = setTimeout(() => {
    controller.abort(new UnavailableError(`${late} within ${timeoutMs} ms.`));
  }, timeoutMs);
  const cancel = () => controller.abort(signal?.reason);
  signal?.addEventListener("abort", cancel);
  try {
    return await Promise.race([work(controller.signal), abandoned]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
  }
}

/** The reason of a signal can be anything; what is thrown should be an Error. */
function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
} /** Durations that users give, in milliseconds, and what a runtime can keep of them. */

/** The longest that Go's `time.Duration` holds, and so ToolHive's TTLs: about 292 years. */
export const LONGEST_TTL_MS = 9_223_372_036_854;

/** A timer in JavaScript holds at most 2^31-1 ms; a longer one would fire at once. */
export const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

export function isTtl(ms: number): boolean {
  return typeof ms === "number" && ms > 0 && ms <= LONGEST_TTL_MS;
}

export function isTimeout(ms: number): boolean {
  return typeof ms === "number" && ms > 0 && ms <= LONGEST_TIMEOUT_MS;
}

/** A TTL. Throws a RangeError where it is not positive, or is over 292 years: Go panics there. */
export function positiveTtl(ttlMs: number): number {
  if (isTtl(ttlMs)) return ttlMs;
  throw new RangeError(
    `ttlMs must be a positive number of milliseconds, at most ${LONGEST_TTL_MS}, not ${String(ttlMs)}`,
  );
}

/** A limit on a whole life; 0 is no limit. Throws a RangeError where it is negative or no number. */
export function lifetime(maxLifetimeMs: number): number {
  if (typeof maxLifetimeMs === "number" && maxLifetimeMs >= 0) return maxLifetimeMs;
  throw new RangeError(
    `maxLifetimeMs must be 0 or more milliseconds, not ${String(maxLifetimeMs)}`,
  );
}

/** A time to compare with, in milliseconds since the epoch. Throws a RangeError where it is none: nothing is before or after that. */
export function timeOf(time: Date | number): number {
  const ms = Number(time);
  if (!Number.isNaN(ms)) return ms;
  throw new RangeError("the time must be a valid Date, or milliseconds since the epoch");
}

/** How long to wait. Throws a RangeError, which names the option, where no timer can. */
export function timeout(name: string, ms: number): number {
  if (isTimeout(ms)) return ms;
  throw new RangeError(
    `${name} must be a positive number of milliseconds, at most ${LONGEST_TIMEOUT_MS}, not ${String(ms)}`,
  );
}

/**
 * The id under which a session is stored: of a UUID in any accepted form its
 * canonical one, so that one UUID is one session. Others are taken as they are,
 * as ToolHive's storages do; only its manager insists on UUIDs. Throws
 * `InvalidSessionIdError` where the id is empty.
 */
export function storedId(id: string): string {
  if (typeof id !== "string" || id === "") {
    throw new InvalidSessionIdError("A session id must not be empty.");
  }
  return parseSessionId(id) ?? id;
} /**
 * Tells a user's callback of a problem. What it throws is dropped: it is called from
 * timers and events, where nobody could catch it and the process would end.
 */
export function notify<A extends unknown[]>(callback: (...args: A) => void, ...args: A): void {
  try {
    callback(...args);
  } catch {
    // There is nobody left to tell.
  }
}
