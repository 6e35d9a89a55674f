/**
 * HTTP+SSE of 2024-11-05: one stream, which says where to POST, and all answers on
 * it. It is served from the same session, log and upstream as Streamable HTTP.
 */
import { newSessionId, parseSessionId } from "../core/id.ts";
import { RPC_CODES } from "./json-rpc.ts";
import { DEFAULT_UPSTREAM } from "../config/upstreams.ts";
import { answer, rpcErrorResponse, sessionNotFound } from "./answers.ts";
import { readPosted, accepts } from "./request.ts";
import { classify } from "./classify.ts";
import { contentFor, forwardedHeaders, matchOf, type GatewayCall } from "./context.ts";
import { stream } from "./streamable.ts";

export async function openLegacyStream(call: GatewayCall): Promise<Response> {
  const { request, upstream } = call;
  if (!accepts(request.headers.get("accept"), "text/event-stream")) {
    return rpcErrorResponse(406, RPC_CODES.serverError, "Accept must take text/event-stream");
  }
  const sessionId = newSessionId();
  await call.sessions.create(sessionId, contentFor(call, "sse"));
  const path = upstream.name === DEFAULT_UPSTREAM ? "/messages" : `/messages/${upstream.name}`;
  const endpoint = `${path}?session_id=${sessionId}`;
  return stream(call, sessionId, { gate: matchOf(call, "sse"), kind: "standalone", endpoint });
}

export async function postLegacyMessage(call: GatewayCall): Promise<Response> {
  const { request, parts } = call;
  const named = new URL(request.url).searchParams.get("session_id");
  if (!named) return rpcErrorResponse(400, RPC_CODES.serverError, "session_id is required");
  const posted = await readPosted(request, parts.config.bodyMaxBytes);
  if (posted instanceof Response) return posted;
  const { body, value } = posted;
  // The legacy transport has no version header, whatever later revisions say of it.
  const verdict = classify(value, undefined);
  if (verdict.kind === "refused") {
    return rpcErrorResponse(400, verdict.code, verdict.message, verdict.id);
  }
  if (verdict.kind === "stateless") {
    return rpcErrorResponse(400, RPC_CODES.invalidRequest, "This endpoint is of 2024-11-05");
  }
  const initialize = verdict.kind === "initialize";
  const pending = initialize ? [verdict.id] : verdict.pending;
  const batch = !initialize && verdict.batch;
  const sessionId = parseSessionId(named);
  if (sessionId !== named) return sessionNotFound(batch ? undefined : pending[0]);
  const { "mcp-protocol-version": _none, ...headers } = forwardedHeaders(call);
  return answer(call, batch ? undefined : pending[0], async () => {
    await call.sessions.exchange(sessionId, {
      match: matchOf(call, "sse"),
      body,
      batch,
      pending,
      cancels: initialize ? [] : verdict.cancels,
      initialize,
      headers,
      delivery: "standalone",
    });
    return new Response(null, { status: 202 });
  });
}
