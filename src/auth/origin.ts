/**
 * Whether a request was meant for us, by its `Host` and `Origin`. A page of another
 * site that makes its name point here (DNS rebinding) gives itself away by them,
 * and reaches nothing that trusts the network instead of a credential.
 */
/** Names of this very machine. */

const LOOPBACK_NAME =
  /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\]|\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\])$/;

/** Whether a host's name, as the URL parser writes it, reaches this machine only (RFC 6761, section 6.3). */
export function isLoopbackName(hostname: string): boolean {
  return LOOPBACK_NAME.test(hostname);
}

/** The parts of a `Host` header, or of `HOST` in the environment; undefined where it is not one. */
export function parseHost(text: string): { host: string; hostname: string } | undefined {
  if (/[/\\?#@\s]/.test(text)) return undefined;
  const bare = text.includes(":") && !text.includes("[") && text.split(":").length > 2;
  const url = URL.parse(`http://${bare ? `[${text}]` : text}`);
  return url ? { host: url.host, hostname: url.hostname } : undefined;
}

export interface OriginRules {
  /** Hosts that are served, in lower case, with or without a port. Undefined: any. */
  readonly allowedHosts?: ReadonlySet<string> | undefined;
  /** Origins whose pages may call, as browsers write them. */
  readonly allowedOrigins: ReadonlySet<string>;
}

export type OriginVerdict =
  | { readonly kind: "allowed"; readonly loopback: boolean }
  | { readonly kind: "refused"; readonly header: "Host" | "Origin" };

/** Verdicts remembered at once, and characters of what was said for one: a stranger must not fill the memory. */
const MAX_REMEMBERED = 100;
const MAX_SAID_LENGTH = 500;

/**
 * Judges requests by `rules`. Clients say the same few things on every request,
 * and taking a URL apart twice is a good part of what a read costs, so verdicts are
 * remembered by what was said.
 */
export function originJudge(
  rules: OriginRules,
): (url: string, host: string | undefined, origin: string | undefined) => OriginVerdict {
  const remembered = new Map<string, OriginVerdict>();
  return (url, host, origin) => {
    // All that the URL says of its host stands before the first slash of its path.
    const slash = url.indexOf("/", url.indexOf("//") + 2);
    const base = slash < 0 ? url : url.slice(0, slash);
    // No header holds a line feed, so it stands for one that is absent.
    const said = `${base}\n${host ?? "\n"}\n${origin ?? "\n"}`;
    const known = remembered.get(said);
    if (known) return known;
    // The runtime puts the Host header into the URL unread, so it may make none.
    const hosts = [URL.parse(base)?.host ?? "", ...(host === undefined ? [] : [host])];
    const verdict = originVerdict(hosts, origin, rules);
    if (said.length > MAX_SAID_LENGTH) return verdict;
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    remembered.set(said, verdict);
    return verdict;
  };
}

/**
 * `hosts` is every name that the request gives its target: the URL's, and the Host
 * header's where it has one; all must be served. An origin is allowed if it is
 * listed, is the request's own host, or is of this machine while the host is too.
 */
export function originVerdict(
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
  const local = page !== null && loopback && isLoopbackName(page.hostname);
  return own || local ? { kind: "allowed", loopback } : { kind: "refused", header: "Origin" };
}

/** Pages of other schemes are extensions and applications, whose host is a name of their own choosing. */
function pageOf(origin: string): URL | null {
  const url = URL.parse(origin);
  return url && /^https?:$/.test(url.protocol) ? url : null;
}
