/**
 * Serves `subscriptions/listen` of a client of the stateless revision by the standalone stream of its session. The
 * session's object acknowledges it. Here each listening client gets what it asked for, under its own id.
 */
import { MAX_LISTENED_RESOURCES } from "../../core/limits.ts";
import { redactSessionId } from "../../core/id.ts";
import { STREAM_HEADERS } from "../../http/problem.ts";
import { bridge } from "../../stream/bridge.ts";
import { encodeFrame, KEEPALIVE_FRAME, MESSAGE_EVENT } from "../../wire/sse-frame.ts";
import { SseParser } from "../../wire/sse-parser.ts";
import { isObject, parseJson } from "../../wire/json.ts";
import { Refused } from "../answers.ts";
import type { ListenFilter } from "../contract.ts";
import { messagesIn, RPC_CODES, type RequestId } from "../json-rpc.ts";
import { forwardedHeaders, type GatewayCall } from "../request.ts";
import { UpstreamListener } from "../upstream-listener.ts";
import type { EraSession } from "./era-session.ts";
import { CHANGES, withSubscription } from "./modern-answer.ts";
import type { ModernRequest } from "./modern-request.ts";
import { ACKNOWLEDGED } from "./wire.ts";

/** Reads the request. Throws Refused if it cannot be read. */
export function filterOf({ params }: Pick<ModernRequest, "params">): ListenFilter {
  const asked = params["notifications"];
  if (!isObject(asked)) throw invalid("notifications is required");
  const uris = asked["resourceSubscriptions"] ?? [];
  if (!Array.isArray(uris) || !uris.every((uri) => typeof uri === "string")) {
    throw invalid("resourceSubscriptions must be a list of URIs");
  }
  if (uris.length > MAX_LISTENED_RESOURCES) {
    throw invalid(`resourceSubscriptions has more than ${MAX_LISTENED_RESOURCES} URIs`);
  }
  const lists = ["toolsListChanged", "promptsListChanged", "resourcesListChanged"] as const;
  return {
    ...Object.fromEntries(lists.flatMap((name) => (asked[name] === true ? [[name, true]] : []))),
    ...(uris.length > 0 && { resourceSubscriptions: [...new Set(uris as string[])] }),
  };
}

function invalid(what: string): Refused {
  return new Refused(400, `Invalid params: ${what}`, RPC_CODES.invalidParams);
}

/** Answers with the stream. Throws SessionNotFoundError if the session is not made yet. */
export async function listen(
  call: GatewayCall,
  { id: sessionId, sessions, match }: EraSession,
  { id }: ModernRequest,
  filter: ListenFilter,
): Promise<Response> {
  const { config, log } = call.parts;
  const headers = forwardedHeaders(call);
  const socket = await sessions.follow(sessionId, { match, kind: "listen", id, filter, headers });
  const holds = !call.upstream.listensInObject;
  const upstream = holds
    ? new UpstreamListener({
        upstream: call.upstream,
        socket,
        headers,
        maxBytes: config.bodyMaxBytes,
      })
    : undefined;
  const body = bridge(socket, {
    keepaliveMs: config.keepaliveMs,
    bufferBytes: config.streamBufferBytes,
    onCut: (reason) => log.info("reader.cut", { session: redactSessionId(sessionId), reason }),
    onWord: (word) => upstream?.receive(word),
    onEnd: () => upstream?.end(),
  });
  const own = body.pipeThrough(new TransformStream(filtering(id, filter, config.bodyMaxBytes)));
  return new Response(own, { headers: STREAM_HEADERS });
}

const encoder = new TextEncoder();

/** Lets pass what a client asked for, under the id of its request; comments as they are. */
export function filtering(
  id: RequestId,
  filter: ListenFilter,
  maxBytes: number,
): Transformer<Uint8Array, Uint8Array> {
  const parser = new SseParser(maxBytes);
  return {
    transform(chunk, controller) {
      let isSilent = true;
      for (const { data } of parser.push(chunk)) {
        for (const { text } of messagesIn(data)) {
          const own = isWanted(text, filter) ? withSubscription(text, id) : answerIn(text);
          if (own === undefined) continue;
          controller.enqueue(encoder.encode(encodeFrame({ event: MESSAGE_EVENT, data: own })));
          isSilent = false;
        }
      }
      // A comment shows the client that the stream lives, and the Worker whether the client is there.
      if (isSilent && chunk[0] === COLON) controller.enqueue(encoder.encode(KEEPALIVE_FRAME));
    },
  };
}

const COLON = 0x3a;

function isWanted(text: string, filter: ListenFilter): boolean {
  const value = parseJson(text);
  const { method, params } = isObject(value) ? value : {};
  if (method === ACKNOWLEDGED) return true;
  const member = typeof method === "string" ? CHANGES.get(method) : undefined;
  if (member !== "resourceSubscriptions") {
    return member !== undefined && filter[member as keyof ListenFilter] === true;
  }
  const uri = isObject(params) ? params["uri"] : undefined;
  return typeof uri === "string" && (filter.resourceSubscriptions?.includes(uri) ?? false);
}

/** The last message of the stream, if this is it: the response. */
function answerIn(text: string): string | undefined {
  return messagesIn(text)[0]?.message.kind === "response" ? text : undefined;
}
