/** Reads the answers of a server of the stateless era, within a bound of size. */
import { boundedBody } from "../../wire/bytes.ts";
import { isObject, parseJson } from "../../wire/json.ts";
import { memberText } from "../../wire/json-text.ts";
import { SseParser } from "../../wire/sse-parser.ts";
import { messagesIn } from "../json-rpc.ts";
import { FAILURES, UpstreamError } from "../upstream/failure.ts";
import type { Answer } from "../upstream/upstream.ts";

/** An answer of the server that was read whole. */
export interface HeardAnswer {
  /** Its response, or its body where that is none. */
  readonly text: string | undefined;
  readonly result: string | undefined;
  readonly code: unknown;
  /** The answer as it was. */
  readonly response: () => Answer;
}

/** Throws UpstreamError for an answer that is too large. */
export async function heardOf(answer: Answer, maxBytes: number): Promise<HeardAnswer> {
  const isStatus = typeof answer !== "string";
  const ok = !isStatus || answer.ok;
  const text = isStatus ? await responseIn(answer, maxBytes) : answer;
  const error = parseJson(memberText(text ?? "", "error") ?? "");
  return {
    text,
    result: ok ? memberText(text ?? "", "result") : undefined,
    code: isObject(error) ? error["code"] : undefined,
    response: () => {
      if (!isStatus) return answer;
      const headers = new Headers(answer.headers);
      headers.delete("content-length");
      if (text !== undefined && isStream(answer)) headers.set("content-type", "application/json");
      return new Response(text ?? null, { status: answer.status, headers });
    },
  };
}

function isStream({ headers }: Response): boolean {
  return headers.get("content-type")?.toLowerCase().startsWith("text/event-stream") ?? false;
}

/** The body, or the first response in it where it is a stream. */
async function responseIn(answer: Response, maxBytes: number): Promise<string | undefined> {
  if (!answer.body) return undefined;
  const body = answer.body as ReadableStream<Uint8Array>;
  if (!isStream(answer)) {
    const bytes = await boundedBody(body, maxBytes);
    if (!bytes) throw new UpstreamError(FAILURES.tooLarge);
    return new TextDecoder().decode(bytes);
  }
  for await (const text of streamed(body, maxBytes)) {
    if (messagesIn(text).some(({ message }) => message.kind === "response")) return text;
  }
  return undefined;
}

async function* streamed(body: ReadableStream<Uint8Array>, maxBytes: number) {
  const parser = new SseParser(maxBytes);
  for await (const chunk of body) for (const { data } of parser.push(chunk)) yield data;
}

/** The messages of an answer. Throws where it ends without the response. */
export async function* textsOf(answer: Answer, maxBytes: number): AsyncGenerator<string> {
  let isAnswered = false;
  const isResponse = (text: string): boolean =>
    messagesIn(text).some(({ message }) => message.kind === "response");
  if (typeof answer !== "string" && isStream(answer) && answer.body) {
    for await (const text of streamed(answer.body as ReadableStream<Uint8Array>, maxBytes)) {
      isAnswered ||= isResponse(text);
      yield text;
    }
  } else {
    const text = typeof answer === "string" ? answer : await responseIn(answer, maxBytes);
    if (text !== undefined && isResponse(text)) {
      isAnswered = true;
      yield text;
    }
  }
  if (!isAnswered) throw new UpstreamError(FAILURES.closed);
}
