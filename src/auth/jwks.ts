/**
 * Caches the keys of the authorization server. It fetches them at first use, when they
 * grow old, and when a token names an unknown key. A least time between two fetches limits the last
 * case: otherwise a client could cause a fetch with each key id that it makes up. While keys are
 * held, a fetch runs in the background, so that a server that hangs delays no valid token. While
 * fetching fails, the cache uses the keys that it holds.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import { boundedBody } from "../wire/bytes.ts";
import { UnavailableError } from "../core/errors.ts";
import { isObject, parseJson } from "../wire/json.ts";
import { sleep, within } from "../wire/timers.ts";

export interface JwksOptions {
  readonly url: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Keeps a request's work alive after its answer, as the platform's function of that name does. */
  readonly waitUntil?: (work: Promise<unknown>) => void;
  /** Called for each failed fetch and each key that cannot be used, for the log. */
  readonly onFailure?: (failure: unknown) => void;
}

/** Milliseconds after which the cache fetches the keys again, in the background. */
const REFRESH_AGE_MS = 5 * 60_000;
/** Milliseconds after which a token waits for that fetch, unless the last one failed. So a revoked key is refused from then on. */
const MAX_AGE_MS = 10 * 60_000;
/** Milliseconds between fetches for unknown keys, and after a failed fetch while the cache holds keys. */
const FLOOR_MS = 30_000;
/** Milliseconds between fetches while the cache holds no keys. */
const FLOOR_WITHOUT_KEYS_MS = 1000;
const FETCH_TIMEOUT_MS = 5000;
const MAX_JWKS_BYTES = 256 * 1024;
/**
 * Requests that may fetch at once. Each fetches for itself: on Workers one request cannot
 * wait for the I/O of another, because the platform ends it with that request.
 */
const MAX_CONCURRENT = 8;
/** Milliseconds between checks by the waiting requests whether a fetch has ended. */
const LOOK_MS = 10;

export class Jwks {
  readonly #options: JwksOptions;
  #keys: JWTVerifyGetKey | undefined;
  #keysAt = -Infinity;
  /** Start of the last round of fetches, how many requests joined it, and whether one has ended. */
  #roundAt = -Infinity;
  #roundSize = 0;
  #isRoundOver = true;
  #hasRoundBeforeFailed = false;

  constructor(options: JwksOptions) {
    this.#options = options;
  }

  /** Gives jose the key for a token. Throws UnavailableError while no fetch has succeeded. */
  readonly keyFor: JWTVerifyGetKey = async (header, token) => {
    if (this.#mustWait()) await this.#refresh();
    else if (this.#age > REFRESH_AGE_MS && !this.#isUnderWay()) {
      const refresh = this.#refresh();
      this.#options.waitUntil?.(refresh);
    }
    const held = this.#keys;
    if (!held) throw new UnavailableError("The authorization server's keys are not available.");
    try {
      return await held(header, token);
    } catch (failure) {
      if (!(failure instanceof errors.JWKSNoMatchingKey)) throw failure;
      await this.#refresh();
      // Another request may have stored newer keys while this one searched the old.
      if (!this.#keys || this.#keys === held) throw failure;
      return this.#keys(header, token);
    }
  };

  /** Whether there are keys to check a token with. Fetches some if there are none yet. */
  async available(): Promise<boolean> {
    if (!this.#keys) await this.#refresh();
    return this.#keys !== undefined;
  }

  /** Milliseconds since the held keys were fetched; infinite while there are none. */
  get #age(): number {
    return this.#options.now() - this.#keysAt;
  }

  /** Whether the held keys are too old to be used, and the last fetch did not fail to replace them. */
  #mustWait(): boolean {
    return !this.#keys || (this.#age > MAX_AGE_MS && !this.#lastRoundFailed());
  }

  /** Whether the last round that has ended brought no keys. */
  #lastRoundFailed(): boolean {
    return this.#isUnderWay() ? this.#hasRoundBeforeFailed : this.#roundAt > this.#keysAt;
  }

  /** Fetches the keys or waits for a fetch under way. Does nothing within the least time since the last fetch. */
  async #refresh(): Promise<void> {
    if (this.#isUnderWay() && this.#roundSize >= MAX_CONCURRENT) return this.#roundEnds();
    if (!this.#mayFetch()) return;
    try {
      const keys = await this.#fetchInTime();
      this.#keys = createLocalJWKSet(keys);
      this.#keysAt = this.#options.now();
    } catch (failure) {
      this.#options.onFailure?.(failure);
    } finally {
      this.#isRoundOver = true;
    }
  }

  #mayFetch(): boolean {
    if (this.#isUnderWay()) {
      this.#roundSize++;
      return true;
    }
    const floor = this.#keys ? FLOOR_MS : FLOOR_WITHOUT_KEYS_MS;
    if (this.#options.now() - this.#roundAt < floor) return false;
    this.#hasRoundBeforeFailed = this.#lastRoundFailed();
    this.#roundAt = this.#options.now();
    this.#roundSize = 1;
    this.#isRoundOver = false;
    return true;
  }

  /** A cancelled request never ends its round, so the time limit does. */
  #isUnderWay(): boolean {
    return !this.#isRoundOver && this.#options.now() - this.#roundAt < FETCH_TIMEOUT_MS;
  }

  /** Each waiting request has a timer of its own: no other request can wake it. */
  async #roundEnds(): Promise<void> {
    while (this.#isUnderWay()) await sleep(LOOK_MS);
  }

  /** A `fetch` of the Worker's own, and the body of an answer, may ignore the signal. So this does not wait for them. */
  #fetchInTime(): Promise<JSONWebKeySet> {
    const abort = new AbortController();
    return within(this.#fetch(abort.signal), FETCH_TIMEOUT_MS, () => {
      abort.abort();
      throw new Error(`JWKS_URL did not answer in ${FETCH_TIMEOUT_MS} ms`);
    });
  }

  async #fetch(signal: AbortSignal): Promise<JSONWebKeySet> {
    const response = await this.#options.fetch(this.#options.url, {
      headers: { accept: "application/jwk-set+json, application/json" },
      // A redirect could make another server's keys count.
      redirect: "manual",
      signal,
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`JWKS_URL answered ${response.status}`);
    }
    const { body } = response;
    // A server that never ends its answer must not fill the memory.
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
