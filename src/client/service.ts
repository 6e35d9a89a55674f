/** Calls the service: its address, the credential, one try, and tries until one is answered. */
import { errorOf, HoldfastError, noAnswer, objectIn } from "./error.ts";
import { Attempt, Backoff, type OnRetry, type Timing } from "./timing.ts";

/**
 * Gives the bearer token for a call; undefined for none. If the service has just answered 401, `refused` is
 * the token that it refused: give another one. A call that then gets 401 again fails. If the function
 * throws, the client tries again later, unless it throws a `HoldfastError` that does not pass.
 */
export type TokenSource = (refused?: string) => string | undefined | Promise<string | undefined>;

export interface HoldfastClientOptions {
  /**
   * Where the service is: an absolute `http:` or `https:` URL, with the path in front of `/v1` if there is
   * one. In a page also a path that begins with `/`.
   */
  readonly url: string | URL;
  /** The bearer token, or a function that gives it for each call. */
  readonly token?: string | TokenSource | undefined;
  /** In place of the global `fetch`; for cookies, one that sets `credentials: "include"`. */
  readonly fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  /** Hears of each failure that the client does not give up on. */
  readonly onRetry?: OnRetry | undefined;
}

/** Milliseconds that an answer may take. A read may wait for 30 s, and 4 MiB take 34 s at 1 Mbit/s. */
const ANSWER_MS = 60_000;
/** Milliseconds before the second try; doubled with each. */
const FIRST_WAIT_MS = 250;

export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
  readonly headers?: Readonly<Record<string, string | undefined>> | undefined;
  /** Becomes JSON. */
  readonly body?: unknown;
}

export interface Answer {
  readonly headers: Headers;
  /** The body's JSON; undefined where there is none. */
  readonly json: unknown;
}

export class Service {
  readonly timing: Timing;
  readonly onRetry: OnRetry | undefined;
  readonly #base: string;
  readonly tokenSource: string | TokenSource | undefined;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;

  /** Throws a TypeError that names the option which is wrong. */
  constructor(options: HoldfastClientOptions, timing: Timing) {
    this.timing = timing;
    this.onRetry = options.onRetry;
    this.#base = baseOf(options.url);
    const { token } = options;
    this.tokenSource = token;
    if (token !== undefined && typeof token !== "function" && !isToken(token)) {
      throw new TypeError(`token: ${TOKEN_RULE}`);
    }
    const fetch: unknown = options.fetch ?? globalThis.fetch;
    if (typeof fetch !== "function") {
      throw new TypeError("fetch: must be a function; this platform has none of its own");
    }
    // A browser's fetch refuses to be called as a method of another object.
    this.fetch = async (url, init) => {
      // A redirect may turn a POST into a GET, whose answer would be taken for that of the POST.
      const response = (await fetch(url, { ...init, redirect: "manual" })) as Response;
      const { status, type } = response;
      if ((type as string) !== "opaqueredirect" && (status < 300 || status > 399)) return response;
      throw new HoldfastError(
        status || 302,
        "unexpected_answer",
        "The URL redirects. Give the one that it redirects to.",
      );
    };
  }

  /** The token for a try. */
  async token(refused: string | undefined): Promise<string | undefined> {
    const { tokenSource } = this;
    const token = typeof tokenSource === "function" ? await tokenSource(refused) : tokenSource;
    if (token === undefined || isToken(token)) return token;
    throw new HoldfastError(401, "unauthorized", `token: ${TOKEN_RULE}`);
  }

  urlOf(path: string, query: Call["query"] = {}): string {
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) params.set(name, String(value));
    }
    return `${this.#base}${path}${params.size === 0 ? "" : `?${params.toString()}`}`;
  }

  /**
   * Tries until the service answers with a success or with a refusal that does not pass. Every call of the
   * API can be repeated: it reads, is the same the second time, or has an id or a key of its own.
   */
  async call(call: Call, signal = new AbortController().signal): Promise<Answer> {
    const url = this.urlOf(call.path, call.query);
    const headers = new Headers();
    for (const [name, value] of Object.entries(call.headers ?? {})) {
      if (value !== undefined) headers.set(name, value);
    }
    const body = call.body === undefined ? undefined : jsonOf(call.body);
    if (body !== undefined) headers.set("content-type", "application/json");
    headers.set("accept", "application/json");
    const init = { method: call.method, headers, ...(body !== undefined && { body }) };
    const backoff = new Backoff(this.timing, FIRST_WAIT_MS, this.onRetry);
    const credential = new Credential(this);
    let lostAnswer = false;
    for (;;) {
      const attempt = new Attempt(this.timing, signal);
      let isSent = false;
      try {
        const token = await attempt.within(ANSWER_MS, "The token", credential.next());
        if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
        else headers.delete("authorization");
        isSent = true;
        const { signal } = attempt;
        return await attempt.within(ANSWER_MS, "The answer", this.#try(url, { ...init, signal }));
      } catch (failure) {
        if (failure instanceof HoldfastError) failure.lostAnswer = lostAnswer;
        if (isSent && isLost(failure)) lostAnswer = true;
        if (!credential.mayAskAnew(failure, this.tokenSource)) await backoff.wait(failure, signal);
      } finally {
        attempt.close();
      }
    }
  }

  async #try(url: string, init: RequestInit): Promise<Answer> {
    const response = await this.fetch(url, init);
    if (!response.ok) throw await errorOf(response, this.timing.now());
    return { headers: response.headers, json: await jsonIn(response) };
  }
}

/** The credential of a call's tries: after a 401 another one is asked for, once. */
export class Credential {
  readonly #service: Service;
  #token: string | undefined;
  #isRefused = false;

  constructor(service: Service) {
    this.#service = service;
  }

  async next(): Promise<string | undefined> {
    this.#token = await this.#service.token(this.#isRefused ? this.#token : undefined);
    return this.#token;
  }

  accepted(): void {
    this.#isRefused = false;
  }

  /** Whether a failure is the first 401 in a row, and its credential's source is a function. */
  mayAskAnew(failure: unknown, source: unknown): boolean {
    const isRefused = failure instanceof HoldfastError && failure.status === 401;
    if (!isRefused || this.#isRefused || typeof source !== "function") return false;
    this.#isRefused = true;
    return true;
  }
}

/** Whether a try that failed may have been carried out all the same. */
function isLost(failure: unknown): boolean {
  if (!(failure instanceof HoldfastError)) return false;
  // With these codes the service has changed nothing.
  const refusals = ["message_channel_full", "session_disconnected"];
  return failure.status === 0 || (failure.status >= 500 && !refusals.includes(failure.code));
}

function baseOf(url: string | URL): string {
  const text = String(url);
  const page = (globalThis as { readonly location?: { readonly href: string } }).location;
  const base = text.startsWith("/") ? page?.href : undefined;
  const parsed = URL.canParse(text, base) ? new URL(text, base) : undefined;
  if (
    !parsed ||
    !/^https?:$/.test(parsed.protocol) ||
    parsed.username + parsed.password + parsed.search + parsed.hash !== ""
  ) {
    throw new TypeError(
      "url: must be an absolute URL of http: or https:, without user, password, query and fragment",
    );
  }
  return parsed.origin + parsed.pathname.replace(/\/+$/, "");
}

const TOKEN_RULE = "must be visible ASCII characters, at least one";

/** Whether a header can hold it (RFC 6750, 2.1). fetch's own error would quote it. */
function isToken(token: unknown): boolean {
  return typeof token === "string" && /^[!-~]+$/.test(token);
}

/** Writes JSON. Throws a TypeError for a number that JSON would write as null. */
function jsonOf(body: unknown): string {
  return JSON.stringify(body, (key, value: unknown) => {
    if (typeof value === "number" && !Number.isFinite(value)) {
      throw new TypeError(`${key}: JSON has no ${value}`);
    }
    return value;
  });
}

async function jsonIn(response: Response): Promise<unknown> {
  if (response.status === 204) return undefined;
  if (response.headers.get("content-type")?.includes("json")) {
    const json = objectIn(await response.text());
    if (json) return json;
    throw noAnswer("The answer was cut short.");
  }
  throw notHoldfast(response);
}

/** The error for an answer that is not Holdfast's. */
export function notHoldfast({ status, headers }: Response): HoldfastError {
  const type = headers.get("content-type") ?? "none";
  return new HoldfastError(
    status,
    "unexpected_answer",
    `The answer is not Holdfast's: its media type is ${type}. Check the URL.`,
  );
}
