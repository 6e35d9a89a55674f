/**
 * Serves HTTP+SSE of 2024-11-05. A client opens one stream, reads on it where to POST, and gets
 * every answer on it. The session, the log and the upstream are the same as for Streamable HTTP.
 */
import { DEFAULT_UPSTREAM } from "../config/upstreams.ts";
import { requireSessionId } from "../core/id.ts";
import { jsonResponse, Refused } from "./answers.ts";
import { RPC_CODES } from "./json-rpc.ts";
import {
  contentFor,
  forwardedHeaders,
  matchOf,
  requireAccept,
  sessionIdIn,
  withPosted,
  type GatewayCall,
} from "./request.ts";
import { stream } from "./streamable.ts";

export async function openLegacyStream(call: GatewayCall): Promise<Response> {
  requireAccept(call, "text/event-stream");
  const { upstream, parts } = call;
  const sessionId = requireSessionId(crypto.randomUUID());
  await call.sessions.create(sessionId, contentFor(call, "sse"));
  const path = upstream.name === DEFAULT_UPSTREAM ? "/messages" : `/messages/${upstream.name}`;
  const endpoint = `${parts.access.settings.basePath}${path}?session_id=${sessionId}`;
  return stream(call, sessionId, { match: matchOf(call, "sse"), kind: "standalone", endpoint });
}

export async function postLegacyMessage(call: GatewayCall): Promise<Response> {
  const named = new URL(call.request.url).searchParams.get("session_id");
  if (!named) throw new Refused(400, "session_id is required");
  // The legacy transport has no version header, so one that comes is ignored.
  return withPosted(call, undefined, async ({ body, verdict }) => {
    if (verdict.kind === "stateless") {
      throw new Refused(400, "This endpoint is of 2024-11-05", RPC_CODES.invalidRequest);
    }
    const sessionId = sessionIdIn(named);
    const initialize = verdict.kind === "initialize";
    const answer = await call.sessions.exchange(sessionId, {
      match: matchOf(call, "sse"),
      body,
      batch: !initialize && verdict.batch,
      pending: initialize ? [verdict.id] : verdict.pending,
      cancels: initialize ? [] : verdict.cancels,
      initialize,
      headers: forwardedHeaders(call),
      delivery: "standalone",
    });
    switch (answer.kind) {
      case "failed":
        throw Refused.as(answer.failure);
      case "json":
        return jsonResponse(answer.status, answer.body, answer.headers);
      default:
        return new Response(null, { status: 202 });
    }
  });
}
