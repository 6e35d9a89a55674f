/**
 * Tickets: with one in its URL, a client may follow one session for a short while. A browser's
 * `EventSource` cannot send headers, and a URL ends up in histories and logs, so a ticket
 * must be worth little: it opens the events of one session, and soon expires.
 *
 * A ticket is a compact JWS (RFC 7515). It is signed and not encrypted: the subject in it is
 * the holder's own.
 */
import { CompactSign, compactVerify, errors } from "jose";
import type { SessionId } from "../core/id.ts";

interface TicketClaims {
  readonly session: SessionId;
  /** Owner of the session. The ticket does not open a later session of another owner under the same id. */
  readonly subject?: string | undefined;
  /** Milliseconds since the epoch. A JWT's `exp` counts seconds, so a ticket is not a JWT. */
  readonly expiresAt: number;
}

/** A type of its own: no JWS that the same secret signs for another use counts as a ticket (RFC 8725, 3.11). */
const HEADER = { alg: "HS256", typ: "holdfast-ticket" };
/** Characters: a header, an id, a subject of 1,024 characters, a time and a signature fit. */
const MAX_TICKET_LENGTH = 8192;

export class Tickets {
  readonly #keys: readonly Uint8Array[];

  /** The first secret signs and every secret verifies, so an operator can rotate them. */
  constructor(secrets: readonly string[]) {
    this.#keys = secrets.map((secret) => new TextEncoder().encode(secret));
  }

  async sign(claims: TicketClaims): Promise<string> {
    const [key] = this.#keys;
    if (!key) throw new Error("tickets need a secret");
    const payload = new TextEncoder().encode(JSON.stringify(claims));
    return new CompactSign(payload).setProtectedHeader(HEADER).sign(key);
  }

  /** Returns the claims of a ticket for this session that is valid at `now`, in milliseconds since the epoch. */
  async verify(ticket: string, session: SessionId, now: number): Promise<TicketClaims | undefined> {
    if (ticket.length > MAX_TICKET_LENGTH) return undefined;
    for (const key of this.#keys) {
      const claims = await claimsOf(ticket, key);
      if (claims) return claims.session === session && now < claims.expiresAt ? claims : undefined;
    }
    return undefined;
  }
}

/** Returns undefined unless this key signed the text as a ticket. */
async function claimsOf(ticket: string, key: Uint8Array): Promise<TicketClaims | undefined> {
  try {
    // WebCrypto compares in constant time.
    const { payload, protectedHeader } = await compactVerify(ticket, key, {
      algorithms: ["HS256"],
    });
    if (protectedHeader.typ !== HEADER.typ) return undefined;
    // The signature is ours, so `sign` wrote the payload.
    return JSON.parse(new TextDecoder().decode(payload)) as TicketClaims;
  } catch (failure) {
    if (failure instanceof errors.JOSEError) return undefined;
    throw failure;
  }
}
