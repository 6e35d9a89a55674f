/** The gateway's routes, each with and without `/:upstream`: `/mcp`, `/sse` and `/messages`. */
import type { Context } from "hono";
import { DEFAULT_UPSTREAM } from "../config/upstreams.ts";
import type { Caller } from "../core/caller.ts";
import { SessionError } from "../core/errors.ts";
import { mountGatewayPaths, mountUpstreamMetadata, type Front } from "../http/mount.ts";
import { headersOf } from "../http/request-headers.ts";
import { metadataAddress, publicBase, resourcePathOf } from "../http/oauth-metadata.ts";
import { errorResponse, Refused } from "./answers.ts";
import { ownChallenge } from "./challenge.ts";
import { openLegacyStream, postLegacyMessage } from "./legacy.ts";
import { EraMemory } from "./eras/memory.ts";
import { requireAccept, withPosted, type GatewayCall, type GatewayParts } from "./request.ts";
import { stateless } from "./eras/stateless.ts";
import { serveWithTasks } from "./tasks/serve.ts";
import { UpstreamMetadata } from "./upstream-metadata.ts";
import { endSession, exchange, followStream, initialize } from "./streamable.ts";

type Handler = (call: GatewayCall) => Promise<Response>;

/** Handlers by method. The gateway answers 405 to any other method. */
type Methods = Readonly<Record<string, Handler>>;

const STREAMABLE: Methods = { GET: followStream, POST: post, DELETE: endSession };
const LEGACY_STREAM: Methods = { GET: openLegacyStream };
const LEGACY_MESSAGES: Methods = { POST: postLegacyMessage };

/** Mounts the routes. The guard asks for their scope before any of them runs. */
export function mountGateway(front: Front, parts: GatewayParts): void {
  const { notes } = parts.host;
  const memory = parts.memory ?? (notes && new EraMemory(notes));
  const all = { ...parts, memory };
  const serving = (methods: Methods) => (c: Context, caller: Caller) =>
    serve(c, caller, all, methods);
  mountGatewayPaths(front, {
    "/mcp": serving(STREAMABLE),
    "/sse": serving(LEGACY_STREAM),
    "/messages": serving(LEGACY_MESSAGES),
  });
  const metadata = new UpstreamMetadata(parts.log);
  mountUpstreamMetadata(front, parts.access, (c, path) => {
    const name = c.req.param("upstream");
    const resource = publicBase(c, parts.access) + path + (name === undefined ? "" : `/${name}`);
    return metadata.answer(parts.upstreams.get(name ?? DEFAULT_UPSTREAM), resource);
  });
}

/** Finds the handler and the upstream, and answers every failure with a JSON-RPC error. */
async function serve(
  c: Context,
  caller: Caller,
  parts: GatewayParts,
  methods: Methods,
): Promise<Response> {
  const { host, upstreams, log } = parts;
  const request = c.req.raw;
  const handler = methods[request.method];
  if (!handler) {
    const response = errorResponse(new Refused(405, "Method not allowed"), log);
    response.headers.set("allow", Object.keys(methods).join(", "));
    return response;
  }
  const upstream = upstreams.get(c.req.param("upstream") ?? DEFAULT_UPSTREAM);
  if (!upstream) return errorResponse(new Refused(404, "There is no such upstream"), log);
  const headers = headersOf(c);
  const call: GatewayCall = {
    parts,
    request,
    headers,
    upstream,
    sessions: host.as(caller),
    caller,
  };
  const response = await handler(call).catch((failure: unknown) => {
    // Every `Refused` is the upstream's, or about what the client has sent.
    if (!(failure instanceof Refused)) {
      c.set("reason", failure instanceof SessionError ? failure.code : "unavailable");
    }
    return errorResponse(failure, log, call.id);
  });
  return withOwnChallenge(response, c, parts);
}

/** An upstream's challenge leads the client to the gateway's metadata, which name the URL that it calls. */
function withOwnChallenge(response: Response, c: Context, { access }: GatewayParts): Response {
  if (response.status < 400) return response;
  const { headers } = response;
  const challenge = headers.get("www-authenticate");
  if (challenge === null) return response;
  const path = resourcePathOf(c.req.path).replace(/\/$/, "");
  const own = {
    resource: publicBase(c, access) + path,
    metadata: metadataAddress(c, access, path),
  };
  const rewritten = ownChallenge(challenge, own);
  if (rewritten === undefined) headers.delete("www-authenticate");
  else headers.set("www-authenticate", rewritten);
  return response;
}

/** Answers a POST to the Streamable HTTP endpoint. The body shows which era it belongs to. */
async function post(call: GatewayCall): Promise<Response> {
  requireAccept(call, "application/json", "text/event-stream");
  const version = call.headers.get("mcp-protocol-version");
  return withPosted(call, version, ({ body, verdict }) => {
    switch (verdict.kind) {
      case "stateless":
        return serveWithTasks(call, { body, ...verdict }, (sent) => stateless(call, sent));
      case "initialize":
        return initialize(call, body);
      case "exchange":
        return exchange(call, body, verdict);
    }
  });
}
