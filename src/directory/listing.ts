/** Merges listings, each newest first, and makes cursors. */
import type { DirectoryEntry, Position } from "./contract.ts";
import { SessionError } from "../core/errors.ts";
import { parseSessionId } from "../core/id.ts";

/** Negative if `a` comes first: the newer, then the higher id. */
export function compareNewest(a: Position, b: Position): number {
  if (a.createdAt !== b.createdAt) return b.createdAt - a.createdAt;
  if (a.id === b.id) return 0;
  return a.id > b.id ? -1 : 1;
}

/**
 * A k-way merge that reads its sources no further than needed. An entry of several sources (it
 * is on its way between two shards) comes once.
 */
export function* mergeNewest(
  sources: readonly Iterable<DirectoryEntry>[],
): Generator<DirectoryEntry, void, undefined> {
  const heads: { entry: DirectoryEntry; rest: Iterator<DirectoryEntry> }[] = [];
  for (const source of sources) {
    const rest = source[Symbol.iterator]();
    const { done, value } = rest.next();
    if (!done) heads.push({ entry: value, rest });
  }
  let last: DirectoryEntry | undefined;
  while (heads.length > 0) {
    // Sources are a handful (types, or shards), so a scan beats a heap's bookkeeping.
    const first = heads.reduce((a, b) => (compareNewest(b.entry, a.entry) < 0 ? b : a));
    if (!last || compareNewest(last, first.entry) !== 0) yield (last = first.entry);
    const { done, value } = first.rest.next();
    if (done) heads.splice(heads.indexOf(first), 1);
    else first.entry = value;
  }
}

/** The first of a sequence, and whether there are more. */
export function takeUpTo<T>(sequence: Iterable<T>, limit: number): { taken: T[]; more: boolean } {
  const taken: T[] = [];
  for (const item of sequence) {
    if (taken.length === limit) return { taken, more: true };
    taken.push(item);
  }
  return { taken, more: false };
}

/**
 * The form of a cursor. Its first digit tells it from a later form; clients do not look inside. It is
 * the place of the last entry given, not a count, so entries that come and go before it change nothing
 * for those after it.
 */
const FORM = /^1\.([0-9a-z]{1,11})\.([0-9a-f]{32})$/;

/** The base64 of digits, lower-case letters and dots has neither `+` nor `/`, so the cursor needs no escape in a URL. */
export function encodeCursor({ createdAt, id }: Position): string {
  return btoa(`1.${createdAt.toString(36)}.${id.replaceAll("-", "")}`).replaceAll("=", "");
}

/** Throws a SessionError (`invalid_request`) if the text is not a cursor. */
export function decodeCursor(text: string): Position {
  const match = FORM.exec(decoded(text));
  const createdAt = parseInt(match?.[1] ?? "", 36);
  const id = parseSessionId(match?.[2] ?? "");
  if (id === undefined || !Number.isSafeInteger(createdAt)) {
    throw new SessionError("invalid_request", "cursor: is not one that a listing gave");
  }
  return { createdAt, id };
}

function decoded(text: string): string {
  try {
    return atob(text);
  } catch {
    return "";
  }
}
