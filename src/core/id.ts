/**
 * Session ids are UUIDs. ToolHive accepts the forms of Go's `uuid.Parse` and stores each as
 * given, so one UUID can name several sessions there. Here every form becomes the canonical
 * one, so one UUID is one session.
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
 * Reads a UUID (RFC 9562) in any form that ToolHive accepts, in either case: 36 characters,
 * 32 hex digits, in braces, or as a `urn:uuid:`. Returns the canonical form, or undefined.
 *
 * @example
 * parseSessionId("{8C2D0CF4-5F0A-4B5E-9A5B-0A4F7A1E3F10}"); // "8c2d0cf4-5f0a-4b5e-9a5b-0a4f7a1e3f10"
 * parseSessionId("session-1"); // undefined
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
  // The brand says no more than the pattern: this is a canonical UUID.
  return HYPHENATED.test(uuid) ? (uuid as SessionId) : undefined;
}

/** The end of the ids that the gateway works out, of UUIDs of version 8 (RFC 9562, 5.8). */
const DERIVED_END = "686f6c64";

/**
 * An id that follows from 16 bytes. A client that knows what the bytes were made of can work the id out, so no
 * client may take it for a session of its own: `isDerivedId` tells.
 */
export function derivedSessionId(bytes: Uint8Array): SessionId {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
  ];
  return requireSessionId([...parts, hex.slice(20, 24) + DERIVED_END].join("-"));
}

export function isDerivedId(id: SessionId): boolean {
  return id.endsWith(DERIVED_END) && id[14] === "8";
}

/** As `parseSessionId`, but throws `InvalidSessionIdError` if the text is not an id. */
export function requireSessionId(text: string): SessionId {
  const id = typeof text === "string" ? parseSessionId(text) : undefined;
  if (id !== undefined) return id;
  throw new InvalidSessionIdError(text === "" ? "A session id must not be empty." : undefined);
}

/** A session in a log line: enough to correlate, too little to use as the id. */
export function redactSessionId(id: string): string {
  return `${id.slice(0, 8)}…`;
}
