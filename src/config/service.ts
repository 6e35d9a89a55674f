/**
 * Reads the environment once, into a validated and frozen Config. A bad variable stops the
 * service, with its name and what was expected: a misspelt number never becomes a default.
 */
import { locationOf, type Location } from "./location.ts";
import { parseUpstreams, type UpstreamsSettings } from "./upstreams.ts";
import { MAX_DIRECTORY_SHARDS, MAX_OWNED_TASKS, MAX_TTL_MS, MIN_TTL_MS } from "../core/limits.ts";
import type { LogLevel } from "../logger.ts";
import { integer, oneOf, seconds, text, type Environment } from "./env.ts";

export interface Config {
  /** `SESSION_TTL_SECONDS` (7200): how long a session lives after its last use. */
  readonly sessionTtlMs: number;
  /** `SESSION_MAX_LIFETIME_SECONDS` (0, none): how long a session lives at most. */
  readonly sessionMaxLifetimeMs: number;
  /** `KEEPALIVE_SECONDS` (15): how often an idle stream gets a comment. */
  readonly keepaliveMs: number;
  /** `QUEUE_CAPACITY` (as many as `LOG_MAX_EVENTS`): events that may be unread while no reader is attached. */
  readonly queueCapacity: number;
  /** `LOG_MAX_EVENTS` (10000): events that a session retains for replay. */
  readonly logMaxEvents: number;
  /** `LOG_MAX_BYTES` (4194304): bytes of events that a session retains for replay. */
  readonly logMaxBytes: number;
  /** `EVENT_MAX_BYTES` (1048576): size of one event's name and data. */
  readonly eventMaxBytes: number;
  /** `STREAM_BUFFER_BYTES` (1048576): bytes that the bridge queues for a slow reader before it cuts it off. */
  readonly streamBufferBytes: number;
  /** `BODY_MAX_BYTES` (4194304): size of a request body, and of one message of an upstream. */
  readonly bodyMaxBytes: number;
  /** `MAX_WRITERS` (32): streams that may be open on one session at once. */
  readonly maxWriters: number;
  /** `UPSTREAMS` (the demo server): the MCP servers behind the gateway. */
  readonly upstreams: UpstreamsSettings;
  /** `DIRECTORY_SHARDS` (8): shards of the directory; 0 keeps none, and nothing can be listed. */
  readonly directoryShards: number;
  /** `MAX_SESSIONS_PER_SUBJECT` (0, no limit): sessions that one subject may have at a time. */
  readonly maxSessionsPerSubject: number;
  /** `MAX_TASKS_PER_OWNER` (1000): tasks that one owner may have at a time; 0: no limit. */
  readonly maxTasksPerOwner: number;
  /** `LOG_LEVEL` (info). */
  readonly logLevel: LogLevel;
  /** `JURISDICTION` (none) and `LOCATION_HINT` (none). */
  readonly location: Location;
  /** `LOG_REQUESTS` (false): one line for each request. */
  readonly logRequests: boolean;
}

/** The variables that the service reads; the commands pass these on. */
export const CONFIG_VARIABLES = [
  "SESSION_TTL_SECONDS",
  "SESSION_MAX_LIFETIME_SECONDS",
  "KEEPALIVE_SECONDS",
  "QUEUE_CAPACITY",
  "LOG_MAX_EVENTS",
  "LOG_MAX_BYTES",
  "EVENT_MAX_BYTES",
  "STREAM_BUFFER_BYTES",
  "BODY_MAX_BYTES",
  "MAX_WRITERS",
  "UPSTREAMS",
  "DIRECTORY_SHARDS",
  "MAX_SESSIONS_PER_SUBJECT",
  "MAX_TASKS_PER_OWNER",
  "LOG_LEVEL",
  "JURISDICTION",
  "LOCATION_HINT",
  "LOG_REQUESTS",
] as const;

type ConfigEnvironment = Environment<(typeof CONFIG_VARIABLES)[number]>;

const MIB = 1024 * 1024;
/** One event is one stored row of at most 2 MiB, with its frame beside it. */
const LARGEST_EVENT = 1.5 * MIB;
/** A message is one WebSocket message, of at most 32 MiB, and an object of 128 MiB holds it several times. */
const LARGEST_BODY = 16 * MIB;
/** A timer in JavaScript holds at most 2^31-1 ms. */
const LONGEST_KEEPALIVE_SECONDS = 3600;

/** Reads the configuration. Throws a ConfigError that names the first bad variable. */
export function loadConfig(variables: Environment): Config {
  const env: ConfigEnvironment = variables;
  const logMaxEvents = integer(env, "LOG_MAX_EVENTS", 10_000, 1, 1_000_000);
  return Object.freeze({
    sessionTtlMs: seconds(env, "SESSION_TTL_SECONDS", 7200, MIN_TTL_MS / 1000, MAX_TTL_MS / 1000),
    // 0 means no limit, and the shortest limit is longer.
    sessionMaxLifetimeMs:
      Number(text(env, "SESSION_MAX_LIFETIME_SECONDS")) === 0
        ? 0
        : seconds(env, "SESSION_MAX_LIFETIME_SECONDS", 0, MIN_TTL_MS / 1000, MAX_TTL_MS / 1000),
    keepaliveMs: seconds(env, "KEEPALIVE_SECONDS", 15, 0.05, LONGEST_KEEPALIVE_SECONDS),
    queueCapacity: integer(env, "QUEUE_CAPACITY", logMaxEvents, 1, 100_000),
    logMaxEvents,
    logMaxBytes: integer(env, "LOG_MAX_BYTES", 4 * MIB, 1, 1024 * MIB),
    eventMaxBytes: integer(env, "EVENT_MAX_BYTES", MIB, 1, LARGEST_EVENT),
    streamBufferBytes: integer(env, "STREAM_BUFFER_BYTES", MIB, 1024, 64 * MIB),
    bodyMaxBytes: integer(env, "BODY_MAX_BYTES", 4 * MIB, 1, LARGEST_BODY),
    maxWriters: integer(env, "MAX_WRITERS", 32, 1, 10_000),
    upstreams: parseUpstreams(text(env, "UPSTREAMS")),
    directoryShards: integer(env, "DIRECTORY_SHARDS", 8, 0, MAX_DIRECTORY_SHARDS),
    maxSessionsPerSubject: integer(env, "MAX_SESSIONS_PER_SUBJECT", 0, 0, 1_000_000),
    maxTasksPerOwner: integer(env, "MAX_TASKS_PER_OWNER", MAX_OWNED_TASKS, 0, 1_000_000),
    logLevel: oneOf(env, "LOG_LEVEL", ["debug", "info", "warn", "error"], "info"),
    location: locationOf(env),
    logRequests: oneOf(env, "LOG_REQUESTS", ["true", "false"], "false") === "true",
  });
}
