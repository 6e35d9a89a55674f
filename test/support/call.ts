/** Calls the service as a client does, in the process that runs the test. */
import { exports } from "cloudflare:workers";
import type { Session } from "../../src/core/api.ts";

const ORIGIN = "http://localhost";

/** By this header the platform says that a request comes from this machine. */
export const FROM_HERE = { "cf-connecting-ip": "127.0.0.1" };

export interface Answer<T = Record<string, unknown>> {
  readonly status: number;
  readonly headers: Headers;
  readonly json: T;
}

/** Sends a request; `body` goes as JSON. */
export function request(method: string, path: string, body?: unknown, headers: HeadersInit = {}) {
  return (exports as unknown as { default: Fetcher }).default.fetch(ORIGIN + path, {
    method,
    headers: {
      ...FROM_HERE,
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

export async function call<T = Record<string, unknown>>(
  method: string,
  path: string,
  body?: unknown,
  headers: HeadersInit = {},
): Promise<Answer<T>> {
  const response = await request(method, path, body, headers);
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    json: (text === "" ? undefined : JSON.parse(text)) as T,
  };
}

/** Makes a session and returns it. */
export async function make(body: Record<string, unknown> = {}): Promise<Session> {
  const { status, json } = await call<Session>("POST", "/v1/sessions", body);
  if (status !== 201) throw new Error(`create answered ${status}: ${JSON.stringify(json)}`);
  return json;
}

export function pathOf(id: string, rest = ""): string {
  return `/v1/sessions/${id}${rest}`;
}
