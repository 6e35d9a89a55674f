/**
 * Tickets: a URL's leave to follow one session for a short while. A browser's
 * `EventSource` can send no headers, and a URL ends up in histories and logs, so
 * what it carries must be worth little: one session, its events only, soon over.
 *
 * `<payload>.<signature>`, both base64url. Signed, not encrypted: the subject in
 * it is the holder's own.
 */
import type { SessionId } from "../core/id.ts";
import { fromBase64Url, toBase64Url } from "./bytes.ts";

export interface TicketClaims {
  readonly session: SessionId;
  /** Whose the session was when the ticket was made; it opens no one else's under the same id. */
  readonly subject?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** Signed with the payload, so that no signature made for anything else passes for a ticket's. */
const CONTEXT = "holdfast ticket v1\0";
/** The longest payload: an id, a subject of 1,024 characters, a time. */
const MAX_TICKET_LENGTH = 8192;

interface Payload {
  readonly s: string;
  readonly u?: string;
  readonly e: number;
}

export class Tickets {
  readonly #secrets: readonly string[];
  #keys: readonly CryptoKey[] | undefined;

  /** The first secret signs; every one of them verifies, which is how they are rotated. */
  constructor(secrets: readonly string[]) {
    this.#secrets = secrets;
  }

  async sign({ session, subject, expiresAt }: TicketClaims): Promise<string> {
    const [key] = await this.#imported();
    if (!key) throw new Error("tickets need a secret");
    const claims: Payload = {
      s: session,
      ...(subject !== undefined && { u: subject }),
      e: expiresAt,
    };
    const payload = toBase64Url(encoder.encode(JSON.stringify(claims)));
    const signature = await crypto.subtle.sign("HMAC", key, signedBytes(payload));
    return `${payload}.${toBase64Url(new Uint8Array(signature))}`;
  }

  /** What the ticket says, if we signed it, it is for this session and its time is not up. */
  async verify(ticket: string, session: SessionId, now: number): Promise<TicketClaims | undefined> {
    if (ticket.length > MAX_TICKET_LENGTH) return undefined;
    const [payload = "", signatureText = "", ...rest] = ticket.split(".");
    const signature = fromBase64Url(signatureText);
    if (rest.length > 0 || !signature) return undefined;
    if (!(await this.#signed(payload, signature))) return undefined;
    const bytes = fromBase64Url(payload);
    if (!bytes) return undefined;
    // We signed it, so it is what sign wrote.
    const { s, u, e } = JSON.parse(new TextDecoder().decode(bytes)) as Payload;
    return s === session && now < e ? { session, subject: u, expiresAt: e } : undefined;
  }

  async #signed(payload: string, signature: Uint8Array<ArrayBuffer>): Promise<boolean> {
    let valid = false;
    for (const key of await this.#imported()) {
      // WebCrypto compares in constant time.
      if (await crypto.subtle.verify("HMAC", key, signature, signedBytes(payload))) valid = true;
    }
    return valid;
  }

  // The keys are kept, never the promise of them: it would belong to the request that first asked.
  async #imported(): Promise<readonly CryptoKey[]> {
    return (this.#keys ??= await Promise.all(this.#secrets.map(importKey)));
  }
}

/**
 * A secret for where none is configured and only this process verifies. Made on
 * first use: Workers give no random numbers while a module loads.
 */
export function ephemeralTickets(): () => Tickets {
  let tickets: Tickets | undefined;
  return () => (tickets ??= new Tickets([toBase64Url(crypto.getRandomValues(new Uint8Array(32)))]));
}

const encoder = new TextEncoder();

function signedBytes(payload: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(encoder.encode(CONTEXT + payload));
}

function importKey(secret: string): Promise<CryptoKey> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, [
    "sign",
    "verify",
  ]);
}
