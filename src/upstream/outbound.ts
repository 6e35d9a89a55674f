/** How requests leave the service. */
import type { Server } from "./upstream.ts";

/**
 * The binding's `fetch` where `OUTBOUND` is bound, which `npm run serve` does (its
 * workerd has no other way out); else the platform's own.
 */
export function outboundOf(env: Readonly<Record<string, unknown>>): typeof fetch {
  const bound = env["OUTBOUND"];
  return isServer(bound)
    ? (bound.fetch.bind(bound) as typeof fetch)
    : (input, init) => fetch(input, init);
}

export function isServer(value: unknown): value is Server {
  return typeof (value as Partial<Server> | undefined)?.fetch === "function";
}
