/**
 * `UPSTREAMS`: the MCP servers behind the gateway, by name. `default` is served
 * at `/mcp`, the others at `/mcp/{name}`. Unset, `default` is the demo server.
 */
import { isObject, parseJson } from "../wire/json.ts";

/**
 * Where the gateway may send a request: to the origins that the configuration
 * names, and nowhere else by any input. Pure functions; the gateway asks them for
 * the configured URL, for each redirect, and for each address that an upstream or a
 * stored session hands it.
 */
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

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const HEADER_NAME = /^[\w-]+$/;
/**
 * RFC 9110, 5.5, which takes no control character but the tab. What Fetch leaves out around
 * a value (2.2.2) may be there: a secret that comes from a file often ends with a line end.
 * Nothing beyond ASCII: workerd would send it as UTF-8, and warn of it in a line that holds the value.
 */
const HEADER_VALUE = /^[\t\n\r ]*[\t\x20-\x7e]*[\t\n\r ]*$/;
/** Of a value that is none; the value itself may be a secret. */
export const NO_HEADER_VALUE =
  "must hold no line end, no other control character and none beyond ASCII";

/** Seconds; a timer in JavaScript can hold more, a client waits less. */
const LONGEST_TIMEOUT_SECONDS = 86_400;
const SHORTEST_TIMEOUT_SECONDS = 0.05;

export interface ServerSettings {
  /** Where the server is, in the order in which they are tried; empty where it is a service binding. */
  readonly urls: readonly string[];
  readonly binding?: string;
  /** Sent with every request; a value `$NAME` is the secret of that name. */
  readonly headers: Readonly<Record<string, string>>;
  /** How long the upstream may take to begin its answer, or to send it where it is JSON. */
  readonly timeoutSeconds: number;
  readonly transport: "streamable" | "sse";
  /** Pass the client's Authorization header on. */
  readonly forwardAuthorization: boolean;
}

export type UpstreamSettings = "demo" | ServerSettings;
export type UpstreamsSettings = Readonly<Record<string, UpstreamSettings>>;

export const DEFAULT_UPSTREAM = "default";

const UNSET: UpstreamsSettings = { [DEFAULT_UPSTREAM]: "demo" };

/** Reads `UPSTREAMS`. Throws an Error that says what is wrong, without the variable's name or any value of it. */
export function parseUpstreams(text: string | undefined): UpstreamsSettings {
  if (text === undefined) return UNSET;
  const value = parseJson(text);
  if (value === undefined) throw new Error("must be JSON");
  if (!isObject(value)) throw new Error("must be an object, name to upstream");
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => {
      if (!NAME.test(name)) throw new Error(`${name}: is no name: a-z, 0-9, - and _, at most 63`);
      return [name, upstreamOf(name, one)];
    }),
  );
}

const OPTIONS = [
  "url",
  "replicas",
  "binding",
  "headers",
  "timeoutSeconds",
  "transport",
  "forwardAuthorization",
];

function upstreamOf(name: string, value: unknown): UpstreamSettings {
  if (value === "demo") return value;
  const must = (what: string): never => {
    throw new Error(`${name}: ${what}`);
  };
  if (!isObject(value)) return must('must be "demo" or an object');
  const unknown = Object.keys(value).find((key) => !OPTIONS.includes(key));
  if (unknown !== undefined) must(`has no option ${unknown}; there are ${OPTIONS.join(", ")}`);
  const { url, replicas = [], binding, headers = {}, forwardAuthorization = false } = value;
  const { timeoutSeconds = 60, transport = "streamable" } = value;
  if (!Array.isArray(replicas)) return must("replicas must be a list of URLs");
  const urls = [...new Set([...(url === undefined ? [] : [url]), ...(replicas as unknown[])])];
  if (!urls.every(isUpstreamUrl)) {
    return must("url and replicas must be http or https URLs without credentials");
  }
  if (binding !== undefined && (typeof binding !== "string" || binding === "")) {
    return must("binding must be the name of a service binding");
  }
  if ((binding === undefined) === (urls.length === 0)) {
    must("must have either url or replicas, or binding");
  }
  const inRange =
    typeof timeoutSeconds === "number" &&
    timeoutSeconds >= SHORTEST_TIMEOUT_SECONDS &&
    timeoutSeconds <= LONGEST_TIMEOUT_SECONDS;
  if (!inRange) {
    return must(
      `timeoutSeconds must be from ${SHORTEST_TIMEOUT_SECONDS} to ${LONGEST_TIMEOUT_SECONDS}`,
    );
  }
  if (transport !== "streamable" && transport !== "sse") {
    return must("transport must be streamable or sse");
  }
  if (typeof forwardAuthorization !== "boolean") {
    return must("forwardAuthorization must be true or false");
  }
  if (!isHeaders(headers)) return must("headers must be an object, name to text");
  const bad = Object.entries(headers).find(([, text]) => !isHeaderValue(text));
  if (bad) must(`headers.${bad[0]} ${NO_HEADER_VALUE}`);
  const bound = binding === undefined ? {} : { binding };
  return { urls, ...bound, headers, timeoutSeconds, transport, forwardAuthorization };
}

function isUpstreamUrl(value: unknown): value is string {
  return typeof value === "string" && configuredUpstreamUrl(value).ok;
}

function isHeaders(value: unknown): value is Readonly<Record<string, string>> {
  if (!isObject(value)) return false;
  return Object.entries(value).every(
    ([name, text]) => HEADER_NAME.test(name) && typeof text === "string",
  );
}

/** Whether `Headers` takes it, and any server. */
export function isHeaderValue(text: string): boolean {
  return HEADER_VALUE.test(text);
}

/** Names of the secrets that the headers refer to. */
export function secretNames(settings: UpstreamsSettings): string[] {
  return Object.values(settings).flatMap((one) =>
    one === "demo"
      ? []
      : Object.values(one.headers)
          .filter((value) => value.startsWith("$"))
          .map((value) => value.slice(1)),
  );
} /** Addresses that are no public server's: what a request forged on our behalf would aim at. */

/** IPv4 networks that are not the public internet (IANA's special-purpose registry), as address and prefix length. */
const PRIVATE_V4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

/** Names that stand for this machine or for what only a private network's resolver knows. */
const PRIVATE_NAME =
  /(^|\.)(localhost|local|internal|intranet|lan|home|corp|private|home\.arpa|onion|test|invalid)$/;

/**
 * Whether a host, as the URL parser writes it (so `0x7f.1` has become
 * `127.0.0.1`), is not a public one. A public name whose record points to a
 * private address is not recognised: nothing is resolved here.
 */
export function isPrivateHost(hostname: string): boolean {
  const name = hostname.toLowerCase().replace(/\.$/, "");
  if (name.startsWith("[")) return isPrivateV6(name.slice(1, -1));
  if (/^\d+(\.\d+){3}$/.test(name)) return isPrivateV4(v4Number(name));
  // A name without a dot is resolved within the network that it is used in.
  return !name.includes(".") || PRIVATE_NAME.test(name);
}

function isPrivateV4(address: number): boolean {
  return PRIVATE_V4.some(([network, length]) => {
    const size = 2 ** (32 - length);
    return Math.floor(address / size) === Math.floor(v4Number(network) / size);
  });
}

function v4Number(text: string): number {
  return text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

function isPrivateV6(text: string): boolean {
  const groups = v6Groups(text);
  if (!groups) return true;
  const [a = 0, b = 0, c = 0] = groups;
  const embedded = embeddedV4(groups);
  if (embedded !== undefined) return isPrivateV4(embedded);
  // Global unicast is 2000::/3; of it, documentation (2001:db8::/32, 3fff::/20) and the rest of 2001::/23 are not public.
  if (a >> 13 !== 1) return true;
  return (
    (a === 0x2001 && (b < 0x200 || b === 0xdb8)) ||
    (a === 0x3fff && b < 0x1000) ||
    (a === 0 && c === 0)
  );
}

/** The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 (RFC 6052), or 6to4. */
function embeddedV4(groups: readonly number[]): number | undefined {
  const [a = 0, b = 0, c = 0, , , f = 0, g = 0, h = 0] = groups;
  const last = g * 65536 + h;
  if (groups.slice(0, 5).every((group) => group === 0) && (f === 0xffff || f === 0)) return last;
  if (a === 0x64 && b === 0xff9b)
    return groups.slice(2, 6).every((group) => group === 0) ? last : 0;
  if (a === 0x2002) return b * 65536 + c;
  return undefined;
}

/** The eight groups of an IPv6 address as the URL parser writes it: without dots, `::` at most once. */
function v6Groups(text: string): number[] | undefined {
  const [head = "", tail] = text.split("::");
  const read = (part: string) =>
    part === "" ? [] : part.split(":").map((group) => parseInt(group, 16));
  const before = read(head);
  const after = tail === undefined ? [] : read(tail);
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...Array.from({ length: Math.max(0, zeros) }, () => 0), ...after];
  return groups.length === 8 && groups.every((group) => group >= 0 && group <= 0xffff)
    ? groups
    : undefined;
}
