/** The gateway's routes: `/mcp` and `/sse` with their upstreams, behind one door. */
import type { Context, Hono } from "hono";
import type { Caller } from "../core/caller.ts";
import type { Guard } from "../http/guard.ts";
import { mountGatewayPaths } from "../http/mount.ts";
import { RPC_CODES } from "./json-rpc.ts";
import { DEFAULT_UPSTREAM } from "../config/upstreams.ts";
import { answer, rpcErrorResponse } from "./answers.ts";
import { readPosted, accepts } from "./request.ts";
import { classify } from "./classify.ts";
import type { GatewayCall, GatewayParts } from "./context.ts";
import { openLegacyStream, postLegacyMessage } from "./legacy.ts";
import { endSession, exchange, followStream, initialize } from "./streamable.ts";
import { passThrough } from "./stateless.ts";

type Handler = (call: GatewayCall) => Promise<Response>;

/** Handlers by method; what is not there is answered with 405. */
type Methods = Readonly<Record<string, Handler>>;

const STREAMABLE: Methods = { GET: followStream, POST: post, DELETE: endSession };
const LEGACY_STREAM: Methods = { GET: openLegacyStream };
const LEGACY_MESSAGES: Methods = { POST: postLegacyMessage };

export function mountGateway(app: Hono, guard: Guard, parts: GatewayParts): void {
  const serving = (methods: Methods) => (c: Context, caller: Caller) =>
    serve(c, caller, parts, methods);
  mountGatewayPaths(app, guard, {
    "/mcp": serving(STREAMABLE),
    "/sse": serving(LEGACY_STREAM),
    "/messages": serving(LEGACY_MESSAGES),
  });
}

async function serve(
  c: Context,
  caller: Caller,
  parts: GatewayParts,
  methods: Methods,
): Promise<Response> {
  const request = c.req.raw;
  const handler = methods[request.method];
  if (!handler) {
    const headers = { allow: Object.keys(methods).join(", ") };
    return rpcErrorResponse(405, RPC_CODES.serverError, "Method not allowed", undefined, headers);
  }
  const upstream = parts.upstreams.get(c.req.param("upstream") ?? DEFAULT_UPSTREAM);
  if (!upstream) return rpcErrorResponse(404, RPC_CODES.serverError, "There is no such upstream");
  const sessions = parts.host.as(caller);
  const call: GatewayCall = { parts, request, upstream, sessions, caller };
  return answer(call, undefined, () => handler(call));
}

/** A POST to the Streamable HTTP endpoint. */
async function post(call: GatewayCall): Promise<Response> {
  const { request, parts } = call;
  if (!accepts(request.headers.get("accept"), "application/json", "text/event-stream")) {
    const message = "Accept must take application/json and text/event-stream";
    return rpcErrorResponse(406, RPC_CODES.serverError, message);
  }
  const posted = await readPosted(request, parts.config.bodyMaxBytes);
  if (posted instanceof Response) return posted;
  const { body, value } = posted;
  const verdict = classify(value, request.headers.get("mcp-protocol-version") ?? undefined);
  switch (verdict.kind) {
    case "refused":
      return rpcErrorResponse(400, verdict.code, verdict.message, verdict.id);
    case "stateless":
      return answer(call, verdict.id, () => passThrough(call, body, verdict.id));
    case "initialize":
      return answer(call, verdict.id, () => initialize(call, body, verdict.id));
    case "exchange": {
      const id = verdict.batch ? undefined : verdict.pending[0];
      return answer(call, id, () => exchange(call, body, verdict));
    }
  }
}
