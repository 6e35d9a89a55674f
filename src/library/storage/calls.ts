/** The rules that every storage and the manager share: waits, durations, ids and pages. */
import { CorruptRecordError, SessionError, UnavailableError } from "../../core/errors.ts";
import type { Session } from "../model/session.ts";
import { LONGEST_TIMER_MS } from "../model/time.ts";
import type { AnyPage, PageOptions, RangeCallback, RangeOptions } from "./storage.ts";

/**
 * Waits for `work` until it settles, the time is up (`timeoutMs` milliseconds) or `signal` aborts.
 * Rejects with the error of `late` when the time is up, and with the signal's reason when it
 * aborts. In both cases the signal that `work` got aborts too, and its result is ignored.
 */
export function withDeadline<T>(
  work: (abandoned: AbortSignal) => Promise<T>,
  timeoutMs: number,
  signal?: AbortSignal,
  late: () => Error = () => tooLate("The session store did not answer", timeoutMs),
): Promise<T> {
  // One promise and no race: each call of a storage passes here, twice over Redis.
  return new Promise<T>((resolve, reject) => {
    signal?.throwIfAborted();
    const controller = new AbortController();
    const settle = (how: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
      how();
    };
    const giveUp = (reason: unknown) => {
      settle(() => reject(asError(reason)));
      controller.abort(reason);
    };
    const cancel = () => giveUp(signal?.reason);
    const timer = setTimeout(() => giveUp(late()), timeoutMs);
    signal?.addEventListener("abort", cancel);
    try {
      work(controller.signal).then(
        (result) => settle(() => resolve(result)),
        (error: unknown) => settle(() => reject(error)),
      );
    } catch (error) {
      settle(() => reject(error));
    }
  });
}

/** The error of a wait that took too long. Its message begins with `problem`. */
export function tooLate(problem: string, timeoutMs: number): UnavailableError {
  return new UnavailableError(`${problem} within ${timeoutMs} ms.`);
}

/** The reason of a signal can be anything; callers expect an Error. */
function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** The longest that Go's `time.Duration` holds, and so ToolHive's TTLs: about 292 years. */
export const LONGEST_TTL_MS = 9_223_372_036_854;

export function isDuration(ms: number, longest: number): boolean {
  return typeof ms === "number" && ms > 0 && ms <= longest;
}

/** Throws a RangeError, which names the option, if a duration is not positive, or is over `longest`. */
export function duration(name: string, ms: number, longest = LONGEST_TIMER_MS): number {
  if (isDuration(ms, longest)) return ms;
  throw new RangeError(
    `${name} must be a positive number of milliseconds, at most ${longest}, not ${String(ms)}`,
  );
}

/**
 * Throws a TypeError unless there is one argument, and it is an object. ToolHive's constructors
 * take a TTL first, and an object's place would give that a default in silence.
 */
export function requireOptions(usage: string, options: unknown, more: readonly unknown[]): void {
  if (typeof options === "object" && options !== null && more.length === 0) return;
  throw new TypeError(`options are given as one object: ${usage}`);
}

/** A TTL. Throws a RangeError if it is not positive, or is over 292 years: Go panics there. */
export function positiveTtl(ttlMs: number): number {
  return duration("ttlMs", ttlMs, LONGEST_TTL_MS);
}

/** A limit on a whole life; 0: no limit. Throws a RangeError if it is negative or not a number. */
export function lifetime(maxLifetimeMs: number): number {
  if (typeof maxLifetimeMs === "number" && maxLifetimeMs >= 0) return maxLifetimeMs;
  throw new RangeError(
    `maxLifetimeMs must be 0 or more milliseconds, not ${String(maxLifetimeMs)}`,
  );
}

/** A time in milliseconds since the epoch. Throws a RangeError if it is not one. */
export function timeOf(time: Date | number): number {
  const ms = Number(time);
  if (!Number.isNaN(ms)) return ms;
  throw new RangeError("the time must be a valid Date, or milliseconds since the epoch");
}

/** The session's id, unchanged. Throws a SessionError (`invalid_request`) if there is no session. */
export function idOf(session: Session): string {
  if (!session) throw new SessionError("invalid_request", "The session must not be null.");
  return session.id;
}

/** How often a conditional write is repeated because another write came between. */
export const MAX_TRIES = 10;

/**
 * Moves a session's `updatedAt` to now for a storage that has no `touch` of its own: loads the
 * session, and stores it if it is still the same. Undefined if there is none.
 */
export async function touchByUpdate(
  load: () => Promise<Session | undefined>,
  update: (session: Session) => Promise<boolean>,
): Promise<Session | undefined> {
  let first: number | undefined;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const session = await load();
    if (!session) return undefined;
    const updatedAt = session.updatedAt.getTime();
    first ??= updatedAt;
    // The write that came between has moved the time already.
    if (updatedAt > first) return session;
    session.touch();
    // The session was touched in this very millisecond.
    if (session.updatedAt.getTime() === updatedAt) return session;
    if (await update(session)) return session;
  }
  throw new UnavailableError("The session is being changed all the time; try again.");
}

/**
 * Calls a user's callback with a problem, and drops what it throws: timers and events call
 * this, so nobody could catch the error and the process would end.
 */
export function notify<A extends unknown[]>(callback: (...args: A) => void, ...args: A): void {
  try {
    callback(...args);
  } catch {
    // Nothing is left that could report it.
  }
}

const DEFAULT_PAGE_LIMIT = 100;
/** The backend sends a page in one answer, and memory holds it whole. */
const MAX_PAGE_LIMIT = 1000;

/** The limit to use. Throws a RangeError outside 1 to 1,000. */
export function pageLimit(limit: number | undefined): number {
  if (limit === undefined) return DEFAULT_PAGE_LIMIT;
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_PAGE_LIMIT) return limit;
  throw new RangeError(
    `a page's limit must be a whole number from 1 to ${MAX_PAGE_LIMIT}, not ${limit}`,
  );
}

/** The error for a cursor that no page gave, or whose place no longer exists. */
export function badCursor(): SessionError {
  return new SessionError(
    "invalid_request",
    "This cursor is not one that a page gave, or it leads nowhere any more; start again without one.",
  );
}

/** Both forms of `range`: the walk itself, or one that calls back until it gets `false`. */
export function rangeOver<T>(
  walk: (options?: RangeOptions) => AsyncGenerator<T, void, undefined>,
  first: RangeOptions | RangeCallback<T> | undefined,
  options: RangeOptions | undefined,
): AsyncGenerator<T, void, undefined> | Promise<void> {
  return typeof first === "function" ? callBack(walk(options), first) : walk(first);
}

async function callBack<T>(items: AsyncIterable<T>, callback: RangeCallback<T>): Promise<void> {
  for await (const item of items) {
    if ((await callback(item)) === false) return;
  }
}

/** Yields the items of all pages. `RangeOptions` says how it treats records that cannot be read. */
export async function* walkPages<P extends AnyPage, T>(
  page: (options: PageOptions) => Promise<P>,
  itemsOf: (page: P) => readonly T[],
  { signal, pageSize, onUnreadable }: RangeOptions = {},
): AsyncGenerator<T, void, undefined> {
  let cursor: string | undefined;
  let first: CorruptRecordError | undefined;
  let others = 0;
  do {
    const got = await page({ signal, limit: pageSize, cursor });
    for (const item of itemsOf(got)) {
      signal?.throwIfAborted();
      yield item;
    }
    for (const error of got.unreadable ?? []) {
      if (onUnreadable) onUnreadable(error);
      else if (first) others++;
      else first = error;
    }
    cursor = got.cursor;
  } while (cursor !== undefined);
  if (first && others === 0) throw first;
  if (first)
    throw new CorruptRecordError(`${first.message} (and ${others} more that cannot be read)`);
}
