/**
 * Decides by `Host` and `Origin` whether a request is meant for this service. They show a
 * page of another site whose name points here (DNS rebinding), so such a page reaches
 * nothing of a service that trusts the network instead of a credential.
 */
const LOOPBACK_NAME =
  /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\]|\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\])$/;

/** Whether a host name, as the URL parser writes it, reaches this machine only (RFC 6761, section 6.3). */
export function isLoopbackName(hostname: string): boolean {
  return LOOPBACK_NAME.test(hostname);
}

/** Reads a `Host` header, or `HOST` of the environment. Returns undefined for text that is not a host. */
export function parseHost(text: string): { host: string; hostname: string } | undefined {
  if (/[/\\?#@\s]/.test(text)) return undefined;
  const bare = text.includes(":") && !text.includes("[") && text.split(":").length > 2;
  const url = URL.parse(`http://${bare ? `[${text}]` : text}`);
  return url ? { host: url.host, hostname: url.hostname } : undefined;
}

/** The origin of a web URL. Returns undefined for text that is not exactly an origin. */
export function webOriginOf(text: string): string | undefined {
  const url = URL.parse(text);
  const isOrigin = url !== null && /^https?:$/.test(url.protocol) && `${url.origin}/` === url.href;
  return isOrigin ? url.origin : undefined;
}

/** `SCHEME://HOST`, the host in any form but a user, a path, a query or a fragment. */
const OTHER_ORIGIN = /^([a-z][a-z0-9+.-]*):\/\/([^\s/?#@\\]+)\/?$/i;

/** Schemes whose pages have no origin of their own, or whose URLs hold another page. */
const NO_ORIGIN: ReadonlySet<string> = new Set(["about", "blob", "data", "file", "javascript"]);

/**
 * The origin of pages as a browser writes it: of the web, of an extension or of a desktop
 * application. Returns undefined for other text. The URL parser gives no origin for schemes that it
 * does not know, so their host stays as it is written.
 */
export function pageOriginOf(text: string): string | undefined {
  const [, scheme = "", host = ""] = OTHER_ORIGIN.exec(text) ?? [];
  const lower = scheme.toLowerCase();
  if (lower === "" || lower === "http" || lower === "https") return webOriginOf(text);
  return NO_ORIGIN.has(lower) ? undefined : `${lower}://${host}`;
}

interface OriginRules {
  /** Hosts to serve, in lower case, with or without a port. Undefined: every host. */
  readonly allowedHosts?: ReadonlySet<string> | undefined;
  /** Origins whose pages may call, as browsers write them. */
  readonly allowedOrigins: ReadonlySet<string>;
}

type OriginVerdict =
  | { readonly kind: "allowed"; readonly loopback: boolean }
  | { readonly kind: "refused"; readonly header: "Host" | "Origin" };

/** Verdicts to remember, and characters of one key: a stranger must not fill the memory. */
const MAX_REMEMBERED = 100;
const MAX_KEY_LENGTH = 500;

/**
 * Makes a judge of requests by `rules`. It remembers its verdicts: clients send the same
 * hosts and origins again and again, and parsing URLs is a good part of a read's cost.
 */
export function originJudge(
  rules: OriginRules,
): (url: string, host: string | undefined, origin: string | undefined) => OriginVerdict {
  const remembered = new Map<string, OriginVerdict>();
  return (url, host, origin) => {
    // The host stands before the first slash of the path.
    const slash = url.indexOf("/", url.indexOf("//") + 2);
    const base = slash < 0 ? url : url.slice(0, slash);
    // A header cannot hold a line feed, so one stands for an absent header.
    const key = `${base}\n${host ?? "\n"}\n${origin ?? "\n"}`;
    const known = remembered.get(key);
    if (known) return known;
    // The runtime copies the Host header into the URL unread, so the URL may be invalid.
    const hosts = [URL.parse(base)?.host ?? "", ...(host === undefined ? [] : [host])];
    const verdict = originVerdict(hosts, origin, rules);
    if (key.length > MAX_KEY_LENGTH) return verdict;
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    remembered.set(key, verdict);
    return verdict;
  };
}

/**
 * `hosts` are the names of the target: the URL's, and the Host header's if there is one. The
 * rules must allow all of them. An origin may call if it is listed or is the request's own host, with
 * its port: another port of this machine may serve anybody's page.
 */
function originVerdict(
  hosts: readonly string[],
  origin: string | undefined,
  rules: OriginRules,
): OriginVerdict {
  const targets = hosts.map(parseHost);
  const loopback = targets.every(
    (target) => target !== undefined && isLoopbackName(target.hostname),
  );
  const served = targets.every((target) => {
    if (!target) return false;
    if (!rules.allowedHosts || isLoopbackName(target.hostname)) return true;
    return rules.allowedHosts.has(target.host) || rules.allowedHosts.has(target.hostname);
  });
  if (!served) return { kind: "refused", header: "Host" };
  if (origin === undefined || rules.allowedOrigins.has(origin))
    return { kind: "allowed", loopback };
  const page = pageOf(origin);
  const own = page !== null && targets.every((target) => target?.host === page.host);
  return own ? { kind: "allowed", loopback } : { kind: "refused", header: "Origin" };
}

/** Pages of other schemes belong to extensions and applications, which choose their host freely. */
function pageOf(origin: string): URL | null {
  const url = URL.parse(origin);
  return url && /^https?:$/.test(url.protocol) ? url : null;
}
