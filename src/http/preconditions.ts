/** Reads the conditions of writes: If-Match and If-None-Match. */
import { SessionError } from "../core/errors.ts";
import type { IfMatch } from "../core/host.ts";

/** An entity tag (RFC 9110, 8.8.3). It may hold commas, and no space, quote or control character. */
const TAG = /^(W\/)?"([^\0-\x20"\x7f]*)"$/;

/** The elements of a list. A comma within quotes does not separate. */
const ELEMENTS = /(?:"[^"]*"|[^",])+|"/g;

/**
 * Reads an If-Match header (RFC 9110, 13.1.1). Ignores weak tags, which a strong comparison never
 * matches, and empty elements of the list (5.6.1.2). Throws a SessionError (`invalid_request`)
 * for an element that is no tag, and for a list without tags. An empty header never arrives:
 * workerd drops it (measured, November 2026).
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
 * Reads If-None-Match of a PUT (RFC 9110, 13.1.2): `*` says "make, never replace". Throws a
 * SessionError (`invalid_request`) for entity tags. The service does not compare them here, and
 * must not ignore them: a write must not happen while its condition is false.
 */
export function onlyWhereAbsent(header: string | undefined): boolean {
  if (header === undefined) return false;
  if (header.trim() === "*") return true;
  throw new SessionError("invalid_request", "If-None-Match: must be * where it is given");
}

/** Refuses If-None-Match for a method that changes only existing sessions: there it has no use. */
export function refuseIfNoneMatch(header: string | undefined): void {
  if (header === undefined) return;
  throw new SessionError("invalid_request", "If-None-Match: only PUT takes it; use If-Match");
}
