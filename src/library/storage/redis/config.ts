/**
 * The options for Redis, checked when a storage is made. Each mistake has a message of its own.
 * An option that the runtime cannot honour is refused, not weakened. No message quotes a password.
 */
import { LONGEST_TIMER_MS } from "../../model/time.ts";
import { LONGEST_TTL_MS, isDuration } from "../calls.ts";

export interface RedisTlsOptions {
  /** Certificates of the authorities to trust, as PEM, in place of the system's. Not in workerd. */
  readonly caCert?: string | Uint8Array | undefined;
  /** Accepts every certificate: anyone between the two can then read and change everything. Not in workerd. */
  readonly insecureSkipVerify?: boolean | undefined;
}

export interface RedisSentinelOptions {
  readonly masterName: string;
  /** `host:port` of each Sentinel. */
  readonly addrs: readonly string[];
  /** The Sentinels' own credentials, if they have some. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

/** A client of the package `ioredis`, its `Redis` or its `Cluster`. */
export interface IoredisClient {
  readonly status: string;
  call(command: string, ...args: string[]): unknown;
  callBuffer(command: string, ...args: string[]): unknown;
}

export interface RedisOptions {
  /**
   * `host:port` of a single server. One of `addr`, `url`, `sentinel`, `cluster` and `client` must
   * be given.
   */
  readonly addr?: string | undefined;
  /**
   * `redis://user:password@host:port/db` of a single server, or `rediss://` for TLS; all but the
   * host may be left out (6379, database 0). Special characters are percent-encoded. A part that the
   * URL holds cannot be an option too.
   */
  readonly url?: string | undefined;
  readonly sentinel?: RedisSentinelOptions | undefined;
  /** `host:port` of some nodes of a Cluster. */
  readonly cluster?: readonly string[] | { readonly addrs: readonly string[] } | undefined;
  /**
   * A client that exists already. It stays its owner's: closing the storage does not close it,
   * and none of its settings changes. It has its server, credentials, database and TLS, so they
   * cannot be options too. With its own default, `autoResendUnfulfilledCommands: true`, it may send
   * a write twice.
   */
  readonly client?: IoredisClient | undefined;
  /** An ACL user; needs `password`. */
  readonly username?: string | undefined;
  /** Without `username` it is the default user's. */
  readonly password?: string | undefined;
  /** Database number (0). A Cluster has only 0. */
  readonly db?: number | undefined;
  /** The start of every key, such as `thv:proxy:session:`. Must end in `:`. */
  readonly keyPrefix: string;
  /** Milliseconds that a session lives after its last use. */
  readonly ttlMs: number;
  /** Milliseconds to wait for a connection (5,000); each Sentinel or node on the way there gets a share. */
  readonly dialTimeoutMs?: number | undefined;
  /** Milliseconds to wait for an answer (3,000), after `writeTimeoutMs`. */
  readonly readTimeoutMs?: number | undefined;
  /** Milliseconds that sending may take (3,000). */
  readonly writeTimeoutMs?: number | undefined;
  /** Given, even empty: speak TLS, to the Sentinels too. */
  readonly tls?: RedisTlsOptions | undefined;
  /** Called with each problem of the connection in words, for a log. They hold no secret and no session. Not allowed with `client`. */
  readonly onConnectionProblem?: ((problem: string) => void) | undefined;
  /** Cancels connecting. */
  readonly signal?: AbortSignal | undefined;
}

/** ToolHive's environment variable for the password: `password: process.env[REDIS_PASSWORD_ENV_VAR]`. */
export const REDIS_PASSWORD_ENV_VAR = "THV_SESSION_REDIS_PASSWORD";

/** ToolHive's prefix of whole sessions. */
export const PROXY_SESSION_KEY_PREFIX = "thv:proxy:session:";
/** ToolHive's prefix of metadata maps. */
export const VMCP_SESSION_KEY_PREFIX = "thv:vmcp:session:";

/** The default of `dialTimeoutMs`, in milliseconds; ToolHive's `DefaultDialTimeout`. */
export const DEFAULT_DIAL_TIMEOUT_MS = 5000;
/** The default of `readTimeoutMs`, in milliseconds; ToolHive's `DefaultReadTimeout`. */
export const DEFAULT_READ_TIMEOUT_MS = 3000;
/** The default of `writeTimeoutMs`, in milliseconds; ToolHive's `DefaultWriteTimeout`. */
export const DEFAULT_WRITE_TIMEOUT_MS = 3000;

/** The port of a URL that names none. */
const DEFAULT_PORT = 6379;

/** Thrown if the options contradict each other, or this runtime cannot honour them. */
export class RedisConfigError extends Error {
  override readonly name = "RedisConfigError";
}

interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

type RedisTopology =
  | { readonly kind: "standalone"; readonly address: RedisAddress }
  | {
      readonly kind: "sentinel";
      readonly masterName: string;
      readonly addresses: readonly RedisAddress[];
      readonly username: string | undefined;
      readonly password: string | undefined;
    }
  | { readonly kind: "cluster"; readonly addresses: readonly RedisAddress[] }
  | { readonly kind: "client"; readonly client: IoredisClient };

export interface RedisSettings {
  readonly topology: RedisTopology;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
  readonly keyPrefix: string;
  readonly ttlMs: number;
  readonly dialTimeoutMs: number;
  readonly readTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly tls: { readonly ca: string | undefined; readonly verify: boolean } | undefined;
  readonly onConnectionProblem: (problem: string) => void;
}

type Runtime = "node" | "workerd";

/** Cloudflare documents this user agent as the name of its runtime. */
export function currentRuntime(): Runtime {
  const { navigator } = globalThis as { navigator?: { userAgent?: string } };
  return navigator?.userAgent === "Cloudflare-Workers" ? "workerd" : "node";
}

/** Checks the options. Throws a `RedisConfigError` for the first thing that is wrong. */
export function readRedisOptions(
  given: RedisOptions,
  runtime: Runtime = currentRuntime(),
): RedisSettings {
  check(typeof given === "object" && given !== null, "the options must be an object");
  const options = given.url === undefined ? given : withoutUrl(given, given.url);
  const topology = readTopology(options);
  const { username, password, db = 0, keyPrefix, ttlMs } = options;
  checkCredentials("", options);
  check(Number.isInteger(db) && db >= 0, "db must be a whole number of at least 0");
  check(topology.kind !== "cluster" || db === 0, "db must be 0 in a cluster, which has no other");
  check(typeof keyPrefix === "string" && keyPrefix !== "", "keyPrefix is required");
  check(
    keyPrefix.endsWith(":"),
    "keyPrefix must end with ':': else one prefix can begin another's keys",
  );
  checkDuration("ttlMs", ttlMs, LONGEST_TTL_MS);
  return {
    topology,
    username,
    password,
    db,
    keyPrefix,
    ttlMs,
    dialTimeoutMs: timeout("dialTimeoutMs", options.dialTimeoutMs, DEFAULT_DIAL_TIMEOUT_MS),
    readTimeoutMs: timeout("readTimeoutMs", options.readTimeoutMs, DEFAULT_READ_TIMEOUT_MS),
    writeTimeoutMs: timeout("writeTimeoutMs", options.writeTimeoutMs, DEFAULT_WRITE_TIMEOUT_MS),
    tls: readTls(options.tls, runtime),
    onConnectionProblem: options.onConnectionProblem ?? (() => {}),
  };
}

const SERVERS = ["addr", "url", "sentinel", "cluster", "client"] as const;

/** Refuses no server, and more than one. */
function checkServers(options: RedisOptions): void {
  const given = SERVERS.filter((name) => options[name]);
  check(given.length > 0, "one of addr, url, sentinel, cluster and client is required");
  check(given.length === 1, `${given.join(" and ")} exclude each other`);
}

const URL_FORM = "url must be redis://user:password@host:port/db, or rediss:// for TLS";

/** The options that say the same without a URL. No message quotes the URL, which can hold a password. */
function withoutUrl(options: RedisOptions, url: string): RedisOptions {
  checkServers(options);
  const { protocol, username, password, hostname, port, pathname, search, hash } = parseUrl(url);
  check(protocol === "redis:" || protocol === "rediss:", URL_FORM);
  const addr = `${hostname}:${port || DEFAULT_PORT}`;
  check(parseAddress(addr), URL_FORM);
  check(search + hash === "", "url must have no parameters; give them as options");
  const db = /^\/?(\d{0,9})$/.exec(pathname)?.[1];
  check(db !== undefined, "url must end in the number of its database, such as /0, or in none");
  const fromUrl = {
    ...(username && { username: decoded(username) }),
    ...(password && { password: decoded(password) }),
    ...(db && { db: Number(db) }),
  };
  for (const name of ["username", "password", "db"] as const)
    check(!(name in fromUrl && options[name] !== undefined), `url has a ${name} already`);
  check(protocol === "rediss:" || options.tls === undefined, "tls needs a url of rediss://");
  const { url: _url, tls = protocol === "rediss:" ? {} : undefined, ...others } = options;
  return { ...others, ...fromUrl, addr, tls };
}

function parseUrl(url: string): URL {
  try {
    return new URL(url);
  } catch {
    // The error of `new URL` holds the URL.
    throw new RedisConfigError(REFUSED + URL_FORM);
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RedisConfigError(
      `${REFUSED}url has a user or password with a % that encodes nothing`,
    );
  }
}

function readTopology(options: RedisOptions): RedisTopology {
  checkServers(options);
  const { addr, sentinel, cluster, client } = options;
  if (client) return { kind: "client", client: readClient(client, options) };
  if (sentinel) {
    const { masterName, addrs, username, password } = sentinel;
    check(masterName, "sentinel.masterName is required");
    checkCredentials("sentinel.", sentinel);
    const addresses = readAddresses("sentinel.addrs", addrs);
    return { kind: "sentinel", masterName, addresses, username, password };
  }
  if (cluster) {
    const addrs = "addrs" in cluster ? cluster.addrs : cluster;
    return { kind: "cluster", addresses: readAddresses("cluster", addrs) };
  }
  return { kind: "standalone", address: readAddress("addr", addr ?? "") };
}

/** Options that only the client's owner can choose. */
const OF_THE_CLIENT = ["username", "password", "db", "tls", "onConnectionProblem"] as const;

function readClient(client: IoredisClient, options: RedisOptions): IoredisClient {
  const { status, call, callBuffer } = client;
  check(
    typeof status === "string" && typeof call === "function" && typeof callBuffer === "function",
    "client must be a Redis or a Cluster of ioredis",
  );
  for (const name of OF_THE_CLIENT)
    check(options[name] === undefined, `${name} is for its owner to set on the client`);
  const inner: unknown = Reflect.get(client, "options");
  const own = {
    ...(inner as { keyPrefix?: string; redisOptions?: object; stringNumbers?: boolean }),
  };
  const { keyPrefix, stringNumbers } = { ...own.redisOptions, ...own };
  check(!keyPrefix, "the client must have no keyPrefix: SCAN does not know of it");
  check(!stringNumbers, "the client must not have stringNumbers: it changes the answers");
  return client;
}

function checkCredentials(
  of: "" | "sentinel.",
  { username, password }: Pick<RedisOptions, "username" | "password">,
): void {
  check(username !== "", `${of}username must not be empty; leave it out for the default user`);
  check(password !== "", `${of}password must not be empty; leave it out where there is none`);
  const known = username === undefined || password !== undefined;
  check(known, `${of}username needs a password: Redis has no users without one`);
}

function readAddresses(name: string, addrs: readonly string[]): RedisAddress[] {
  check(Array.isArray(addrs) && addrs.length > 0, `${name} needs at least one host:port`);
  return addrs.map((addr) => readAddress(name, addr));
}

const ADDRESS = /^(?:\[([0-9a-f:.]+)\]|([^\s:@/[\]]+)):(\d{1,5})$/i;

function readAddress(name: string, addr: string): RedisAddress {
  const address = parseAddress(addr);
  const form = "must be host:port, such as redis.example:6379; a URL is given as url";
  check(address, `${name} ${form}`);
  return address;
}

/** Reads `host:port`, or `[address]:port` for IPv6. */
function parseAddress(addr: string): RedisAddress | undefined {
  const [, address, name, digits] = ADDRESS.exec(addr) ?? [];
  const port = Number(digits);
  return port >= 1 && port <= 65535 ? { host: address ?? name ?? "", port } : undefined;
}

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----/;

function readTls(tls: RedisTlsOptions | undefined, runtime: Runtime): RedisSettings["tls"] {
  if (tls === undefined) return undefined;
  const trusting = "tls must be an object; {} trusts the system's certificates";
  check(typeof tls === "object" && tls !== null, trusting);
  const { caCert, insecureSkipVerify = false } = tls;
  const verify = !insecureSkipVerify;
  check(typeof insecureSkipVerify === "boolean", "tls.insecureSkipVerify must be true or false");
  check(
    caCert === undefined || verify,
    "tls.caCert and tls.insecureSkipVerify exclude each other: one checks what the other does not",
  );
  // Measured: workerd ignores `ca`, and rejects the whole connection for `rejectUnauthorized`.
  if (runtime === "workerd") {
    const why = "cannot be honoured in workerd, which";
    check(caCert === undefined, `tls.caCert ${why} trusts only public certificates`);
    check(verify, `tls.insecureSkipVerify ${why} always verifies`);
  }
  const ca = caCert instanceof Uint8Array ? new TextDecoder().decode(caCert) : caCert;
  check(ca === undefined || PEM.test(ca), "tls.caCert must be certificates in PEM");
  return { ca, verify };
}

function timeout(name: string, value: number | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  checkDuration(name, value, LONGEST_TIMER_MS);
  return value;
}

function checkDuration(name: string, ms: number, longest: number): void {
  const problem = `${name} must be a positive number of milliseconds, at most ${longest}`;
  check(isDuration(ms, longest), problem);
}

const REFUSED = "invalid Redis configuration: ";

function check(holds: unknown, problem: string): asserts holds {
  if (!holds) throw new RedisConfigError(REFUSED + problem);
}
