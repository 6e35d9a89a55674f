import { SessionError } from "../session/errors.ts";
import type { IfMatch } from "../session/host.ts";

const TAG = /^(W\/)?"([^"]*)"$/;

/**
 * Reads an If-Match header (RFC 9110, 13.1.1). Weak tags never match, as its
 * comparison is strong; what is no tag at all is refused by name.
 */
export function parseIfMatch(header: string | undefined): IfMatch | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === "*") return "*";
  const tags: string[] = [];
  for (const part of header.split(",")) {
    const match = TAG.exec(part.trim());
    if (!match)
      throw new SessionError("invalid_request", "If-Match: must be * or a list of entity tags");
    if (!match[1]) tags.push(match[2] ?? "");
  }
  return tags;
}
