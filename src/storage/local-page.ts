/** Counting what a map holds and walking through it: by id, so that a cursor stands for a place whatever was deleted meanwhile. */
import { badCursor, pageLimit } from "./pages.ts";
import type { PageOptions, RangeOptions } from "./pages.ts";
import type { CallOptions } from "./storage.ts";

type Item<E> = readonly [id: string, entry: E];

/** Before the id in a cursor, so that what no page gave can be told. */
const AFTER = "after ";

/** How many entries are live. */
export function localCount<E>(
  entries: ReadonlyMap<string, E>,
  isLive: (entry: E) => boolean,
  { signal }: CallOptions = {},
): number {
  signal?.throwIfAborted();
  let live = 0;
  for (const entry of entries.values()) if (isLive(entry)) live++;
  return live;
}

/** One page of the entries that are live. */
export function localPage<E>(
  entries: ReadonlyMap<string, E>,
  isLive: (entry: E) => boolean,
  { cursor, limit, signal }: PageOptions,
): { readonly items: Item<E>[]; readonly cursor?: string } {
  signal?.throwIfAborted();
  const size = pageLimit(limit);
  if (cursor !== undefined && !cursor.startsWith(AFTER)) throw badCursor();
  const after = cursor?.slice(AFTER.length);
  const items: Item<E>[] = [];
  for (const item of entries) {
    if ((after !== undefined && item[0] <= after) || !isLive(item[1])) continue;
    keepSmallest(items, item, size + 1);
  }
  if (items.length <= size) return { items };
  items.pop();
  return { items, cursor: AFTER + (items.at(-1)?.[0] ?? "") };
}

/** The entries that are live when their turn comes, of those that were there at the start. */
export async function* localRange<E>(
  entries: ReadonlyMap<string, E>,
  isLive: (entry: E) => boolean,
  { signal, pageSize }: RangeOptions = {},
): AsyncGenerator<Item<E>, void, undefined> {
  signal?.throwIfAborted();
  pageLimit(pageSize);
  for (const id of Array.from(entries.keys()).toSorted()) {
    signal?.throwIfAborted();
    const entry = entries.get(id);
    if (entry !== undefined && isLive(entry)) yield [id, entry];
  }
}

/** Puts an item in its place among the `most` smallest, by id. To sort all for each page would cost more the more there are. */
function keepSmallest<E>(items: Item<E>[], item: Item<E>, most: number): void {
  const last = items.at(-1);
  if (items.length >= most && last && item[0] > last[0]) return;
  let from = 0;
  let to = items.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((items[middle]?.[0] ?? "") < item[0]) from = middle + 1;
    else to = middle;
  }
  items.splice(from, 0, item);
  if (items.length > most) items.pop();
}
