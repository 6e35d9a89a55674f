/**
 * The keys of the authorization server, cached. They are fetched when first needed,
 * when they are old, and when a token names a key that is not among them; the
 * last with a floor, or anyone could make us fetch with each made-up key id.
 * Keys already held are used for as long as fetching fails.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import { boundedBody } from "../wire/bytes.ts";
import { UnavailableError } from "../core/errors.ts";
import { isObject, parseJson } from "../wire/json.ts";

export interface JwksOptions {
  readonly url: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Told of each fetch that failed, and of a key that cannot be used; for the log. */
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
/** Milliseconds between looks at whether one of them has brought the keys, for the requests that may not. */
const LOOK_MS = 10;

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
    if (this.#options.now() - this.#keysAt > MAX_AGE_MS) await this.#refresh();
    const held = this.#keys;
    if (!held) throw new UnavailableError("The authorization server's keys are not available.");
    try {
      return await held(header, token);
    } catch (failure) {
      if (!(failure instanceof errors.JWKSNoMatchingKey)) throw failure;
      await this.#refresh();
      // Another request may have brought newer ones while this one looked through the old.
      if (!this.#keys || this.#keys === held) throw failure;
      return this.#keys(header, token);
    }
  };

  /** Fetches the keys, or waits for those that others are fetching, unless that was tried just now. */
  async #refresh(): Promise<void> {
    if (this.#isUnderWay() && this.#roundSize >= MAX_CONCURRENT) return this.#roundEnds();
    if (!this.#mayFetch()) return;
    try {
      const keys = await this.#fetch();
      this.#keys = createLocalJWKSet(keys);
      this.#keysAt = this.#options.now();
    } catch (failure) {
      this.#options.onFailure?.(failure);
    } finally {
      this.#roundOver = true;
    }
  }

  #mayFetch(): boolean {
    if (this.#isUnderWay()) {
      this.#roundSize++;
      return true;
    }
    const floor = this.#keys ? FLOOR_MS : FLOOR_WITHOUT_KEYS_MS;
    if (this.#options.now() - this.#roundAt < floor) return false;
    this.#roundAt = this.#options.now();
    this.#roundSize = 1;
    this.#roundOver = false;
    return true;
  }

  /** A round whose request was cancelled never ends; its time limit ends it. */
  #isUnderWay(): boolean {
    return !this.#roundOver && this.#options.now() - this.#roundAt < FETCH_TIMEOUT_MS;
  }

  /** A request that waits has a timer of its own, since no other request can wake it. */
  async #roundEnds(): Promise<void> {
    while (this.#isUnderWay()) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
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
    const { body } = response;
    // Read no further than that: a server that never ends its answer must not fill the memory.
    const bytes = body && (await boundedBody(body as ReadableStream<Uint8Array>, MAX_JWKS_BYTES));
    if (bytes === undefined) throw new Error(`JWKS_URL answered over ${MAX_JWKS_BYTES} bytes`);
    return parseKeySet(new TextDecoder().decode(bytes ?? undefined));
  }
}

function parseKeySet(text: string): JSONWebKeySet {
  const value = parseJson(text);
  if (value === undefined) throw new Error("JWKS_URL did not answer JSON");
  const keys: unknown = isObject(value) ? value["keys"] : undefined;
  if (!Array.isArray(keys) || !keys.every(isObject)) {
    throw new Error("JWKS_URL did not answer a key set");
  }
  return { keys };
}
