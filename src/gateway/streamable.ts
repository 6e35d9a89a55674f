/** Streamable HTTP of the revisions that keep a session: 2025-03-26 to 2025-11-25 (and 2024-11-05 over it). */
import { matches, STANDALONE_STREAM, type GatewayStart } from "./contract.ts";
import { newSessionId, parseSessionId, redactSessionId, type SessionId } from "../core/id.ts";
import { RPC_CODES, type RequestId } from "./json-rpc.ts";
import { MAX_INIT_BODY_BYTES } from "../core/limits.ts";
import { parseEventId } from "../core/event-id.ts";
import { exceeds } from "../wire/bytes.ts";
import { encodeFrame } from "../wire/sse-frame.ts";
import { STREAM_HEADERS } from "../http/problem.ts";
import { bridge } from "../stream/bridge.ts";
import { failureResponse, jsonResponse, rpcErrorResponse, sessionNotFound } from "./answers.ts";
import { versionProblem, type Verdict } from "./classify.ts";
import { contentFor, forwardedHeaders, matchOf, type GatewayCall } from "./context.ts";
import { accepts } from "./request.ts";
import { StandaloneUpstream } from "./upstream-listener.ts";

/** A client cannot choose its session's id: one that it sends is ignored. */
export async function initialize(
  call: GatewayCall,
  body: string,
  id: RequestId,
): Promise<Response> {
  if (exceeds(body, MAX_INIT_BODY_BYTES)) {
    return rpcErrorResponse(413, RPC_CODES.serverError, "The initialize request is too large", id);
  }
  const sessionId = newSessionId();
  const request = { upstream: call.upstream.name, body, headers: forwardedHeaders(call) };
  const answer = await call.sessions.initialize(sessionId, contentFor(call, "mcp"), request);
  switch (answer.kind) {
    case "failed":
      return failureResponse(answer.failure, id);
    case "refused":
      return jsonResponse(answer.status, answer.body);
    case "initialized": {
      const headers = { "mcp-session-id": sessionId };
      const [only, ...more] = answer.messages;
      if (more.length === 0) return jsonResponse(200, only ?? "", headers);
      const frames = answer.messages.map((data) => encodeFrame({ data })).join("");
      return new Response(frames, { headers: { ...STREAM_HEADERS, ...headers } });
    }
  }
}

export async function exchange(
  call: GatewayCall,
  body: string,
  verdict: Extract<Verdict, { kind: "exchange" }>,
): Promise<Response> {
  const { batch, pending, cancels } = verdict;
  const id = batch ? undefined : pending[0];
  const sessionId = sessionIdOf(call, id);
  if (sessionId instanceof Response) return sessionId;
  const answer = await call.sessions.exchange(sessionId, {
    match: matchOf(call, "mcp"),
    body,
    batch,
    pending,
    cancels,
    initialize: false,
    headers: forwardedHeaders(call),
    delivery: "own",
  });
  switch (answer.kind) {
    case "accepted":
      return new Response(null, { status: 202 });
    case "json":
      return jsonResponse(answer.status, answer.body);
    case "failed":
      return failureResponse(answer.failure, id);
    case "stream":
      return stream(call, sessionId, {
        gate: matchOf(call, "mcp"),
        kind: "exchange",
        stream: answer.stream,
      });
  }
}

export async function followStream(call: GatewayCall): Promise<Response> {
  const { headers } = call.request;
  if (!accepts(headers.get("accept"), "text/event-stream")) {
    return rpcErrorResponse(406, RPC_CODES.serverError, "Accept must take text/event-stream");
  }
  const problem = versionProblem(headers.get("mcp-protocol-version") ?? undefined);
  if (problem) return rpcErrorResponse(400, RPC_CODES.invalidRequest, problem);
  const sessionId = sessionIdOf(call, undefined);
  if (sessionId instanceof Response) return sessionId;
  const gate = matchOf(call, "mcp");
  const lastEventId = headers.get("last-event-id");
  if (lastEventId === null) return stream(call, sessionId, { gate, kind: "standalone" });
  return stream(call, sessionId, { gate, kind: "resume", lastEventId });
}

export async function endSession(call: GatewayCall): Promise<Response> {
  const problem = versionProblem(call.request.headers.get("mcp-protocol-version") ?? undefined);
  if (problem) return rpcErrorResponse(400, RPC_CODES.invalidRequest, problem);
  const sessionId = sessionIdOf(call, undefined);
  if (sessionId instanceof Response) return sessionId;
  const session = await call.sessions.read(sessionId, false);
  if (!matches(session, matchOf(call, "mcp"))) return sessionNotFound();
  await call.sessions.delete(sessionId);
  return new Response(null, { status: 204 });
}

/** A stream of the session's, as the body of an SSE response. */
export async function stream(
  call: GatewayCall,
  sessionId: SessionId,
  start: GatewayStart,
): Promise<Response> {
  const { config, log } = call.parts;
  const socket = await call.sessions.follow(sessionId, start);
  const standalone = isStandalone(start)
    ? new StandaloneUpstream(call.upstream, socket, forwardedHeaders(call), config.eventMaxBytes)
    : undefined;
  const body = bridge(socket, {
    keepaliveMs: config.keepaliveMs,
    bufferBytes: config.streamBufferBytes,
    onCut: (reason) => log.info("reader.cut", { session: redactSessionId(sessionId), reason }),
    onWord: (word) => standalone?.receive(word),
    onEnd: () => standalone?.end(),
  });
  return new Response(body, { headers: STREAM_HEADERS });
}

function isStandalone(start: GatewayStart): boolean {
  if (start.kind === "standalone") return true;
  return start.kind === "resume" && parseEventId(start.lastEventId)?.stream === STANDALONE_STREAM;
}

/** The session that the request names, or the answer to one that names none that could exist. */
function sessionIdOf(call: GatewayCall, id: RequestId | undefined): SessionId | Response {
  const header = call.request.headers.get("mcp-session-id");
  if (!header) {
    return rpcErrorResponse(400, RPC_CODES.serverError, "Mcp-Session-Id is required", id);
  }
  // The gateway gives out one form of an id, and takes only that one back.
  const sessionId = parseSessionId(header);
  return sessionId === header ? sessionId : sessionNotFound(id);
}
