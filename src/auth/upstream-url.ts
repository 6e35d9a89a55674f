/**
 * Where the gateway may send a request: to the origins that the configuration
 * names, and nowhere else by any input. Pure functions; the gateway asks them for
 * the configured URL, for each redirect, and for each address that an upstream or a
 * stored session hands it.
 */
import { isPrivateHost } from "./private-address.ts";

export type UpstreamUrlVerdict =
  | { readonly ok: true; readonly url: URL }
  | { readonly ok: false; readonly reason: UpstreamUrlProblem };

export type UpstreamUrlProblem =
  | "not a URL"
  | "not http or https"
  | "has credentials"
  | "is a private address"
  | "is another host";

/** A URL that the configuration names. Private addresses are allowed: it is the operator who names them. */
export function configuredUpstreamUrl(text: string): UpstreamUrlVerdict {
  const url = URL.parse(text);
  if (!url) return refused("not a URL");
  if (url.protocol !== "http:" && url.protocol !== "https:") return refused("not http or https");
  if (url.username !== "" || url.password !== "") return refused("has credentials");
  return { ok: true, url };
}

/**
 * A URL that came from anywhere else: a redirect, an `endpoint` event, a session's
 * `backend_url`. It must be of an origin that the configuration names, with
 * `base` (what it was found at) among them.
 */
export function derivedUpstreamUrl(
  text: string,
  base: URL,
  configuredOrigins: ReadonlySet<string> = new Set([base.origin]),
): UpstreamUrlVerdict {
  const verdict = configuredUpstreamUrl(URL.parse(text, base.href)?.href ?? "");
  if (!verdict.ok) return verdict;
  if (configuredOrigins.has(verdict.url.origin)) return verdict;
  return refused(isPrivateHost(verdict.url.hostname) ? "is a private address" : "is another host");
}

function refused(reason: UpstreamUrlProblem): UpstreamUrlVerdict {
  return { ok: false, reason };
}
