import { badCursor } from "./pages.ts";

/** Before the id in a cursor, so that what no page gave can be told. */
const AFTER = "after ";

/** One page of a map's entries, by id, so that a cursor stands for a place whatever was deleted meanwhile. */
export function localPage<E>(
  entries: Iterable<readonly [id: string, entry: E]>,
  cursor: string | undefined,
  limit: number,
): { readonly items: (readonly [id: string, entry: E])[]; readonly cursor?: string } {
  if (cursor !== undefined && !cursor.startsWith(AFTER)) throw badCursor();
  const after = cursor?.slice(AFTER.length);
  const rest = Array.from(entries)
    .filter(([id]) => after === undefined || id > after)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  const items = rest.slice(0, limit);
  const last = items.at(-1);
  return rest.length > limit && last ? { items, cursor: AFTER + last[0] } : { items };
}
