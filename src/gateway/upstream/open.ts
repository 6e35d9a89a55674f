/** Makes the upstreams that the configuration names, from what the environment binds. */
import { legacyServer } from "./legacy-server.ts";
import {
  isHeaderValue,
  NO_HEADER_VALUE,
  type ServerSettings,
  type UpstreamsSettings,
} from "../../config/upstreams.ts";
import type { Answer, Replica, RequestParts, Upstream, Upstreams } from "./upstream.ts";

/**
 * MCP servers that are part of the Worker itself. The Worker's entry names them
 * before anything runs; the library names none, so that it depends on no MCP SDK.
 */
export interface BuiltInServer {
  /** It is given requests in their parts: making one only to take it apart again costs more than many a call. */
  readonly send: (url: string, parts: RequestParts) => Promise<Answer>;
  /** Milliseconds that its slowest answer takes to begin. */
  readonly timeoutMs: number;
}

const servers = new Map<string, () => BuiltInServer>();

export function provideServer(name: string, make: () => BuiltInServer): void {
  servers.set(name, make);
}

type Environment = Readonly<Record<string, unknown>>;

/**
 * How requests leave the service: by the binding's `fetch` where `OUTBOUND` is bound, which
 * `npm run serve` does (its workerd has no other way out); else by the platform's own.
 */
export function outboundOf(env: Environment): typeof fetch {
  const bound = env["OUTBOUND"];
  return isFetcher(bound) ? bound.fetch.bind(bound) : (input, init) => fetch(input, init);
}

function isFetcher(value: unknown): value is { readonly fetch: typeof fetch } {
  return typeof (value as { fetch?: unknown } | undefined)?.fetch === "function";
}

const MCP_PATH = "/mcp";
/** Only a name: nothing is sent there. */
const DEMO_URL = `https://demo.invalid${MCP_PATH}`;

/** Bytes of one message of a legacy server; what is logged of it is bounded by EVENT_MAX_BYTES. */
const LARGEST_MESSAGE = 4 * 1024 * 1024;

/**
 * The upstreams by name, without a demo that the entry has not provided. Throws an Error that
 * names the upstream whose binding or secret is missing, or whose secret no header can hold.
 */
export function openUpstreams(settings: UpstreamsSettings, env: Environment): Upstreams {
  const upstreams = new Map<string, Upstream>();
  for (const [name, one] of Object.entries(settings)) {
    const upstream = one === "demo" ? openDemo(name) : open(name, one, env);
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
    forwardAuthorization: false,
  };
}

function open(name: string, settings: ServerSettings, env: Environment): Upstream {
  return {
    name,
    replicas: replicasOf(name, settings, env),
    headers: Object.fromEntries(
      Object.entries(settings.headers).map(([key, value]) => [
        key.toLowerCase(),
        value.startsWith("$") ? secret(name, key, value.slice(1), env) : value,
      ]),
    ),
    timeoutMs: settings.timeoutSeconds * 1000,
    forwardAuthorization: settings.forwardAuthorization,
  };
}

function replicasOf(
  name: string,
  { binding, urls, transport }: ServerSettings,
  env: Environment,
): Replica[] {
  const replica = (url: string, send: typeof fetch): Replica =>
    transport === "sse"
      ? { url, send: legacyServer(url, LARGEST_MESSAGE, send) }
      : { url, send: (parts) => send(url, parts) };
  if (binding === undefined) return urls.map((url) => replica(url, outboundOf(env)));
  const bound = env[binding];
  if (!isFetcher(bound)) throw new Error(`${name}: there is no service binding ${binding}`);
  const url = `https://${binding.toLowerCase()}.invalid${MCP_PATH}`;
  return [replica(url, bound.fetch.bind(bound))];
}

/** The secret that is the value of `header`. */
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
