/** Calls the service from the page: the token, one try of each call, and what it gives. */
import { errorOf, HoldfastError, noAnswer } from "../client/error.ts";
import type * as api from "../core/api.ts";

/** Where the service is: the folder that `/console` is in. */
const BASE = new URL(".", location.href).href;

/** Milliseconds that an answer may take. An operator wants to hear of a failure, so nothing is tried again. */
const ANSWER_MS = 15_000;

/** The token's place: this tab alone sees it, and forgets it when it is closed. */
const TOKEN_KEY = "holdfast.token";

export function token(): string | undefined {
  return sessionStorage.getItem(TOKEN_KEY) ?? undefined;
}

export function rememberToken(given: string | undefined): void {
  if (given === undefined) sessionStorage.removeItem(TOKEN_KEY);
  else sessionStorage.setItem(TOKEN_KEY, given);
}

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

interface Call {
  readonly query?: Query;
  /** Becomes JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

async function send(
  method: string,
  path: string,
  { query = {}, body, signal }: Call,
): Promise<Response> {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  const headers = new Headers({ accept: "application/json" });
  const bearer = token();
  if (bearer !== undefined) headers.set("authorization", `Bearer ${bearer}`);
  if (body !== undefined) headers.set("content-type", "application/json");
  const timeout = AbortSignal.timeout(ANSWER_MS);
  const response = await fetch(url, {
    method,
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
  }).catch((cause: unknown) => {
    if (signal?.aborted) throw cause;
    throw noAnswer("The service does not answer.", cause);
  });
  if (!response.ok) throw await errorOf(response, Date.now());
  return response;
}

/** Throws a HoldfastError, or the signal's reason. A test compares the types with the service's schemas. */
async function json<T>(method: string, path: string, call: Call = {}): Promise<T> {
  return (await send(method, path, call)).json() as Promise<T>;
}

async function done(method: string, path: string): Promise<void> {
  await send(method, path, {});
}

/** Asks the service what the console must know before it asks for a token. */
export interface About {
  readonly hasMetrics: boolean;
  /** Whether a token is needed; the document says so of each route. */
  readonly needsToken: boolean;
}

interface Document {
  readonly paths: Readonly<Record<string, { readonly get?: { readonly security?: object[] } }>>;
}

export async function about(): Promise<About> {
  const { paths } = await json<Document>("GET", "openapi.json");
  const security = paths["/v1/sessions"]?.get?.security ?? [];
  return {
    hasMetrics: "/metrics" in paths,
    needsToken: !security.some((one) => Object.keys(one).length === 0) && security.length > 0,
  };
}

/**
 * Resolves if the caller is an admin, and else throws a HoldfastError. The metrics are for admins. Where
 * there are none: nobody else may name another's subject, and nobody has this one.
 */
export async function requireAdmin({ hasMetrics }: About): Promise<void> {
  if (hasMetrics) return void (await metricsText());
  const query = { subject: `console-${Date.now()}-${Math.random()}` };
  await json("GET", "v1/sessions/count", { query });
}

export interface Filter {
  readonly subject: string;
  readonly type: string;
}

export const list = (filter: Filter, cursor: string | undefined, limit: number) =>
  json<api.SessionList>("GET", "v1/sessions", { query: { ...filter, cursor, limit } });

export const count = (filter: Filter) =>
  json<api.SessionCount>("GET", "v1/sessions/count", { query: { ...filter } });

export const revoke = (subject: string) =>
  json<api.Revoked>("DELETE", "v1/sessions", { query: { subject } });

const pathOf = (id: string) => `v1/sessions/${encodeURIComponent(id)}`;

/** Reads a session without extending its life: to look at it must not change when it ends. */
export const read = (id: string, signal?: AbortSignal) =>
  json<api.Session>("GET", pathOf(id), { query: { touch: false }, signal });

/** Reads events without extending the session's life, and without taking them from its readers. */
export const readEvents = (id: string, after: string | undefined, signal?: AbortSignal) =>
  json<api.EventPage>("GET", `${pathOf(id)}/events`, {
    query: { after, limit: 200, touch: false },
    signal,
  });

export const publish = (id: string, event: api.NewEvent) =>
  json<api.Published>("POST", `${pathOf(id)}/events`, { body: event });

export const endStream = (id: string) =>
  json<api.StreamEnd>("POST", `${pathOf(id)}/end`, { body: {} });

export const disconnect = (id: string) => done("POST", `${pathOf(id)}/disconnect`);

export const remove = (id: string) => done("DELETE", pathOf(id));

export const metricsText = async (signal?: AbortSignal) =>
  (await send("GET", "metrics", { signal })).text();

/** A sentence for the operator. */
export function messageOf(failure: unknown): string {
  if (failure instanceof HoldfastError) return failure.detail;
  return failure instanceof Error ? failure.message : String(failure);
}

export function statusOf(failure: unknown): number | undefined {
  return failure instanceof HoldfastError ? failure.status : undefined;
}
