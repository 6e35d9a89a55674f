/** Reads and checks conditions: If-Match and If-None-Match (RFC 9110, 13.1). */
import { SessionError } from "../core/errors.ts";
import type { IfMatch } from "../core/host.ts";

/** An entity tag (RFC 9110, 8.8.3). It may hold commas, and no space, quote or control character. */
const TAG = /^(W\/)?"([^\0-\x20"\x7f]*)"$/;

/** The elements of a list. A comma within quotes does not separate. */
const ELEMENTS = /(?:"[^"]*"|[^",])+|"/g;

interface EntityTag {
  readonly weak: boolean;
  readonly text: string;
}

/** Reads an If-Match header (13.1.1). Ignores weak tags, which a strong comparison never matches. Throws as `parseTags`. */
export function parseIfMatch(header: string | undefined): IfMatch | undefined {
  const tags = parseTags("If-Match", header);
  return typeof tags === "object" ? textsOf(tags.filter((tag) => !tag.weak)) : tags;
}

/** Reads an If-None-Match header of a read (13.1.2): its comparison is weak. Throws as `parseTags`. */
export function parseIfNoneMatch(header: string | undefined): IfMatch | undefined {
  const tags = parseTags("If-None-Match", header);
  return typeof tags === "object" ? textsOf(tags) : tags;
}

/** Whether a read's condition names the document that has this tag. */
export function isNamed(tag: string, condition: IfMatch): boolean {
  return condition === "*" || condition.includes(tag);
}

/**
 * Reads a list of entity tags. Ignores its empty elements (5.6.1.2). Throws a SessionError
 * (`invalid_request`) for an element that is no tag, and for a list without tags. An empty header
 * never arrives: workerd drops it (measured, November 2026).
 */
function parseTags(
  name: string,
  header: string | undefined,
): "*" | readonly EntityTag[] | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === "*") return "*";
  const elements = (header.match(ELEMENTS) ?? []).map((element) => element.trim());
  const tags = elements.filter((element) => element !== "").map(tagOf);
  const valid = tags.filter((tag) => tag !== undefined);
  if (valid.length > 0 && valid.length === tags.length) return valid;
  throw new SessionError("invalid_request", `${name}: must be * or a list of entity tags`);
}

/** Returns undefined for text that is no tag. */
function tagOf(element: string): EntityTag | undefined {
  const match = TAG.exec(element);
  return match ? { weak: match[1] !== undefined, text: match[2] ?? "" } : undefined;
}

function textsOf(tags: readonly EntityTag[]): readonly string[] {
  return tags.map(({ text }) => text);
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
