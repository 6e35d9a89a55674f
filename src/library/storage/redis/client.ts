/**
 * Makes the ioredis client for one configuration. It sends no command twice: a conditional write
 * that it repeats after a broken connection would meet its own first try. No command waits in it
 * either, but for a connection to one node of a Cluster.
 */
import { Cluster, Redis, SentinelConnector, type AbstractConnector } from "ioredis";
import type { RedisSettings } from "./config.ts";

export type RedisClient = Redis | Cluster;

/** Attempts in a row before a client rests; the next call starts it again. */
const MAX_RECONNECTS = 30;
const FIRST_RECONNECT_MS = 25;
/** Short, so that calls that wait for a server that restarts go on soon after it. */
const LONGEST_RECONNECT_MS = 500;
/** A call waits for a connection for at least so many attempts. */
const RECONNECTS_PER_DIAL_TIMEOUT = 4;
/** Milliseconds that a polite end of a connection may take. */
const DISCONNECT_TIMEOUT_MS = 200;
/** Rounds through all Sentinels before they count as unreachable. */
const SENTINEL_ROUNDS = 3;

export function createRedisClient(settings: RedisSettings): RedisClient {
  const { topology, dialTimeoutMs, db } = settings;
  const single = {
    db,
    lazyConnect: true,
    enableOfflineQueue: false,
    retryStrategy: reconnectDelays(dialTimeoutMs),
    reconnectOnError: isStaleMaster,
  };
  switch (topology.kind) {
    case "standalone":
      return new Redis({
        ...connectionOptions(settings, topology.address.host),
        ...topology.address,
        ...single,
        // The check asks INFO, which an ACL user may not; a server that loads answers with LOADING anyway.
        enableReadyCheck: false,
      });
    case "sentinel":
      return new Redis({
        ...connectionOptions(settings),
        ...single,
        connectTimeout: shareOfDialMs(settings, topology),
        name: topology.masterName,
        sentinels: topology.addresses.map((address) => ({ ...address })),
        Connector: NamingConnector,
        ...(topology.username === undefined ? {} : { sentinelUsername: topology.username }),
        ...(topology.password === undefined ? {} : { sentinelPassword: topology.password }),
        ...sentinelTls(settings),
        sentinelCommandTimeout: Math.min(settings.readTimeoutMs, shareOfDialMs(settings, topology)),
        sentinelRetryStrategy: (round: number) => (round < SENTINEL_ROUNDS ? round * 100 : null),
        // INFO tells a master from a demoted one that a Sentinel still names.
        enableReadyCheck: true,
      });
    case "cluster":
      return new Cluster(topology.addresses.map(namedNode(settings)), {
        lazyConnect: true,
        // Each node that the Cluster names comes by here.
        natMap: (key) => namedNode(settings)(addressOf(key)),
        // The check asks any node, also one that is away; a Cluster that is down answers CLUSTERDOWN anyway.
        enableReadyCheck: false,
        // Without it a command fails while the client connects to its node.
        enableOfflineQueue: true,
        clusterRetryStrategy: reconnectDelays(dialTimeoutMs),
        slotsRefreshTimeout: shareOfDialMs(settings, topology),
        slotsRefreshInterval: 5000,
        // Nothing may send a write again after its node went away; see above.
        retryDelayOnFailover: 0,
        // The socket resolves names when it connects, so that TLS still sees them.
        dnsLookup: (host, done) => done(null, host),
        redisOptions: connectionOptions(settings),
      });
    case "client":
      // Checked to be one; its type leaves out what a user's program need not have types for.
      return topology.client as RedisClient;
  }
}

/**
 * Milliseconds for each Sentinel or node that the client asks for the way, so that a silent one
 * leaves time for the next. Most of them must live to work at all: that leaves a share for each
 * dead one, for one that answers and for the server that it names.
 */
function shareOfDialMs(
  { dialTimeoutMs }: RedisSettings,
  { addresses }: { readonly addresses: readonly unknown[] },
): number {
  return dialTimeoutMs / (Math.ceil(addresses.length / 2) + 1);
}

function connectionOptions(settings: RedisSettings, host?: string) {
  const answerMs = settings.writeTimeoutMs + settings.readTimeoutMs;
  return {
    connectTimeout: settings.dialTimeoutMs,
    commandTimeout: answerMs,
    // Ends a connection that owes an answer: a half-open one would fail every call after it.
    socketTimeout: answerMs,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    // RESP2 has all that is used here, and needs no HELLO: some proxies close the connection for it.
    protocol: 2 as const,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    disableClientInfo: true,
    ...(settings.username === undefined ? {} : { username: settings.username }),
    ...(settings.password === undefined ? {} : { password: settings.password }),
    ...(settings.tls ? { tls: tlsOptions(settings.tls, host) } : {}),
  };
}

/** Only what differs from the defaults: workerd refuses options that it does not know. */
function tlsOptions({ ca, verify }: NonNullable<RedisSettings["tls"]>, host?: string) {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(verify ? {} : { rejectUnauthorized: false }),
    ...(host === undefined ? {} : nameOf(host)),
  };
}

/** For SNI. Node sends no name by itself, and TLS names a server by host name only. */
function nameOf(host: string): { servername?: string } {
  return isIpAddress(host) ? {} : { servername: host };
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** A node of a Cluster, with what makes the client name it in TLS. */
function namedNode({ tls }: RedisSettings) {
  return ({ host, port }: Address) => ({ host, port, ...(tls && { tls: tlsOptions(tls, host) }) });
}

/** Reads `host:port`, where the host may be an IPv6 address without brackets. */
function addressOf(key: string): Address {
  const colon = key.lastIndexOf(":");
  return { host: key.slice(0, colon), port: Number(key.slice(colon + 1)) };
}

/** The steps of the client's connector that know which server comes next; its types hide them. */
interface Steps {
  connectToSentinel(sentinel: Partial<Address>, options?: object): Redis;
  resolve(sentinel: Partial<Address>): Promise<Address | null>;
}

const Connector = SentinelConnector as unknown as new (
  options: ConstructorParameters<typeof SentinelConnector>[0],
) => AbstractConnector & Pick<SentinelConnector, "connect"> & Steps;

/** Names in TLS each Sentinel, and the master that they name; the client itself does neither. */
class NamingConnector extends Connector {
  readonly #tls: object | undefined;

  constructor(options: unknown) {
    // The client passes on the options that `createRedisClient` gave it.
    const given = options as ConstructorParameters<typeof SentinelConnector>[0];
    super(given);
    this.#tls = given.sentinelTLS;
  }

  override connectToSentinel(sentinel: Partial<Address>, options?: object): Redis {
    const tls = this.#tls && { ...this.#tls, ...nameOf(sentinel.host ?? "") };
    return super.connectToSentinel(sentinel, { ...options, ...(tls && { tls }) });
  }

  override async resolve(sentinel: Partial<Address>): Promise<Address | null> {
    const master = await super.resolve(sentinel);
    return master && { ...master, ...nameOf(master.host) };
  }
}

function sentinelTls(settings: RedisSettings) {
  if (!settings.tls) return {};
  return { enableTLSForSentinelMode: true, sentinelTLS: tlsOptions(settings.tls) };
}

/** TLS names a server by host name only. */
function isIpAddress(host: string): boolean {
  return host.includes(":") || /^\d+(\.\d+){3}$/.test(host);
}

/** Milliseconds before each attempt, or null to rest: doubled, bounded, and spread so that a fleet does not return at once. */
export function reconnectDelays(dialTimeoutMs: number): (attempt: number) => number | null {
  const longest = Math.min(LONGEST_RECONNECT_MS, dialTimeoutMs / RECONNECTS_PER_DIAL_TIMEOUT);
  return (attempt) => {
    if (attempt > MAX_RECONNECTS) return null;
    const delay = Math.min(FIRST_RECONNECT_MS * 2 ** (attempt - 1), longest);
    return delay / 2 + Math.random() * (delay / 2);
  };
}

/** A master that was demoted keeps its connections: the next one must be looked up anew. */
function isStaleMaster(error: Error): boolean {
  return error.message.startsWith("READONLY");
}
