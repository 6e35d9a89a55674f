/** The service as a part of any Worker: `createHoldfast`. */
import * as platform from "cloudflare:workers";
import { waitUntil, type DurableObject } from "cloudflare:workers";
import { createApp } from "../app.ts";
import { createAccess } from "../auth/access.ts";
import { identityOf, type Identity } from "../auth/identity.ts";
import { clientAddress, isFromThisMachine, namesNobodyElse } from "../auth/peer.ts";
import { loadAuthSettings } from "../auth/settings.ts";
import { ConfigError, type Environment } from "../config/env.ts";
import { located } from "../config/location.ts";
import { loadConfig } from "../config/service.ts";
import type { Caller } from "../core/caller.ts";
import { requireSessionId } from "../core/id.ts";
import { MAX_SUBJECT_LENGTH } from "../core/limits.ts";
import { directoryOf } from "../directory/client.ts";
import { DirectoryObject } from "../directory/directory-object.ts";
import { openUpstreams, outboundOf, ownServers, statelessSends } from "../gateway/upstream/open.ts";
import { overBridge } from "../gateway/tasks/over-bridge.ts";
import type { OverBridge, OwnServer, OwnServers, WakeTask } from "../gateway/upstream/upstream.ts";
import { drainRefusedBody } from "../http/drain-refused-body.ts";
import { createLogger, describeFailure, type Logger } from "../logger.ts";
import { DurableObjectHost } from "../session/object-host.ts";
import { SessionObject } from "../session/session-object.ts";
import { countInto } from "../signals/metric.ts";
import { traceWith } from "../signals/traces.ts";
import { isObject } from "../wire/json.ts";
import { bindingsOf, requireSqlite, type Bindings } from "./bindings.ts";
import type { OwnMachine } from "./machine.ts";
import {
  codeSettingsOf,
  environmentWith,
  namingOptions,
  serversIn,
  type HoldfastOptions,
} from "./options.ts";
import { serverPublish, sessionsOf, type HoldfastSessions } from "./sessions.ts";

/** A Worker's `ctx`. The service needs none of it today. */
interface WorkerContext {
  waitUntil(promise: Promise<unknown>): void;
}

/**
 * A class of objects for a Worker to export. It takes the Worker's own `env`: `wrangler types` asks
 * that each exported class takes any one.
 */
type ObjectClass<Env> = new (ctx: DurableObjectState, env: Env) => DurableObject;

export interface SessionsOptions {
  /** The caller: it finds only sessions of this subject, and owns those that it makes. 1 to 1,024 characters. */
  readonly subject: string;
}

export interface Holdfast<Env> {
  /**
   * Serves a request: every route of the service, under `basePath`. Throws a ConfigError for an option or
   * a variable that it cannot use, and for a binding that is missing.
   */
  readonly fetch: (request: Request, env: Env, ctx?: WorkerContext) => Promise<Response>;
  /** Export it, and bind it as SESSIONS. */
  readonly SessionObject: ObjectClass<Env>;
  /** Export it, and bind it as DIRECTORY. */
  readonly DirectoryObject: ObjectClass<Env>;
  /**
   * The verbs of the API, for code in the same Worker. Without options they reach every session. Throws
   * as `fetch`, and a TypeError for a subject that is no text of 1 to 1,024 characters.
   */
  readonly sessions: (env: Env, options?: SessionsOptions) => HoldfastSessions;
}

interface Embedded {
  readonly fetch: (request: Request) => Promise<Response>;
  readonly sessions: (caller: Caller) => HoldfastSessions;
  readonly overBridge: OverBridge;
  readonly wakeTask: WakeTask;
}

/**
 * Makes the whole service a part of your own Worker. Options win over variables of the environment.
 *
 * @example
 * const holdfast = createHoldfast<Env>({
 *   basePath: "/live",
 *   authenticate: async (request, env) => {
 *     const user = await userOf(request, env);
 *     return user && { subject: user.id, scopes: ["sessions:read", "events:subscribe"] };
 *   },
 * });
 * export class SessionObject extends holdfast.SessionObject {}
 * export class DirectoryObject extends holdfast.DirectoryObject {}
 *
 * const app = new Hono<{ Bindings: Env }>();
 * app.all("/live/*", (c) => holdfast.fetch(c.req.raw, c.env, c.executionCtx));
 * app.post("/answers", async (c) => c.json(await holdfast.sessions(c.env).create(), 201));
 * export default app;
 */
export function createHoldfast<Env extends object = Environment>(
  options: HoldfastOptions<Env> = {},
): Holdfast<Env> {
  return holdfastOn({ machineOf: () => ({}) }, options);
}

/** The parts that only the project's own Worker passes, beside the options. */
interface Surroundings {
  /** The machine that it runs on. */
  readonly machineOf: (bindings: Bindings, log: Logger) => OwnMachine;
  /** The server of the upstream "demo"; without it there is no such upstream. */
  readonly demo?: OwnServer;
}

/** As `createHoldfast`, for the project's own Worker. */
export function holdfastOn<Env extends object>(
  surroundings: Surroundings,
  options: HoldfastOptions<Env>,
): Holdfast<Env> {
  const environment = onceEach((env: object) => environmentWith(env, options));
  const own = (env: Env): OwnServers => ({
    demo: surroundings.demo,
    named: serversIn(options, env),
    validated: serverPublish,
    overBridge: (...request) => embedded(env).overBridge(...request),
    wakeTask: (...about) => embedded(env).wakeTask(...about),
  });
  const embedded = onceEach((env: Env) =>
    namingOptions(options, () => embed(options, env, environment(env), own(env), surroundings)),
  );

  return {
    fetch: async (request, env) => embedded(env).fetch(request),
    sessions: (env, options) => embedded(env).sessions(callerOf(options)),
    // The objects read the options too, such as the bounds of the log.
    SessionObject: class extends SessionObject {
      constructor(ctx: DurableObjectState, env: Env) {
        requireSqlite(ctx, "SessionObject");
        super(ctx, environment(env), own(env));
      }
    },
    DirectoryObject: class extends DirectoryObject {
      constructor(ctx: DurableObjectState, env: Environment) {
        requireSqlite(ctx, "DirectoryObject");
        super(ctx, environment(env));
      }
    },
  };
}

/** Makes what belongs to an `env` at its first use. A Worker has one `env` for all of its requests. */
function onceEach<Env extends object, T>(make: (env: Env) => T): (env: Env) => T {
  const made = new WeakMap<Env, T>();
  return (env) => {
    if (!isObject(env))
      throw new ConfigError("env must be the second argument of the Worker's fetch");
    const known = made.get(env);
    if (known !== undefined) return known;
    const value = make(env);
    made.set(env, value);
    return value;
  };
}

function embed<Env>(
  options: HoldfastOptions<Env>,
  own: Env,
  env: Environment,
  servers: OwnServers,
  { machineOf }: Surroundings,
): Embedded {
  const code = codeSettingsOf(options);
  const config = loadConfig(env);
  const settings = loadAuthSettings(env, code);
  const bindings = bindingsOf(env, config.directoryShards > 0);
  const log = createLogger(config.logLevel);
  countInto(bindings.METRICS);
  traceWith(platform);
  const { authenticate } = options;
  const { stored, damaged, isAlone, ...machine } = machineOf(bindings, log);
  const access = createAccess(settings, {
    fetch: outboundOf(env),
    addressOf: clientAddress,
    // To look at a request's peer takes the platform 3 µs, a fortieth of a read.
    isFromThisMachine: isAlone
      ? (_request, headers) => namesNobodyElse(headers)
      : isFromThisMachine,
    waitUntil,
    subjectLimit: bindings.SUBJECT_LIMIT,
    addressLimit: bindings.ADDRESS_LIMIT,
    authenticate: authenticate && (async (request) => identified(request, authenticate, own)),
    onKeysFailure: (failure) => log.warn("jwks.failed", { cause: describeFailure(failure) }),
  });
  const { jurisdiction } = config.location;
  const sessions = located(bindings.SESSIONS, config.location, () =>
    log.warn("jurisdiction.absent", { jurisdiction }),
  );
  const host = new DurableObjectHost(sessions, {
    directory: directoryOf(env, config, (shard, failure) => damaged?.reportShard(shard, failure)),
    maxSessionsPerSubject: config.maxSessionsPerSubject,
    stored,
    damaged,
  });
  const sends = statelessSends(ownServers(config, servers));
  const upstreams = openUpstreams(config, env, sends);
  const app = createApp(host, config, access, upstreams, { ...machine, waitUntil });
  return {
    fetch: async (request) => drainRefusedBody(request, await app.fetch(request)),
    sessions: (caller) => sessionsOf({ host, config, access, log }, caller),
    overBridge: overBridge({ host, config, access, upstreams, log }),
    wakeTask: (upstream, id) =>
      host.as({ admin: true }).task(requireSessionId(id), { kind: "get", upstream }),
  };
}

/** A subject that was forgotten (`{ subject: user?.id }`) must not reach everybody's sessions. */
function callerOf(options: SessionsOptions | undefined): Caller {
  if (options === undefined) return { admin: true };
  const { subject }: { readonly subject?: unknown } = options;
  if (isSubject(subject)) return { subject, admin: false };
  throw new TypeError("subject must be a text of 1 to 1024 characters");
}

/** The identity that `authenticate` returned; undefined for nobody. Throws a TypeError for an answer that it must not give. */
async function identified<Env>(
  request: Request,
  authenticate: NonNullable<HoldfastOptions<Env>["authenticate"]>,
  env: Env,
): Promise<Identity | undefined> {
  const answer: unknown = await authenticate(request, env);
  if (request.bodyUsed) {
    throw new TypeError("authenticate must leave the body unread: read that of request.clone()");
  }
  if (answer === null || answer === undefined) return undefined;
  const { subject, scopes } = isObject(answer) ? answer : {};
  if (!isSubject(subject) || !isTexts(scopes)) {
    throw new TypeError("authenticate must return null or { subject: text, scopes: a list }");
  }
  return identityOf(subject, scopes);
}

function isSubject(value: unknown): value is string {
  if (typeof value !== "string" || value === "") return false;
  return value.length <= MAX_SUBJECT_LENGTH && value.isWellFormed();
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}
