/** Follows an upstream's redirects, within its own origin: the headers of a request hold secrets. */
import { derivedUpstreamUrl } from "../../config/upstreams.ts";
import { MAX_UPSTREAM_REDIRECTS } from "../../core/limits.ts";
import type { Answer } from "./upstream.ts";

interface Followed<A> {
  /** A redirect only if it leads to another origin, or if too many came before it. */
  readonly answer: A;
  /** The URL that gave the answer. */
  readonly url: string;
}

/** Sends a request with this method to `first`, and on to where the server redirects it. */
export async function followed<A extends Answer>(
  first: string,
  method: string | undefined,
  send: (url: string) => Promise<A>,
): Promise<Followed<A>> {
  let url = first;
  let answer = await send(url);
  for (let hops = 0; hops < MAX_UPSTREAM_REDIRECTS; hops++) {
    const target = typeof answer === "string" ? undefined : targetOf(answer, url, method);
    if (target === undefined || typeof answer === "string") break;
    void answer.body?.cancel().catch(() => undefined);
    url = target;
    answer = await send(url);
  }
  return { answer, url };
}

/**
 * Where a redirect leads; undefined where it must not be followed. A server that answers with a
 * redirect has not executed the request, so it may be sent again. After a 301, 302 or 303 a POST
 * would become a GET (Fetch, HTTP-redirect fetch), which no MCP server means.
 */
function targetOf(answer: Response, url: string, method: string | undefined): string | undefined {
  const { status } = answer;
  if (status < 300 || status >= 400) return undefined;
  const keepsMethod = status === 307 || status === 308;
  const isRedirect = keepsMethod || (method === "GET" && [301, 302, 303].includes(status));
  const location = isRedirect ? answer.headers.get("location") : null;
  if (location === null) return undefined;
  const verdict = derivedUpstreamUrl(location, new URL(url));
  return verdict.ok ? verdict.url.href : undefined;
}
