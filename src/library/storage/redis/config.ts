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

export interface RedisOptions {
  /** `host:port` of a single server. One of `addr`, `sentinel` and `cluster` must be given. */
  readonly addr?: string | undefined;
  readonly sentinel?: RedisSentinelOptions | undefined;
  /** `host:port` of some nodes of a Cluster. */
  readonly cluster?: readonly string[] | { readonly addrs: readonly string[] } | undefined;
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
  /** Called with each problem of the connection in words, for a log. They hold no secret and no session. */
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

/** Default timeouts in milliseconds: to connect, and to write or to read. They are go-redis's. */
const DIAL_TIMEOUT_MS = 5000;
const ANSWER_TIMEOUT_MS = 3000;

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
  | { readonly kind: "cluster"; readonly addresses: readonly RedisAddress[] };

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
  options: RedisOptions,
  runtime: Runtime = currentRuntime(),
): RedisSettings {
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
    dialTimeoutMs: timeout("dialTimeoutMs", options.dialTimeoutMs, DIAL_TIMEOUT_MS),
    readTimeoutMs: timeout("readTimeoutMs", options.readTimeoutMs, ANSWER_TIMEOUT_MS),
    writeTimeoutMs: timeout("writeTimeoutMs", options.writeTimeoutMs, ANSWER_TIMEOUT_MS),
    tls: readTls(options.tls, runtime),
    onConnectionProblem: options.onConnectionProblem ?? (() => {}),
  };
}

function readTopology({ addr, sentinel, cluster }: RedisOptions): RedisTopology {
  const given = [addr && "addr", sentinel && "sentinel", cluster && "cluster"].filter(Boolean);
  check(given.length > 0, "one of addr, sentinel and cluster is required");
  check(given.length === 1, `${given.join(" and ")} exclude each other`);
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

/** `host:port`, or `[address]:port` for IPv6. No URL: it could hold a password, and name a scheme. */
function readAddress(name: string, addr: string): RedisAddress {
  const match = ADDRESS.exec(addr);
  const port = Number(match?.[3]);
  check(
    match && port >= 1 && port <= 65535,
    `${name} must be host:port, such as redis.example:6379`,
  );
  return { host: match[1] ?? match[2] ?? "", port };
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

function check(holds: unknown, problem: string): asserts holds {
  if (!holds) throw new RedisConfigError(`invalid Redis configuration: ${problem}`);
}
