/**
 * The options of `createHoldfast`. Most of them are a variable of the environment in camelCase. They
 * become an environment again, so the same readers check both, with the same messages.
 */
import type { Scope } from "../auth/identity.ts";
import { AUTH_VARIABLES, type CodeSettings } from "../auth/settings.ts";
import { ConfigError, type Environment } from "../config/env.ts";
import type { Jurisdiction, LocationHint } from "../config/location.ts";
import { CONFIG_VARIABLES } from "../config/service.ts";
import type { ConnectableServer, ServerSession } from "../gateway/own/contract.ts";
import type { OwnServer } from "../gateway/upstream/upstream.ts";
import type { LogLevel } from "../logger.ts";
import { isObject } from "../wire/json.ts";

/** The caller that `authenticate` has identified, and its scopes. */
export interface Authenticated {
  /** The owner of the sessions that it makes; at most 1,024 characters. */
  readonly subject: string;
  readonly scopes: readonly Scope[];
}

/** How long calls of an upstream become tasks. docs/mcp.md has the details. */
export interface TaskOptions {
  /** Whole milliseconds from 0 to 600000 (2000) after which a call that has not answered becomes a task. */
  readonly afterMs?: number;
  /** Seconds from 1 to 604800 (3600) that a task lives from then on. */
  readonly ttlSeconds?: number;
  /** Whole milliseconds from 1 to 3600000 (1000) between two questions of a client. */
  readonly pollIntervalMs?: number;
  /** Tools that only a client may call that knows of tasks (none). */
  readonly required?: readonly string[];
}

/** An MCP server behind the gateway: `url` or `replicas`, or the name of a service binding. docs/mcp.md has the details. */
export interface UpstreamServer {
  readonly url?: string;
  /** More URLs of the same server, tried in this order. */
  readonly replicas?: readonly string[];
  /** The name of a service binding. */
  readonly binding?: string;
  /** Sent with every request; a value `$NAME` is the secret of that name. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Seconds from 0.05 to 86400 (60) until an answer must have begun. */
  readonly timeoutSeconds?: number;
  /** Seconds from 0.05 to 86400 (600) for which a stream may bring no message. */
  readonly silenceSeconds?: number;
  /** Seconds from 0.05 to 86400 (3600) that a call may take in all. */
  readonly callSeconds?: number;
  /** `streamable`, or `sse` for a server of 2024-11-05. */
  readonly transport?: "streamable" | "sse";
  readonly era?: "auto" | "legacy" | "modern";
  /** Send the client's credential on: that of its Authorization header, or of the header of this name. */
  readonly forwardAuthorization?: boolean | string;
  /** `false`: no call becomes a task. */
  readonly tasks?: TaskOptions | false;
}

/** An MCP server of your own, which runs in the objects of its sessions. docs/mcp.md has the details. */
export interface OwnUpstream<Env = never> {
  /**
   * Makes the server of a session: an `McpServer` of `@modelcontextprotocol/server`. It is called once for
   * each life of the session's object.
   */
  readonly server: (
    session: ServerSession,
    env: Env,
  ) => ConnectableServer | Promise<ConnectableServer>;
  /** Seconds from 0.05 to 86400 (3600) that a call may take in all. */
  readonly callSeconds?: number;
  /** `false`: no call becomes a task. */
  readonly tasks?: TaskOptions | false;
}

/** An upstream of the gateway, by kind. */
export type UpstreamOption<Env = never> = UpstreamServer | OwnUpstream<Env>;

/** The options that are variables of the environment: docs/options.md has their ranges and defaults. */
export interface VariableOptions<Env = never> {
  /** Seconds that a session lives after its last use: 0.1 to 31536000 (7200). */
  readonly sessionTtlSeconds?: number | undefined;
  /** Longest life of a session in seconds, however it is used (0: no limit). */
  readonly sessionMaxLifetimeSeconds?: number | undefined;
  /** Seconds between two comments on an idle stream: 0.05 to 3600 (15). */
  readonly keepaliveSeconds?: number | undefined;
  /** Events that may be unread while no reader is attached: 1 to 100000 (as many as the log retains). */
  readonly queueCapacity?: number | undefined;
  /** Events that a session retains for replay: 1 to 1000000 (10000). */
  readonly logMaxEvents?: number | undefined;
  /** Bytes of events that a session retains for replay: 1 to 1073741824 (4194304). */
  readonly logMaxBytes?: number | undefined;
  /** Bytes of one event's name and data: 1 to 1572864 (1048576). */
  readonly eventMaxBytes?: number | undefined;
  /** Bytes that may wait for a slow reader before it is cut: 1024 to 67108864 (1048576). */
  readonly streamBufferBytes?: number | undefined;
  /** Bytes of a request body, and of one message of an upstream: 1 to 16777216 (4194304). */
  readonly bodyMaxBytes?: number | undefined;
  /** Open streams of one session: 1 to 10000 (32). */
  readonly maxWriters?: number | undefined;
  /** The MCP servers behind the gateway, by name; `default` is served at `/mcp`, the others at `/mcp/NAME`. */
  readonly upstreams?: Readonly<Record<string, UpstreamOption<Env>>> | undefined;
  /** Shards of the directory: 0 to 256 (8). 0: nothing can be listed, and DIRECTORY need not be bound. */
  readonly directoryShards?: number | undefined;
  /** Sessions that one subject may have at a time: 0 to 1000000 (0: no limit). */
  readonly maxSessionsPerSubject?: number | undefined;
  /** Tasks that one owner may have at a time: 0 to 1000000 (1000); 0: no limit. */
  readonly maxTasksPerOwner?: number | undefined;
  readonly logLevel?: LogLevel | undefined;
  /** Where the objects must run and store (anywhere). Set it before there are sessions: it has objects of its own. */
  readonly jurisdiction?: Jurisdiction | undefined;
  /** Where the objects should be made (near the first caller). */
  readonly locationHint?: LocationHint | undefined;
  /** One log line for each request (false). */
  readonly logRequests?: boolean | undefined;
  /** How a caller proves who it is; `authenticate` takes its place. */
  readonly auth?: "token" | "jwt" | "none" | undefined;
  /** For `auth: "token"`: the tokens by their SHA-256, in hex. */
  readonly apiTokens?:
    | readonly {
        readonly sha256: string;
        readonly subject: string;
        readonly scopes: readonly Scope[];
      }[]
    | undefined;
  /** For `auth: "jwt"`. */
  readonly jwtIssuer?: string | undefined;
  /** For `auth: "jwt"`. */
  readonly jwtAudience?: string | undefined;
  /** For `auth: "jwt"`: https, or http to this machine. */
  readonly jwksUrl?: string | undefined;
  /** Signs tickets: at least 32 characters. Put a secret into the environment if you can; this option is for one that comes from elsewhere. */
  readonly ticketSecret?: string | readonly string[] | undefined;
  /** Seconds that a ticket is valid: 1 to 3600 (60). */
  readonly ticketTtlSeconds?: number | undefined;
  /** The origin under which clients reach the Worker (the request's). */
  readonly publicUrl?: string | undefined;
  /** Origins whose pages may call (none but the Worker's own). */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Hosts to serve (every host). */
  readonly allowedHosts?: readonly string[] | undefined;
  /** Requests a minute: 0 to 10000000 (30000; 0: no limit). */
  readonly rateLimitPerSubject?: number | undefined;
  /** Requests a minute: 0 to 10000000 (60000; 0: no limit). */
  readonly rateLimitPerAddress?: number | undefined;
}

export interface HoldfastOptions<Env = unknown> extends VariableOptions<Env> {
  /**
   * Identifies the sender of a request, in place of `auth`: by a cookie, or a token of your own. Return
   * null for a sender that you do not know, who gets 401. It must leave the request's body unread. If it throws, the caller
   * gets 503.
   */
  readonly authenticate?:
    | ((
        request: Request,
        env: Env,
      ) => Authenticated | null | undefined | Promise<Authenticated | null | undefined>)
    | undefined;
  /** Where the routes begin, such as `/live`: `/live/v1/sessions`, `/live/mcp`. Default: at the root. */
  readonly basePath?: string | undefined;
  /** `credentials`: pages of `allowedOrigins` may send the visitor's cookies (false). */
  readonly cors?: { readonly credentials?: boolean | undefined } | undefined;
}

/** Options that no variable has. */
const CODE_OPTIONS = ["authenticate", "basePath", "cors"];

/** `SESSION_TTL_SECONDS` is `sessionTtlSeconds`. */
type OptionOf<Variable extends string> = Variable extends `${infer First}_${infer Rest}`
  ? `${Lowercase<First>}${Capitalize<OptionOf<Rest>>}`
  : Lowercase<Variable>;

type Variable = (typeof CONFIG_VARIABLES | typeof AUTH_VARIABLES)[number];

/** The variables by option. It does not compile while a variable has no option, or an option no variable. */
const VARIABLES: ReadonlyMap<string, Variable> = new Map(
  [...CONFIG_VARIABLES, ...AUTH_VARIABLES].map((variable) => [optionOf(variable), variable]),
);

function optionOf<V extends Variable>(variable: V): OptionOf<V> & keyof VariableOptions {
  const camel = variable
    .toLowerCase()
    .replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  return camel as OptionOf<V> & keyof VariableOptions;
}

/** A segment that is only dots is none: a URL has no such path. */
const BASE_PATH = /^(\/(?!\.{1,2}(\/|$))[\w.~-]+)+$/;

/** Checks the options that no variable has. Throws a ConfigError that names the first bad one. */
export function codeSettingsOf(options: HoldfastOptions<never>): CodeSettings {
  const { authenticate, basePath, cors } = options;
  const known = [...VARIABLES.keys(), ...CODE_OPTIONS];
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new ConfigError(`${unknown} is no option of createHoldfast: it has ${known.join(", ")}`);
  }
  if (authenticate !== undefined && typeof authenticate !== "function") {
    throw new ConfigError("authenticate must be a function of a request and env");
  }
  if (basePath !== undefined && !(typeof basePath === "string" && BASE_PATH.test(basePath))) {
    throw new ConfigError(`basePath must be a path such as /live, not ${JSON.stringify(basePath)}`);
  }
  const { credentials = false, ...others } = isObject(cors) ? cors : {};
  const isCors = (cors === undefined || isObject(cors)) && typeof credentials === "boolean";
  if (!isCors || Object.keys(others).length > 0) {
    throw new ConfigError(
      "cors must be an object with credentials, true or false, and nothing else",
    );
  }
  return {
    ownAuthentication: authenticate !== undefined,
    ...(basePath !== undefined && { basePath }),
    credentials,
  };
}

/** The environment with the options in it, which win. Throws a ConfigError for a value that is no JSON. */
export function environmentWith(env: Environment, options: VariableOptions): Environment {
  if (!isObject(options)) throw new ConfigError("createHoldfast takes an object of options");
  const given = Object.entries(options).flatMap(([name, value]) => {
    const variable = VARIABLES.get(name);
    if (variable === undefined || value === undefined) return [];
    return [[variable, textOf(name, name === "upstreams" ? withoutServers(value) : value)]];
  });
  return given.length === 0 ? env : { ...env, ...Object.fromEntries(given) };
}

/** The servers of one's own among the upstreams, for an object that has this `env`. */
export function serversIn<Env>(
  { upstreams = {} }: VariableOptions<Env>,
  env: Env,
): ReadonlyMap<string, OwnServer> {
  const servers = Object.entries(upstreams).flatMap(([name, one]): [string, OwnServer][] =>
    // The readers of the settings refuse a value that is no upstream at all.
    typeof one === "object" && one !== null && "server" in one
      ? [[name, { make: (session) => one.server(session, env) }]]
      : [],
  );
  return new Map(servers);
}

/** The upstreams as JSON can hold them. Of a server in code the JSON holds only that there is one. */
function withoutServers(upstreams: unknown): unknown {
  if (!isObject(upstreams)) return upstreams;
  return Object.fromEntries(
    Object.entries(upstreams).map(([name, one]) => {
      if (!isObject(one) || !("server" in one)) return [name, one];
      return [name, { ...one, server: typeof one["server"] === "function" }];
    }),
  );
}

/** As a variable has it: text as it is, and everything else as JSON. */
function textOf(option: string, value: unknown): string {
  if (typeof value === "string") return value;
  return JSON.stringify(value, (key, part: unknown) => {
    // JSON would leave these out, or write null, and the option would mean something else.
    const isJson = part === null || ["object", "string", "number", "boolean"].includes(typeof part);
    if (isJson && !(typeof part === "number" && !Number.isFinite(part))) return part;
    const place = key === "" ? option : `${option}: ${key}`;
    const found = typeof part === "number" ? String(part) : `a ${typeof part}`;
    throw new ConfigError(`${place} must be JSON, not ${found}`);
  });
}

/** Does `load`, and has its ConfigError name the option that was given in place of a variable. */
export function namingOptions<T>(options: VariableOptions, load: () => T): T {
  try {
    return load();
  } catch (failure) {
    if (!(failure instanceof ConfigError)) throw failure;
    const [variable] = /^[A-Z_]+/.exec(failure.message) ?? [];
    if (variable === undefined) throw failure;
    const option = Object.keys(options).find((name) => VARIABLES.get(name) === variable);
    if (option === undefined) throw failure;
    throw new ConfigError(option + failure.message.slice(variable.length), { cause: failure });
  }
}
