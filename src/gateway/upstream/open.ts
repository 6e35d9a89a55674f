/** Makes the upstreams that the configuration names, from the bindings and secrets of the environment. */
import { legacyServer } from "./legacy-server.ts";
import {
  CALL_SECONDS,
  isHeaderValue,
  NO_HEADER_VALUE,
  SILENCE_SECONDS,
  type ServerSettings,
} from "../../config/upstreams.ts";
import type { Config } from "../../config/service.ts";
import type { Answer, Replica, RequestParts, Upstream, Upstreams } from "./upstream.ts";

/**
 * An MCP server that is part of the Worker. The Worker's entry provides it before anything runs.
 * The library provides none, so it depends on no MCP SDK.
 */
export interface BuiltInServer {
  /** Takes a request in its parts: making a Request only to take it apart costs more than many calls. */
  readonly send: (url: string, parts: RequestParts) => Promise<Answer>;
  /** Milliseconds until its slowest answer begins. */
  readonly timeoutMs: number;
}

const servers = new Map<string, () => BuiltInServer>();

/** Makes `name` ("demo") usable in UPSTREAMS. */
export function provideServer(name: string, make: () => BuiltInServer): void {
  servers.set(name, make);
}

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
/** Only a name. Nothing is sent there. */
const DEMO_URL = `https://demo.invalid${MCP_PATH}`;

/**
 * The upstreams by name; without the demo, if the entry has not provided it. Throws an Error that
 * names the upstream whose binding or secret is missing, or whose secret no header can hold.
 */
export function openUpstreams(config: UpstreamsConfig, env: Environment): Upstreams {
  const upstreams = new Map<string, Upstream>();
  for (const [name, one] of Object.entries(config.upstreams)) {
    const upstream = one === "demo" ? openDemo(name) : open(name, one, config.bodyMaxBytes, env);
    if (upstream) upstreams.set(name, upstream);
  }
  return upstreams;
}

function openDemo(name: string): Upstream | undefined {
  const server = servers.get("demo")?.();
  if (!server) return undefined;
  return {
    name,
    replicas: [{ url: DEMO_URL, send: (parts) => server.send(DEMO_URL, parts) }],
    headers: {},
    timeoutMs: server.timeoutMs,
    silenceMs: SILENCE_SECONDS * 1000,
    callMs: CALL_SECONDS * 1000,
    forwardAuthorization: false,
  };
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
    listensInObject: settings.transport === "sse",
  };
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
  if (!isFetcher(bound)) throw new Error(`${name}: there is no service binding ${binding}`);
  const url = `https://${binding.toLowerCase()}.invalid${MCP_PATH}`;
  return [replica(url, bound.fetch.bind(bound))];
}

/** Reads the secret `name`, which is the value of `header`. */
function secret(upstream: string, header: string, name: string, env: Environment): string {
  const value = env[name];
  if (typeof value !== "string" || value === "") {
    throw new Error(`${upstream}: there is no secret ${name}`);
  }
  if (!isHeaderValue(value)) {
    throw new Error(`${upstream}: the secret ${name} for headers.${header} ${NO_HEADER_VALUE}`);
  }
  return value;
}
