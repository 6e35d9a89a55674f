/**
 * Who may reach the gateway at all. A page on any site can make a browser send
 * requests to a server on the user's own machine, and with a name that it
 * resolves anew (DNS rebinding) read the answers; `Origin` and `Host` give it away.
 */

export interface GuardOptions {
  /** Lower case, as in the header: `https://app.example`. */
  readonly allowedOrigins: readonly string[];
  /** Lower case, with or without a port. */
  readonly allowedHosts: readonly string[];
}

const LOCAL_NAMES = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Whether a request with this URL and Origin may be served. Pure. */
export function isAllowed(url: URL, origin: string | undefined, options: GuardOptions): boolean {
  return (
    isAllowedHost(url, options) && (origin === undefined || isAllowedOrigin(url, origin, options))
  );
}

/**
 * Over HTTPS the name has been proven by a certificate that a rebinding page cannot
 * have, so any is the service's own. Over plain HTTP it is what the client says.
 */
function isAllowedHost(url: URL, { allowedHosts }: GuardOptions): boolean {
  if (url.protocol === "https:" || LOCAL_NAMES.has(url.hostname)) return true;
  return allowedHosts.includes(url.host) || allowedHosts.includes(url.hostname);
}

function isAllowedOrigin(url: URL, origin: string, { allowedOrigins }: GuardOptions): boolean {
  const value = origin.toLowerCase();
  if (allowedOrigins.includes(value)) return true;
  if (!URL.canParse(value)) return false;
  const { hostname, origin: parsed } = new URL(value);
  return LOCAL_NAMES.has(hostname) || parsed === url.origin;
}
