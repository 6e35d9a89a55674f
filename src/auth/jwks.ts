/**
 * The keys of the authorization server, cached. They are fetched when first needed,
 * when they are old, and when a token names a key that is not among them; the
 * last with a floor, or anyone could make us fetch with each made-up key id.
 * Keys already held are used for as long as fetching fails.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import { UnavailableError } from "../session/errors.ts";

export interface JwksOptions {
  readonly url: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Told of each fetch that failed; for the log. */
  readonly onFailure?: (failure: unknown) => void;
}

/** Milliseconds after which held keys are fetched again: a revoked key is refused from then on. */
const MAX_AGE_MS = 10 * 60_000;
/** Milliseconds between fetches that unknown keys cause, and after a failed one while keys are held. */
const FLOOR_MS = 30_000;
/** Milliseconds between fetches while no keys are held. */
const FLOOR_WITHOUT_KEYS_MS = 1000;
const FETCH_TIMEOUT_MS = 5000;
const MAX_JWKS_BYTES = 256 * 1024;
/**
 * Requests that may fetch at once. Each fetches for itself: on Workers a request
 * cannot wait for another's I/O, which ends when that other request does.
 */
const MAX_CONCURRENT = 8;

export class Jwks {
  readonly #options: JwksOptions;
  #keys: JWTVerifyGetKey | undefined;
  #keysAt = -Infinity;
  /** When the last round of fetches began, how many joined it, and whether one has come back. */
  #roundAt = -Infinity;
  #roundSize = 0;
  #roundOver = true;

  constructor(options: JwksOptions) {
    this.#options = options;
  }

  /** The key for a token, as jose asks for it. Throws UnavailableError where no keys could be had. */
  readonly keyFor: JWTVerifyGetKey = async (header, token) => {
    const old = this.#options.now() - this.#keysAt > MAX_AGE_MS;
    let tried = false;
    if (old) tried = await this.#refresh();
    if (!this.#keys)
      throw new UnavailableError("The authorization server's keys are not available.");
    try {
      return await this.#keys(header, token);
    } catch (failure) {
      if (!(failure instanceof errors.JWKSNoMatchingKey) || tried) throw failure;
      if (!(await this.#refresh())) throw failure;
      return this.#keys(header, token);
    }
  };

  /** Fetches the keys, unless that was tried just now. True where it succeeded. */
  async #refresh(): Promise<boolean> {
    if (!this.#mayFetch()) return false;
    try {
      const keys = await this.#fetch();
      this.#keys = createLocalJWKSet(keys);
      this.#keysAt = this.#options.now();
      return true;
    } catch (failure) {
      this.#options.onFailure?.(failure);
      return false;
    } finally {
      this.#roundOver = true;
    }
  }

  #mayFetch(): boolean {
    const since = this.#options.now() - this.#roundAt;
    // A round whose request was cancelled never ends; its time limit ends it.
    if (!this.#roundOver && since < FETCH_TIMEOUT_MS) return ++this.#roundSize <= MAX_CONCURRENT;
    if (since < (this.#keys ? FLOOR_MS : FLOOR_WITHOUT_KEYS_MS)) return false;
    this.#roundAt = this.#options.now();
    this.#roundSize = 1;
    this.#roundOver = false;
    return true;
  }

  async #fetch(): Promise<JSONWebKeySet> {
    const response = await this.#options.fetch(this.#options.url, {
      headers: { accept: "application/jwk-set+json, application/json" },
      // Keys come from the configured address or not at all.
      redirect: "manual",
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`JWKS_URL answered ${response.status}`);
    }
    const text = await response.text();
    if (text.length > MAX_JWKS_BYTES)
      throw new Error(`JWKS_URL answered over ${MAX_JWKS_BYTES} bytes`);
    return parseKeySet(text);
  }
}

function parseKeySet(text: string): JSONWebKeySet {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("JWKS_URL did not answer JSON");
  }
  const keys = (value as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys) || keys.some((key) => typeof key !== "object" || key === null)) {
    throw new Error("JWKS_URL did not answer a key set");
  }
  return { keys };
}
