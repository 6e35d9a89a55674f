import { SessionError } from "../core/errors.ts";
import type { IfMatch } from "../core/host.ts";

/** An entity tag (RFC 9110, 8.8.3). It may hold commas, and no space, quote or control character. */
const TAG = /^(W\/)?"([^\0-\x20"\x7f]*)"$/;

/** What stands between the commas of a list, where those inside of quotes are no separators. */
const ELEMENTS = /(?:"[^"]*"|[^",])+|"/g;

/**
 * Reads an If-Match header (RFC 9110, 13.1.1). Weak tags never match, as its
 * comparison is strong; empty elements of the list are passed over (5.6.1.2); what is
 * no tag at all is refused by name, and so is a list of none.
 *
 * An empty header never comes here: workerd drops If-Match and its like where they
 * are empty, and the Worker sees none (measured, November 2026).
 */
export function parseIfMatch(header: string | undefined): IfMatch | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === "*") return "*";
  const elements = (header.match(ELEMENTS) ?? []).map((element) => element.trim());
  const tags = elements.filter((element) => element !== "").map(tagOf);
  if (tags.length === 0) throw malformed();
  return tags.filter((tag) => !tag.weak).map(({ text }) => text);
}

function tagOf(element: string): { readonly weak: boolean; readonly text: string } {
  const match = TAG.exec(element);
  if (!match) throw malformed();
  return { weak: match[1] !== undefined, text: match[2] ?? "" };
}

function malformed(): SessionError {
  return new SessionError("invalid_request", "If-Match: must be * or a list of entity tags");
}

/**
 * If-None-Match on writes (RFC 9110, 13.1.2). `*` on a PUT says "make, never replace".
 * No other form is of use to a writer, and none may be passed over: a write must not be
 * made where its condition is false. So they are refused.
 */
/** Whether a PUT may only make a session. Throws a SessionError (`invalid_request`) for entity tags. */
export function onlyWhereAbsent(header: string | undefined): boolean {
  if (header === undefined) return false;
  if (header.trim() === "*") return true;
  throw new SessionError("invalid_request", "If-None-Match: must be * where it is given");
}

/** For a method that changes only what exists, of which the condition asks nothing useful. */
export function refuseIfNoneMatch(header: string | undefined): void {
  if (header === undefined) return;
  throw new SessionError("invalid_request", "If-None-Match: only PUT takes it; use If-Match");
}
