/** How requests leave the service. */
/**
 * The binding's `fetch` where `OUTBOUND` is bound, which `npm run serve` does (its
 * workerd has no other way out); else the platform's own.
 */
export function outboundOf(env: Readonly<Record<string, unknown>>): typeof fetch {
  const bound = env["OUTBOUND"];
  return isFetcher(bound) ? bound.fetch.bind(bound) : (input, init) => fetch(input, init);
}

export function isFetcher(value: unknown): value is { readonly fetch: typeof fetch } {
  return typeof (value as { fetch?: unknown } | undefined)?.fetch === "function";
}
