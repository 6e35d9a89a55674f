/** Serves Streamable HTTP of the revisions with sessions: 2025-03-26 to 2025-11-25, and 2024-11-05 over it. */
import { SessionNotFoundError } from "../core/errors.ts";
import { parseEventId } from "../core/event-id.ts";
import { redactSessionId, requireSessionId, type SessionId } from "../core/id.ts";
import { MAX_INIT_BODY_BYTES, UPSTREAM_HELD_MS } from "../core/limits.ts";
import { within } from "../wire/timers.ts";
import { STREAM_HEADERS } from "../http/problem.ts";
import { bridge } from "../stream/bridge.ts";
import { exceeds } from "../wire/bytes.ts";
import { encodeFrame, MESSAGE_EVENT } from "../wire/sse-frame.ts";
import { jsonResponse, Refused } from "./answers.ts";
import { versionRefusal, type Verdict, type VersionRefusal } from "./classify.ts";
import { matches, STANDALONE_STREAM, type GatewayStart, type SessionMatch } from "./contract.ts";
import {
  contentFor,
  forwardedHeaders,
  matchOf,
  requireAccept,
  sessionIdIn,
  type GatewayCall,
} from "./request.ts";
import { UpstreamListener } from "./upstream-listener.ts";

/** Makes a session. The gateway chooses its id, and ignores one that the client sends. */
export async function initialize(call: GatewayCall, body: string): Promise<Response> {
  if (exceeds(body, MAX_INIT_BODY_BYTES)) {
    throw new Refused(413, "The initialize request is too large");
  }
  const sessionId = requireSessionId(crypto.randomUUID());
  const request = { upstream: call.upstream.name, body, headers: forwardedHeaders(call) };
  const answer = await call.sessions.initialize(sessionId, contentFor(call, "mcp"), request);
  switch (answer.kind) {
    case "failed":
      throw Refused.as(answer.failure);
    case "refused":
      return jsonResponse(answer.status, answer.body, answer.headers);
    case "initialized": {
      const headers = { "mcp-session-id": sessionId };
      const [only, ...more] = answer.messages;
      if (more.length === 0) return jsonResponse(200, only ?? "", headers);
      const frames = answer.messages
        .map((data) => encodeFrame({ event: MESSAGE_EVENT, data }))
        .join("");
      return new Response(frames, { headers: { ...STREAM_HEADERS, ...headers } });
    }
  }
}

/** Carries a message or a batch to the upstream, and answers with JSON or a stream. */
export function exchange(
  call: GatewayCall,
  body: string,
  { batch, pending, cancels, refusal }: Extract<Verdict, { kind: "exchange" }>,
): Promise<Response> {
  return inSession(call, refusal, async (sessionId, match) => {
    const answer = await call.sessions.exchange(sessionId, {
      match,
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
        return jsonResponse(answer.status, answer.body, answer.headers);
      case "failed":
        throw Refused.as(answer.failure);
      case "stream":
        return stream(call, sessionId, { match, kind: "exchange", stream: answer.stream });
      case "flow":
      case "unbridged":
      case "busy":
        throw new TypeError(`${answer.kind} answers the stateless revision alone`);
    }
  });
}

/** Opens the session's standalone stream, or resumes any of its streams after `Last-Event-ID`. */
export async function followStream(call: GatewayCall): Promise<Response> {
  requireAccept(call, "text/event-stream");
  return inSession(call, versionRefusal(versionOf(call)), (sessionId, match) => {
    // A client that has no id yet may send an empty one (WHATWG HTML, 9.2.4).
    const lastEventId = call.headers.get("last-event-id") || undefined;
    if (lastEventId === undefined) return stream(call, sessionId, { match, kind: "standalone" });
    return stream(call, sessionId, { match, kind: "resume", lastEventId });
  });
}

export function endSession(call: GatewayCall): Promise<Response> {
  return inSession(call, versionRefusal(versionOf(call)), async (sessionId, match) => {
    const session = await call.sessions.read(sessionId, false);
    if (!matches(session, match)) throw new SessionNotFoundError();
    await call.sessions.delete(sessionId, undefined, forwardedHeaders(call));
    return new Response(null, { status: 204 });
  });
}

/** Answers with one of the session's streams, as Server-Sent Events. */
export async function stream(
  call: GatewayCall,
  sessionId: SessionId,
  start: GatewayStart,
): Promise<Response> {
  const { config, log } = call.parts;
  const { listensInObject } = call.upstream;
  // An object that has lost its memory knows no other credential of the client's.
  const from = listensInObject ? { ...start, headers: forwardedHeaders(call) } : start;
  const socket = await call.sessions.follow(sessionId, from);
  const listens = isStandalone(start) && !listensInObject;
  const standalone = listens
    ? new UpstreamListener({
        upstream: call.upstream,
        socket,
        headers: forwardedHeaders(call),
        maxBytes: config.bodyMaxBytes,
      })
    : undefined;
  // The server may send a message as soon as the client's stream is open, and only to a stream that it has.
  const opened = standalone && within(standalone.settled, UPSTREAM_HELD_MS, () => undefined);
  const body = bridge(socket, {
    keepaliveMs: config.keepaliveMs,
    bufferBytes: config.streamBufferBytes,
    until: opened,
    onCut: (reason) => log.info("reader.cut", { session: redactSessionId(sessionId), reason }),
    onWord: (word) => standalone?.receive(word),
    onEnd: () => standalone?.end(),
  });
  const refusal = await opened;
  if (!refusal) return new Response(body, { headers: STREAM_HEADERS });
  await body.cancel();
  return refusal;
}

function isStandalone(start: GatewayStart): boolean {
  if (start.kind === "standalone") return true;
  return start.kind === "resume" && parseEventId(start.lastEventId)?.stream === STANDALONE_STREAM;
}

function versionOf({ headers }: GatewayCall): string | undefined {
  return headers.get("mcp-protocol-version");
}

/**
 * Does `work` in the session that the client names. With a `refusal`, the answer is that refusal unless
 * there is such a session and it agreed on the version. So the answer does not show which sessions exist.
 */
async function inSession(
  call: GatewayCall,
  refusal: VersionRefusal | undefined,
  work: (sessionId: SessionId, match: SessionMatch) => Promise<Response>,
): Promise<Response> {
  try {
    const header = call.headers.get("mcp-session-id");
    if (header) return await work(sessionIdIn(header), matchOf(call, "mcp", refusal?.version));
  } catch (failure) {
    if (!refusal || !(failure instanceof SessionNotFoundError)) throw failure;
  }
  if (refusal) throw new Refused(400, refusal.message, refusal.code);
  throw new Refused(400, "Mcp-Session-Id is required");
}
