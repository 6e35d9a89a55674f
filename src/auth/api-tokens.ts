/**
 * API tokens: random secrets that the configuration knows by their SHA-256 alone,
 * so that who reads the configuration holds no credential. A plain hash is enough
 * because a token has 256 random bits; it would not be for a password.
 */
import { base64url } from "jose";
import { identityOf, type Identity, type Scope } from "./identity.ts";

/** An entry of `API_TOKENS`. */
export interface ApiToken {
  /** Of the token, 64 hex digits. */
  readonly sha256: string;
  readonly subject: string;
  readonly scopes: readonly Scope[];
}

/** Makes a leaked token recognisable, to people and to scanners. */
const PREFIX = "hf_";
const SECRET_BYTES = 32;

/** A secret of 256 random bits, in base64url. */
export function newSecret(): string {
  return base64url.encode(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
}

export async function newApiToken(
  subject: string,
  scopes: readonly Scope[],
): Promise<{ token: string; entry: ApiToken }> {
  const token = PREFIX + newSecret();
  return { token, entry: { sha256: toHex(await sha256(token)), subject, scopes } };
}

export type TokenReader = (token: string) => Promise<Identity | undefined>;

/** Reads API tokens. Each is compared with every entry, found or not, so time tells nothing of either. */
export function apiTokenReader(entries: readonly ApiToken[]): TokenReader {
  const known = entries.map((entry) => ({
    hash: fromHex(entry.sha256),
    identity: identityOf(entry.subject, entry.scopes),
  }));
  return async (token) => {
    const hash = await sha256(token);
    let found: Identity | undefined;
    for (const entry of known) {
      if (equalInConstantTime(entry.hash, hash)) found = entry.identity;
    }
    return found;
  };
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes that an even number of hex digits stands for. */
function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/**
 * Whether two byte strings of one length are equal. Takes as long for every
 * content, so that time does not tell how much of a guess is right.
 */
function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  let difference = 0;
  for (let i = 0; i < a.byteLength; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
