/** Makes the upstreams that the configuration names, from what the environment binds. */
import { builtInServer } from "./built-in.ts";
import { legacyServer } from "./legacy-server.ts";
import { isServer, outboundOf } from "./outbound.ts";
import type { ServerSettings, UpstreamSettings, UpstreamsSettings } from "./settings.ts";
import type { Replica, Upstream, Upstreams } from "./upstream.ts";

type Environment = Readonly<Record<string, unknown>>;

const MCP_PATH = "/mcp";

/** Bytes of one message of a legacy server; what is logged of it is bounded by EVENT_MAX_BYTES. */
const LARGEST_MESSAGE = 4 * 1024 * 1024;

/** Throws an Error that names the upstream whose binding or secret is missing. */
export function openUpstreams(settings: UpstreamsSettings, env: Environment): Upstreams {
  return new Map(
    Object.entries(settings).flatMap(([name, one]) => {
      const upstream = open(name, one, env);
      return upstream ? [[name, upstream]] : [];
    }),
  );
}

function open(name: string, settings: UpstreamSettings, env: Environment): Upstream | undefined {
  if (settings === "demo") {
    const server = builtInServer("demo");
    return (
      server && {
        name,
        replicas: [{ url: `https://demo.invalid${MCP_PATH}`, server }],
        headers: {},
        timeoutMs: 60_000,
        forwardAuthorization: false,
      }
    );
  }
  return {
    name,
    replicas: replicasOf(name, settings, env).map((replica) =>
      settings.transport === "sse" ? overLegacy(replica) : replica,
    ),
    headers: Object.fromEntries(
      Object.entries(settings.headers).map(([key, value]) => [
        key.toLowerCase(),
        value.startsWith("$") ? secret(name, value.slice(1), env) : value,
      ]),
    ),
    timeoutMs: settings.timeoutSeconds * 1000,
    forwardAuthorization: settings.forwardAuthorization,
  };
}

function replicasOf(name: string, settings: ServerSettings, env: Environment): Replica[] {
  if (settings.binding !== undefined) {
    const binding = env[settings.binding];
    if (!isServer(binding))
      throw new Error(`${name}: there is no service binding ${settings.binding}`);
    return [
      { url: `https://${settings.binding.toLowerCase()}.invalid${MCP_PATH}`, server: binding },
    ];
  }
  const send = outboundOf(env);
  // A redirect could lead the gateway, and the secrets in its headers, anywhere, so none is followed.
  const server = { fetch: (request: Request) => send(request, { redirect: "manual" }) };
  return settings.urls.map((url) => ({ url, server }));
}

function overLegacy({ url, server }: Replica): Replica {
  return { url, server: legacyServer(url, LARGEST_MESSAGE, (request) => server.fetch(request)) };
}

function secret(upstream: string, name: string, env: Environment): string {
  const value = env[name];
  if (typeof value !== "string" || value === "") {
    throw new Error(`${upstream}: there is no secret ${name}`);
  }
  return value;
}
