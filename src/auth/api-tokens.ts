/**
 * API tokens: random secrets. The configuration holds only their SHA-256, so a leaked
 * configuration gives nobody access. A plain hash is enough for 256 random bits; a
 * password would need a slow one.
 */
import { base64url } from "jose";
import { identityOf, type Identity, type Scope } from "./identity.ts";

/** An entry of `API_TOKENS`. */
export interface ApiToken {
  /** Hash of the token, 64 hex digits. */
  readonly sha256: string;
  readonly subject: string;
  readonly scopes: readonly Scope[];
}

/** People and scanners recognise a leaked token by it. */
const PREFIX = "hf_";
const SECRET_BYTES = 32;

/** Makes a secret of 256 random bits, in base64url: 43 characters. */
export function newSecret(): string {
  return base64url.encode(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
}

/** Makes a token, and the entry of `API_TOKENS` that accepts it. */
export async function newApiToken(
  subject: string,
  scopes: readonly Scope[],
): Promise<{ token: string; entry: ApiToken }> {
  const token = PREFIX + newSecret();
  return { token, entry: { sha256: toHex(await sha256(token)), subject, scopes } };
}

export type TokenReader = (token: string) => Promise<Identity | undefined>;

/** Reads API tokens. It compares a token with every entry, so its time does not show which one matched. */
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

function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** Takes as long for every content of one length, so time does not show how much of a guess is right. */
function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  let difference = 0;
  for (let i = 0; i < a.byteLength; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
