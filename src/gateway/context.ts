/** What every part of the gateway is given. */
import type { SessionMatch, GatewayHost, GatewaySessions } from "./contract.ts";
import type { Config } from "../config/service.ts";
import type { Logger } from "../logger.ts";
import type { Caller } from "../core/caller.ts";
import type { SessionContent } from "../core/host.ts";
import type { Upstream, Upstreams } from "./upstream/upstream.ts";
import { GATEWAY_KEYS } from "../core/content.ts";
import type { KnownSessionType } from "../core/type.ts";

export interface GatewayParts {
  readonly host: GatewayHost;
  readonly config: Config;
  readonly upstreams: Upstreams;
  readonly log: Logger;
}

/** One request to one upstream. */
export interface GatewayCall {
  readonly parts: GatewayParts;
  readonly request: Request;
  readonly upstream: Upstream;
  /** The sessions as the caller may touch them. */
  readonly sessions: GatewaySessions;
  /** Sessions are bound to its subject, if it has one. */
  readonly caller: Caller;
}

export function matchOf({ upstream }: GatewayCall, type: KnownSessionType): SessionMatch {
  return { type, upstream: upstream.name };
}

/** A session to come, bound to its caller and its upstream. */
export function contentFor(call: GatewayCall, type: KnownSessionType): SessionContent {
  const { config } = call.parts;
  const { subject } = call.caller;
  return {
    type,
    metadata: { [GATEWAY_KEYS.upstream]: call.upstream.name },
    ttlMs: config.sessionTtlMs,
    maxLifetimeMs: config.sessionMaxLifetimeMs,
    ...(subject !== undefined && { subject }),
  };
}

/** Tracing headers (W3C) tell the upstream nothing about who is calling. */
const FORWARDED = ["mcp-protocol-version", "traceparent", "tracestate"] as const;

/** The client's headers that go on to the upstream in the session era. */
export function forwardedHeaders({ request, upstream }: GatewayCall): Record<string, string> {
  const names = upstream.forwardAuthorization ? [...FORWARDED, "authorization"] : FORWARDED;
  const headers: Record<string, string> = {};
  for (const name of names) {
    const value = request.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  return headers;
}
