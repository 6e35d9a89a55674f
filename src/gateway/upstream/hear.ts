/** Reads an upstream's answer whole, for `meaningOf`. */
import { SseParser } from "../../wire/sse-parser.ts";
import { messagesIn, requestMeant, type RequestId } from "../json-rpc.ts";
import { REFUSAL_MS, type Reply } from "./call.ts";
import { FAILURES, UpstreamError } from "./failure.ts";
import { isAboutNothing, type Heard } from "./meaning.ts";

/**
 * Reads an answer that is no stream, or a refusal. Many servers write a JSON-RPC error without saying that it is
 * JSON, so a refusal of any type is read. Throws UpstreamError.
 */
export async function hear(reply: Reply, maxBytes: number): Promise<Heard> {
  if (reply.isJson) return heardOf(reply, await reply.text(maxBytes));
  if (reply.status < 400) return hearHead(reply);
  if (reply.isEventStream) return hearRefusedStream(reply, maxBytes);
  return heardOf(reply, await reply.refusal());
}

/** How long a refusal that is a stream may bring no message. */
const SILENCE = { ms: REFUSAL_MS, endedBy: "message" } as const;

/** Milliseconds in all: a server that is never silent must not keep a client that initializes. */
const REFUSED_STREAM_MS = 5 * REFUSAL_MS;

/** Reads a refusal that comes as a stream up to its first response. The stream may stay open after that. */
async function hearRefusedStream(reply: Reply, maxBytes: number): Promise<Heard> {
  const texts: string[] = [];
  let size = 0;
  const until = Date.now() + REFUSED_STREAM_MS;
  for await (const events of reply.messages(new SseParser(maxBytes), SILENCE)) {
    const messages = events.flatMap(({ data }) => messagesIn(data));
    for (const { text } of messages) {
      texts.push(text);
      size += text.length;
    }
    if (size > maxBytes) throw new UpstreamError(FAILURES.tooLarge);
    const isAnswered = messages.some(({ message }) => message.kind === "response");
    if (isAnswered || Date.now() >= until) break;
  }
  return heardOf(reply, `[${texts.join(",")}]`);
}

/** The status and headers of an answer, whose body is discarded. */
export function hearHead(reply: Reply): Heard {
  reply.discard();
  return heardOf(reply);
}

/**
 * Reads the answer to the one request `id`. A stream is read until it has that: answers to other
 * requests are left out. Throws UpstreamError.
 */
export async function hearOne(reply: Reply, id: RequestId, maxBytes: number): Promise<Heard> {
  if (!reply.ok || !reply.isEventStream) return hear(reply, maxBytes);
  const texts: string[] = [];
  let size = 0;
  for await (const events of reply.messages(new SseParser(maxBytes))) {
    for (const { message, text } of events.flatMap(({ data }) => messagesIn(data))) {
      const isResponse = message.kind === "response";
      const isMeant = isResponse && (isAboutNothing([id], message) || isAnswerTo(id, message.id));
      if (isResponse && !isMeant) continue;
      texts.push(text);
      if (isMeant) return heardOf(reply, `[${texts.join(",")}]`);
      size += text.length;
      if (size > maxBytes) throw new UpstreamError(FAILURES.tooLarge);
    }
  }
  throw new UpstreamError(reply.timedOut ? FAILURES.timedOut : FAILURES.closed);
}

function isAnswerTo(asked: RequestId, id: RequestId | undefined): boolean {
  return id !== undefined && requestMeant(id, [asked], [asked]) !== undefined;
}

function heardOf(reply: Reply, text?: string): Heard {
  const { status, ok } = reply;
  // Only a refusal has these headers, and each look at a header costs.
  const retryAfter = ok ? null : reply.header("retry-after");
  const challenge = ok ? null : reply.header("www-authenticate");
  return { status, text, retryAfter, challenge };
}
