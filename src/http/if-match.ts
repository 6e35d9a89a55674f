import { SessionError } from "../session/errors.ts";
import type { IfMatch } from "../session/host.ts";

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
