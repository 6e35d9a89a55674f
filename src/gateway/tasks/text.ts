/** Changes tool calls and their results for tasks, and leaves every other letter as it was. Pure. */
import { isObject, parseJson } from "../../wire/json.ts";
import { memberText, membersOf, withMember, withoutMember } from "../../wire/json-text.ts";
import { shorten } from "../../wire/shorten.ts";
import { MAX_STATUS_MESSAGE_LENGTH } from "../../core/limits.ts";
import { messagesIn, requestMeant, type RequestId, type WrittenMessage } from "../json-rpc.ts";
import type { Asked, Repeat, TaskEnd } from "./task.ts";

/** A tool call as the upstream is sent it. */
export interface CallToSend {
  readonly body: string;
  /** The progress token, as JSON. */
  readonly token: string;
  /** The client has given no token, so it is to hear of no progress. */
  readonly isOwnToken: boolean;
}

/** The call without the `task` of 2025-11-25, and with a progress token: the client's, or `own`. */
export function callToSend(body: string, own: string): CallToSend {
  const params = withoutMember(memberText(body, "params") ?? "{}", "task");
  const meta = memberText(params, "_meta") ?? "{}";
  const given = memberText(meta, "progressToken");
  const token = given ?? JSON.stringify(own);
  const sent =
    given === undefined
      ? withMember(params, "_meta", withMember(meta, "progressToken", token))
      : params;
  return { body: withMember(body, "params", sent), token, isOwnToken: given === undefined };
}

/** The call without the `task` of 2025-11-25. */
export function withoutTask(body: string): string {
  const params = memberText(body, "params");
  if (params === undefined || memberText(params, "task") === undefined) return body;
  return withMember(body, "params", withoutMember(params, "task"));
}

/**
 * The call once more, with the answers to what the upstream asked. It is a request of its own: an id is used once.
 * `idsBegin` says how the ids of all its repetitions begin, as JSON.
 */
export function repeated(
  body: string,
  { answers, requestState }: Repeat,
  idsBegin: string,
): string {
  const responses = Object.entries(answers).map(
    ([name, answer]) => `${JSON.stringify(name)}:${answer}`,
  );
  const params = withMember(
    memberText(body, "params") ?? "{}",
    "inputResponses",
    `{${responses.join(",")}}`,
  );
  const state =
    requestState === undefined
      ? withoutMember(params, "requestState")
      : withMember(params, "requestState", requestState);
  const id = `${idsBegin}${crypto.randomUUID().slice(0, 8)}"`;
  return withMember(withMember(body, "params", state), "id", id);
}

/** How the ids of all repetitions of a task's call begin, as JSON. */
export function repeatsBegin(taskId: string): string {
  return `"holdfast-${taskId}-`;
}

/** The text in which the upstream reports its progress; undefined if a message is no progress of this call. */
export function progressIn(text: string, token: string): string | undefined {
  const params = memberText(text, "params") ?? "";
  if (memberText(params, "progressToken") !== token) return undefined;
  const value = parseJson(params);
  if (!isObject(value)) return undefined;
  const { message, progress, total } = value;
  if (typeof message === "string") return shorten(message, MAX_STATUS_MESSAGE_LENGTH);
  // There is nothing to tell.
  if (typeof progress !== "number") return undefined;
  return typeof total === "number" ? `${progress} of ${total}` : String(progress);
}

/** The outcome of a task, as the answer to its call gives it. */
export type CallOutcome =
  | { readonly kind: "ended"; readonly end: TaskEnd }
  | { readonly kind: "asked"; readonly asked: Asked };

/** Reads the answer to a call: a JSON-RPC response. */
export function outcomeOf({ message, text }: WrittenMessage): CallOutcome {
  if (message.kind === "response" && message.error) {
    const { code, message: says } = message.error;
    if (!Number.isInteger(code) || typeof says !== "string") {
      return failedWith("The upstream's error is none of JSON-RPC");
    }
    return failed(memberText(text, "error") ?? "{}", says);
  }
  const result = memberText(text, "result") ?? "null";
  if (!result.startsWith("{")) return failedWith("The upstream's result is no object");
  const type = parseJson(memberText(result, "resultType") ?? '"complete"');
  if (type === "complete") return { kind: "ended", end: completed(result) };
  if (type !== "input_required") return failedWith("The upstream's result is of an unknown type");
  const requests = membersOf(memberText(result, "inputRequests") ?? "{}");
  if (!requests || !Object.values(requests).every((request) => request.startsWith("{"))) {
    return failedWith("The upstream asked for something that is no request");
  }
  const requestState = memberText(result, "requestState");
  return { kind: "asked", asked: { requests, requestState } };
}

function completed(result: string): TaskEnd {
  const known = memberText(result, "resultType") !== undefined;
  return {
    status: "completed",
    result: known ? result : withMember(result, "resultType", '"complete"'),
  };
}

function failed(error: string, message: string): CallOutcome {
  const said = message === "" ? {} : { message: shorten(message, MAX_STATUS_MESSAGE_LENGTH) };
  return { kind: "ended", end: { status: "failed", error, ...said } };
}

function failedWith(message: string): CallOutcome {
  return failed(JSON.stringify({ code: -32603, message }), message);
}

/** A call as its answers name it. `repeatsBegin` says how the ids of its repetitions begin, if it may have some. */
export interface CallNames {
  readonly id: RequestId;
  readonly repeatsBegin?: string;
}

/** Whether a message is the answer to this call, or to a repetition of it. An error may name no call. */
export function isAnswerTo(
  { id, repeatsBegin: begin }: CallNames,
  { message }: WrittenMessage,
): boolean {
  if (message.kind !== "response") return false;
  if (message.id === undefined) return true;
  if (begin !== undefined && message.id.startsWith(begin)) return true;
  return requestMeant(message.id, [id], [id]) !== undefined;
}

/** The response in the text of a whole answer, the one to this call if one is given; undefined if there is none. */
export function responseIn(text: string, call?: CallNames): WrittenMessage | undefined {
  return messagesIn(text).find((written) =>
    call === undefined ? written.message.kind === "response" : isAnswerTo(call, written),
  );
}

/** A response with this result, which is JSON. */
export function responseText(id: RequestId, result: string): string {
  return `{"jsonrpc":"2.0","id":${id},"result":${result}}`;
}
