/**
 * Cursors: a place in the order of listings, opaque to clients. The place is that
 * of the last entry given, not a count, so entries that come and go before it
 * change nothing for those after it.
 */
import { SessionError } from "../session/errors.ts";
import { parseSessionId } from "../session/id.ts";
import type { Position } from "./contract.ts";

/** Says which form this is, so that a later one can be told from it. */
const VERSION = "1";
const FORM = /^1\.([0-9a-z]{1,11})\.([0-9a-f]{32})$/;

export function encodeCursor({ createdAt, id }: Position): string {
  return btoa(`${VERSION}.${createdAt.toString(36)}.${id.replaceAll("-", "")}`)
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** Throws a SessionError (`invalid_request`) where the text is no cursor. */
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
    return atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return "";
  }
}
