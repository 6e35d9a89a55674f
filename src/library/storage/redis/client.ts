/**
 * Makes the ioredis client for one configuration. Nothing is sent twice: a command
 * whose connection breaks fails at once, for a conditional write sent again would
 * report its own first try as somebody else's. Nothing waits in the client either,
 * but for a connection to one node of a Cluster.
 */
import { Cluster, Redis } from "ioredis";
import type { RedisSettings } from "./config.ts";

export type RedisClient = Redis | Cluster;

/** Attempts in a row before a client rests; the next call starts it again. */
const MAX_RECONNECTS = 30;
const FIRST_RECONNECT_MS = 25;
/** Short, so that calls that wait for a server that restarts go on soon after it. */
const LONGEST_RECONNECT_MS = 500;
/** At least so many attempts fall into the time that a call waits for a connection. */
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
        // It would ask INFO, which an ACL user may not; a server that loads says so by itself.
        enableReadyCheck: false,
      });
    case "sentinel":
      return new Redis({
        ...connectionOptions(settings),
        ...single,
        connectTimeout: shareOfDialMs(settings, topology),
        name: topology.masterName,
        sentinels: topology.addresses.map((address) => ({ ...address })),
        ...(topology.username === undefined ? {} : { sentinelUsername: topology.username }),
        ...(topology.password === undefined ? {} : { sentinelPassword: topology.password }),
        ...sentinelTls(settings),
        sentinelCommandTimeout: Math.min(settings.readTimeoutMs, shareOfDialMs(settings, topology)),
        sentinelRetryStrategy: (round: number) => (round < SENTINEL_ROUNDS ? round * 100 : null),
        // INFO tells a master from one that was demoted and that a Sentinel still names.
        enableReadyCheck: true,
      });
    case "cluster":
      return new Cluster([...topology.addresses], {
        lazyConnect: true,
        // It would ask any node, also one that is away; a Cluster that is down says so by itself.
        enableReadyCheck: false,
        // Without it a command fails that comes while the connection to its node is being made.
        enableOfflineQueue: true,
        clusterRetryStrategy: reconnectDelays(dialTimeoutMs),
        slotsRefreshTimeout: shareOfDialMs(settings, topology),
        slotsRefreshInterval: 5000,
        // Sending a write again after its node went away is the one thing not to do; see above.
        retryDelayOnFailover: 0,
        // Names are resolved when connecting, by the socket, so that TLS still sees them.
        dnsLookup: (host, done) => done(null, host),
        redisOptions: connectionOptions(settings),
      });
  }
}

/**
 * Milliseconds for each Sentinel or node that is asked for the way, so that one that
 * is silent leaves time for the next. Where most of them live, which they need to
 * work at all, there is a share for each of the others, for one that answers and for
 * the server that it names.
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
    // Ends a connection that owes an answer, so that a half-open one does not fail every call after it.
    socketTimeout: answerMs,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
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
    ...(host === undefined || isIpAddress(host) ? {} : { servername: host }),
  };
}

function sentinelTls(settings: RedisSettings) {
  if (!settings.tls) return {};
  return { enableTLSForSentinelMode: true, sentinelTLS: tlsOptions(settings.tls) };
}

/** TLS names a server by host name only. */
function isIpAddress(host: string): boolean {
  return host.includes(":") || /^\d+(\.\d+){3}$/.test(host);
}

/**
 * Milliseconds before each next attempt, or null to rest. Doubling and bounded, with
 * a spread that keeps a fleet from coming back all at once.
 */
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
