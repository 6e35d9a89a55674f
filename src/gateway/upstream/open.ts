/** Makes the upstreams that the configuration names, from the bindings and secrets of the environment. */
import { messagesIn, RPC_CODES, rpcError } from "../json-rpc.ts";
import { FIRST_STATELESS, SESSION_VERSIONS } from "../versions.ts";
import { legacyServer } from "./legacy-server.ts";
import {
  CALL_SECONDS,
  isHeaderValue,
  NO_HEADER_VALUE,
  TASK_DEFAULTS,
  type ServerSettings,
  type UpstreamSettings,
} from "../../config/upstreams.ts";
import { ConfigError } from "../../config/env.ts";
import type { Config } from "../../config/service.ts";
import type {
  Answer,
  OwnServer,
  OwnServers,
  Replica,
  RequestParts,
  Send,
  Upstream,
  Upstreams,
} from "./upstream.ts";

/** The upstreams, and the bytes that one message of theirs may have. */
type UpstreamsConfig = Pick<Config, "upstreams" | "bodyMaxBytes">;

type Environment = Readonly<Record<string, unknown>>;

/**
 * The `fetch` for requests that leave the service: the binding `OUTBOUND` if there is one, else the
 * platform's. `npm run serve` binds it, because its workerd has no other way out.
 */
export function outboundOf(env: Environment): typeof fetch {
  const bound = env["OUTBOUND"];
  return isFetcher(bound) ? bound.fetch.bind(bound) : (input, init) => fetch(input, init);
}

function isFetcher(value: unknown): value is { readonly fetch: typeof fetch } {
  return typeof (value as { fetch?: unknown } | undefined)?.fetch === "function";
}

const MCP_PATH = "/mcp";

/**
 * The servers of one's own by the name of their upstream; without the demo server, if the entry has not
 * provided it. Throws a ConfigError that names an upstream whose server nobody has given in code.
 */
export function ownServers(
  { upstreams }: Pick<Config, "upstreams">,
  { demo, named }: OwnServers,
): ReadonlyMap<string, OwnServer> {
  const servers = new Map<string, OwnServer>();
  for (const [name, one] of Object.entries(upstreams)) {
    const server = one === "demo" ? demo : "server" in one ? named.get(name) : undefined;
    if (server) servers.set(name, server);
    else if (one !== "demo" && "server" in one) {
      throw new ConfigError(
        `UPSTREAMS ${name}: server must be a function, given to createHoldfast`,
      );
    }
  }
  return servers;
}

/**
 * The upstreams by name; a server of one's own only if `own` has its sender. Throws a ConfigError that
 * names the upstream whose binding or secret is missing, or whose secret no header can hold.
 */
export function openUpstreams(
  config: UpstreamsConfig,
  env: Environment,
  own: ReadonlyMap<string, Send> = new Map(),
): Upstreams {
  const upstreams = new Map<string, Upstream>();
  for (const [name, one] of Object.entries(config.upstreams)) {
    const send = own.get(name);
    if (send) upstreams.set(name, openOwn(name, send, one));
    else if (one !== "demo" && !("server" in one)) {
      upstreams.set(name, open(name, one, config.bodyMaxBytes, env));
    }
  }
  return upstreams;
}

function openOwn(name: string, send: Send, settings: UpstreamSettings): Upstream {
  const seconds = settings === "demo" ? CALL_SECONDS : settings.callSeconds;
  const callMs = seconds * 1000;
  return {
    name,
    // The URL is only a name: the gateway sends nothing there.
    replicas: [{ url: `https://${name}.invalid${MCP_PATH}`, send }],
    headers: {},
    // Nothing lies between it and its session, so a call has all of its time to begin, and to be silent.
    timeoutMs: callMs,
    silenceMs: callMs,
    callMs,
    forwardAuthorization: false,
    listensInObject: true,
    tasks: settings === "demo" ? TASK_DEFAULTS : settings.tasks,
    // The demo server answers the stateless revision too.
    ...(settings !== "demo" && { era: "legacy" }),
  };
}

/** The senders to servers of one's own where there is no session: in the Worker, whose requests are stateless ones. */
export function statelessSends(servers: ReadonlyMap<string, OwnServer>): ReadonlyMap<string, Send> {
  return new Map([...servers].map(([name, { stateless = refuseStateless }]) => [name, stateless]));
}

/** The server is a session's, and this revision has no sessions. A client of several revisions then takes another. */
function refuseStateless({ body = "" }: RequestParts): Promise<Answer> {
  const [request] = messagesIn(body);
  const id = request?.message.kind === "request" ? request.message.id : undefined;
  const data = { supported: SESSION_VERSIONS, requested: FIRST_STATELESS };
  const error = rpcError(RPC_CODES.unsupportedVersion, "This server keeps sessions", id, data);
  return Promise.resolve(
    new Response(error, { status: 400, headers: { "content-type": "application/json" } }),
  );
}

function open(
  name: string,
  settings: ServerSettings,
  maxBytes: number,
  env: Environment,
): Upstream {
  return {
    name,
    replicas: replicasOf(name, settings, maxBytes, env),
    headers: Object.fromEntries(
      Object.entries(settings.headers).map(([key, value]) => [
        key.toLowerCase(),
        value.startsWith("$") ? secret(name, key, value.slice(1), env) : value,
      ]),
    ),
    timeoutMs: settings.timeoutSeconds * 1000,
    silenceMs: settings.silenceSeconds * 1000,
    callMs: settings.callSeconds * 1000,
    forwardAuthorization: credentialHeader(settings),
    ...eraOf(settings),
    listensInObject: settings.transport === "sse",
    tasks: settings.tasks,
  };
}

/** HTTP+SSE is of a revision with sessions. */
function eraOf({ era, transport }: ServerSettings): Pick<Upstream, "era"> {
  return transport === "sse" ? { era: "legacy" } : era ? { era } : {};
}

function credentialHeader({ forwardAuthorization: forwards }: ServerSettings): string | false {
  if (typeof forwards === "string") return forwards.toLowerCase();
  return forwards && "authorization";
}

function replicasOf(
  name: string,
  { binding, urls, transport }: ServerSettings,
  maxBytes: number,
  env: Environment,
): Replica[] {
  const replica = (url: string, send: typeof fetch): Replica =>
    transport === "sse"
      ? { url, fetch: send, send: legacyServer(url, maxBytes, send) }
      : { url, fetch: send, send: (parts, at = url) => send(at, parts) };
  if (binding === undefined) return urls.map((url) => replica(url, outboundOf(env)));
  const bound = env[binding];
  if (!isFetcher(bound)) {
    const found =
      bound === undefined
        ? `there is no service binding ${binding}`
        : `${binding} is bound to something else`;
    throw new ConfigError(
      `UPSTREAMS ${name}: ${found}: add [[services]] with binding = "${binding}" and service = the name of the server's Worker to wrangler.toml`,
    );
  }
  const url = `https://${binding.toLowerCase()}.invalid${MCP_PATH}`;
  return [replica(url, bound.fetch.bind(bound))];
}

/** Reads the secret `name`, which is the value of `header`. */
function secret(upstream: string, header: string, name: string, env: Environment): string {
  const value = env[name];
  if (typeof value !== "string" || value === "") {
    throw new ConfigError(
      `UPSTREAMS ${upstream}: there is no secret ${name}, which headers.${header} names: add it to the environment, or by \`wrangler secret put ${name}\` and to .dev.vars`,
    );
  }
  if (!isHeaderValue(value)) {
    throw new ConfigError(
      `UPSTREAMS ${upstream}: the secret ${name} for headers.${header} ${NO_HEADER_VALUE}`,
    );
  }
  return value;
}
