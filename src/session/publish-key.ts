/** Reads an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). */
import { SessionError } from "../core/errors.ts";
import type { NewEvent } from "../core/host.ts";
import { MAX_IDEMPOTENCY_KEY_LENGTH } from "../core/limits.ts";
import type { PublishKey } from "../stream/published-keys.ts";

/** Opaque: the quotes that the draft puts around a key are a part of it. */
const KEY = new RegExp(`^[\\x21-\\x7e]{1,${MAX_IDEMPOTENCY_KEY_LENGTH}}$`);

/** Bytes of SHA-256 that are kept: two publishes under one key differ in them but by a chance of 2^-128. */
const FINGERPRINT_BYTES = 16;

const encoder = new TextEncoder();

/**
 * The key with the fingerprint of the events. Throws a SessionError (`invalid_request`) for text
 * that is no key. The Worker makes it, because hashing is asynchronous: the object does each
 * publish in one turn.
 */
export async function publishKeyOf(key: string, events: readonly NewEvent[]): Promise<PublishKey> {
  if (!KEY.test(key)) {
    const form = `must be 1 to ${MAX_IDEMPOTENCY_KEY_LENGTH} visible ASCII characters`;
    throw new SessionError("invalid_request", `Idempotency-Key: ${form}`);
  }
  return { key, fingerprint: await fingerprintOf(events) };
}

/** The same for one event and an array of that one: they publish the same. */
async function fingerprintOf(events: readonly NewEvent[]): Promise<string> {
  const text = JSON.stringify(events.map(({ event, data }) => [event ?? null, data]));
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(text));
  return btoa(String.fromCharCode(...new Uint8Array(digest, 0, FINGERPRINT_BYTES)));
}
