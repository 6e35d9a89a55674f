import type { Session } from "../session/session.ts";

export interface CallOptions {
  /**
   * Cancels the call, which then rejects with the signal's reason. A call that
   * had already been sent may still take effect.
   */
  readonly signal?: AbortSignal | undefined;
}

export interface PageOptions extends CallOptions {
  /** Where to go on: the `cursor` of the page before. Absent: from the start. */
  readonly cursor?: string | undefined;
  /** About how many sessions a page holds, from 1 to 1,000 (100). */
  readonly limit?: number | undefined;
}

export interface SessionPage {
  /** May be empty, or hold a few more than `limit`, while there is a cursor. */
  readonly sessions: readonly Session[];
  /** Absent on the last page. */
  readonly cursor?: string;
}

export interface RangeOptions extends CallOptions {
  /** How many sessions are fetched at a time, from 1 to 1,000 (100). */
  readonly pageSize?: number | undefined;
}

/**
 * Keeps whole sessions (ToolHive's `Storage`). Adapters: `LocalStorage`,
 * `RedisStorage`, `DurableObjectStorage`.
 *
 * - **A miss is a value**: `undefined` or `false`. **Throwing means that the
 *   backend failed** and nothing is known of the session: `UnavailableError` (503)
 *   where it did not answer, `CorruptRecordError` where what it holds cannot be
 *   read. A failure is never reported as a miss.
 * - **Ids.** A UUID in any form that ToolHive accepts names one session. An empty
 *   id is refused with `InvalidSessionIdError`, by every method.
 * - **Use extends life.** `create`, `store`, `update` and `load` each give the
 *   session a whole TTL from now. `load` never changes `updatedAt`. `count`, `page`
 *   and `range` are not use.
 * - **Expired is absent**: an expired session is never returned, whether or not
 *   anything has cleaned it up.
 * - **A cancelled call** rejects with the reason of its signal. What was already
 *   sent to a backend may still take effect.
 * - **What comes back.** `LocalStorage` returns the very session that was stored;
 *   the others a new one with the same record, without streams or clients.
 */
export interface Storage {
  /**
   * Stores a session only where there is none with its id, atomically: of many
   * callers at once, one gets true. False leaves what exists as it was.
   */
  create(session: Session, options?: CallOptions): Promise<boolean>;

  /** Stores a session, replacing what exists whatever its type. */
  store(session: Session, options?: CallOptions): Promise<void>;

  /**
   * Replaces a session only where there is one, atomically; false where there is
   * none. A late write through `update` never brings back what was deleted.
   */
  update(session: Session, options?: CallOptions): Promise<boolean>;

  /** The session, or undefined where there is none. Counts as use. */
  load(id: string, options?: CallOptions): Promise<Session | undefined>;

  /** Removes a session. Repeating it, or naming one that never was, is no error. */
  delete(id: string, options?: CallOptions): Promise<void>;

  /**
   * Removes sessions not used since `before` (a Date, or milliseconds since the
   * epoch) and answers how many. Backends that expire sessions by themselves do
   * nothing and answer 0. Cancelled in the middle, it has removed some.
   */
  deleteExpired(before: Date | number, options?: CallOptions): Promise<number>;

  /** How many sessions there are. Approximate while writes go on, on Redis and Durable Objects. */
  count(options?: CallOptions): Promise<number>;

  /**
   * One page of sessions, in an order of the backend's own. A session that is
   * there from the first page to the last is in one of them; one made or deleted
   * meanwhile may or may not be, and Redis may name one twice.
   */
  page(options?: PageOptions): Promise<SessionPage>;

  /** Every session, page by page; as exact as `page` is. */
  range(options?: RangeOptions): AsyncIterable<Session>;

  /** Releases what the adapter holds. Repeating it does nothing. */
  close(): Promise<void>;
}

export const DEFAULT_PAGE_LIMIT = 100;
/** One page is one answer of the backend and is held in memory whole. */
export const MAX_PAGE_LIMIT = 1000;

/** The limit to use. Throws a RangeError outside 1 to 1,000. */
export function pageLimit(limit: number | undefined): number {
  if (limit === undefined) return DEFAULT_PAGE_LIMIT;
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_PAGE_LIMIT) return limit;
  throw new RangeError(
    `a page's limit must be a whole number from 1 to ${MAX_PAGE_LIMIT}, not ${limit}`,
  );
}

/** Walks the pages of a storage. */
export async function* rangeOverPages(
  page: (options: PageOptions) => Promise<SessionPage>,
  { signal, pageSize }: RangeOptions = {},
): AsyncGenerator<Session, void, undefined> {
  let cursor: string | undefined;
  do {
    const { sessions, cursor: next } = await page({ signal, limit: pageSize, cursor });
    for (const session of sessions) {
      signal?.throwIfAborted();
      yield session;
    }
    cursor = next;
  } while (cursor !== undefined);
}
