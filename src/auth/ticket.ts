/**
 * Tickets: a URL's leave to follow one session for a short while. A browser's
 * `EventSource` can send no headers, and a URL ends up in histories and logs, so
 * what it carries must be worth little: one session, its events only, soon over.
 *
 * A ticket is a compact JWS (RFC 7515). Signed, not encrypted: the subject in it is the
 * holder's own.
 */
import { CompactSign, compactVerify, errors } from "jose";
import type { SessionId } from "../core/id.ts";

export interface TicketClaims {
  readonly session: SessionId;
  /** Whose the session was when the ticket was made; it opens no one else's under the same id. */
  readonly subject?: string | undefined;
  /** Milliseconds since the epoch. A JWT's `exp` counts seconds, so a ticket is no JWT. */
  readonly expiresAt: number;
}

/** No signature made for anything else passes for a ticket's (RFC 8725, section 3.11). */
const HEADER = { alg: "HS256", typ: "holdfast-ticket" };
/** The longest ticket: its header, an id, a subject of 1,024 characters, a time, its signature. */
const MAX_TICKET_LENGTH = 8192;

export class Tickets {
  readonly #keys: readonly Uint8Array[];

  /** The first secret signs; every one of them verifies, which is how they are rotated. */
  constructor(secrets: readonly string[]) {
    this.#keys = secrets.map((secret) => new TextEncoder().encode(secret));
  }

  async sign(claims: TicketClaims): Promise<string> {
    const [key] = this.#keys;
    if (!key) throw new Error("tickets need a secret");
    const payload = new TextEncoder().encode(JSON.stringify(claims));
    return new CompactSign(payload).setProtectedHeader(HEADER).sign(key);
  }

  /** What the ticket says, if we signed it, it is for this session and its time is not up. */
  async verify(ticket: string, session: SessionId, now: number): Promise<TicketClaims | undefined> {
    if (ticket.length > MAX_TICKET_LENGTH) return undefined;
    for (const key of this.#keys) {
      const claims = await claimsOf(ticket, key);
      if (claims) return claims.session === session && now < claims.expiresAt ? claims : undefined;
    }
    return undefined;
  }
}

/** Undefined where this key has not signed it as a ticket. */
async function claimsOf(ticket: string, key: Uint8Array): Promise<TicketClaims | undefined> {
  try {
    // WebCrypto compares in constant time.
    const { payload, protectedHeader } = await compactVerify(ticket, key, {
      algorithms: ["HS256"],
    });
    if (protectedHeader.typ !== HEADER.typ) return undefined;
    // We signed it, so it is what `sign` wrote.
    return JSON.parse(new TextDecoder().decode(payload)) as TicketClaims;
  } catch (failure) {
    if (failure instanceof errors.JOSEError) return undefined;
    throw failure;
  }
}
