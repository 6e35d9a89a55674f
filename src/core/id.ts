/**
 * Session ids are UUIDs. ToolHive accepts every form that Go's `uuid.Parse`
 * does and stores it as given, so one UUID can name several sessions there.
 * Here each accepted form is normalised, so one UUID is one session.
 */

import { InvalidSessionIdError } from "./errors.ts";

declare const sessionIdBrand: unique symbol;

/** A UUID in its canonical form: 36 characters, lower case. */
export type SessionId = string & { readonly [sessionIdBrand]: true };

const HYPHENATED = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const BARE_HEX = /^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/;
const URN_PREFIX = "urn:uuid:";
/** The longest accepted form is `urn:uuid:` and 36 characters. */
const LONGEST_FORM = URN_PREFIX.length + 36;

/**
 * Reads a session id in any of the forms of RFC 9562 that ToolHive accepts: 36
 * characters, 32 hex digits, in braces, or as a `urn:uuid:`, in either case.
 * Returns its canonical form, or undefined if it is none of these.
 */
export function parseSessionId(text: string): SessionId | undefined {
  // The canonical form first: nearly every call brings it.
  if (HYPHENATED.test(text)) return text as SessionId;
  if (text.length > LONGEST_FORM) return undefined;
  let uuid = text.toLowerCase();
  if (uuid.startsWith(URN_PREFIX)) uuid = uuid.slice(URN_PREFIX.length);
  else if (uuid.startsWith("{") && uuid.endsWith("}")) {
    uuid = uuid.slice(1, -1);
    if (uuid.length !== 36) return undefined;
  } else if (uuid.length === 32) uuid = uuid.replace(BARE_HEX, "$1-$2-$3-$4-$5");
  // The pattern just checked that it is a canonical UUID, which is all the brand says.
  return HYPHENATED.test(uuid) ? (uuid as SessionId) : undefined;
}

/** As `parseSessionId`, but throws `InvalidSessionIdError` where the text is not an id. */
export function requireSessionId(text: string): SessionId {
  const id = typeof text === "string" ? parseSessionId(text) : undefined;
  if (id !== undefined) return id;
  throw new InvalidSessionIdError(text === "" ? "A session id must not be empty." : undefined);
}

/** What a log line may say of a session: enough to correlate, too little to use as the id. */
export function redactSessionId(id: string): string {
  return `${id.slice(0, 8)}…`;
}
