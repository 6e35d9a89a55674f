/** Walking through what a storage holds, a page at a time: what `Storage` and `DataStorage` share. */
import { CorruptRecordError, SessionError } from "../session/errors.ts";
import type { CallOptions } from "./storage.ts";

export interface PageOptions extends CallOptions {
  /** Where to go on: the `cursor` of the page before. Absent: from the start. */
  readonly cursor?: string | undefined;
  /** About how many entries a page holds, from 1 to 1,000 (100). */
  readonly limit?: number | undefined;
}

/** What every page has, whatever it is a page of. */
export interface AnyPage {
  /** Absent on the last page. */
  readonly cursor?: string;
  /** What lies there and cannot be read, each named by its error. Absent: nothing. */
  readonly unreadable?: readonly CorruptRecordError[];
}

export interface RangeOptions extends CallOptions {
  /** How many entries are fetched at a time, from 1 to 1,000 (100). */
  readonly pageSize?: number | undefined;
  /**
   * Told of each record that cannot be read. Without it the range gives everything
   * else first and then throws, so that nobody takes it for whole.
   */
  readonly onUnreadable?: ((error: CorruptRecordError) => void) | undefined;
}

const DEFAULT_PAGE_LIMIT = 100;
/** One page is one answer of the backend and is held in memory whole. */
const MAX_PAGE_LIMIT = 1000;

/** The limit to use. Throws a RangeError outside 1 to 1,000. */
export function pageLimit(limit: number | undefined): number {
  if (limit === undefined) return DEFAULT_PAGE_LIMIT;
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_PAGE_LIMIT) return limit;
  throw new RangeError(
    `a page's limit must be a whole number from 1 to ${MAX_PAGE_LIMIT}, not ${limit}`,
  );
}

/** The refusal of a cursor that no page gave, or that leads nowhere any more. */
export function badCursor(): SessionError {
  return new SessionError(
    "invalid_request",
    "This cursor is not one that a page gave, or it leads nowhere any more; start again without one.",
  );
}

/** Every item of every page, under the rules of `RangeOptions`. */
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
  if (first) throw others === 0 ? first : andOthers(first, others);
}

function andOthers(first: CorruptRecordError, others: number): CorruptRecordError {
  return new CorruptRecordError(`${first.message} (and ${others} more that cannot be read)`);
}
