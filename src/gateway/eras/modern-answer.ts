/**
 * Writes the messages of a server of the revisions with sessions as 2026-07-28 has them: its results, errors,
 * notifications and questions. Pure.
 */
import { isObject, parseJson } from "../../wire/json.ts";
import { memberText, membersOf, withMember } from "../../wire/json-text.ts";
import { messageOf, rpcError, RPC_CODES, withId, type RequestId } from "../json-rpc.ts";
import {
  CACHED_METHODS,
  META,
  METHOD_NOT_FOUND,
  missingIn,
  MODERN_VERSION,
  neededFor,
} from "./wire.ts";

/** A resource that there is not. 2026-07-28 says -32602 instead. */
const RESOURCE_NOT_FOUND = -32002;

/** The response to `method` under the client's own id, with what this era demands of a result. */
export function modernResponse(method: string, id: RequestId, text: string): string {
  const own = withId(text, id);
  const error = memberText(own, "error");
  if (error !== undefined) {
    return codeIn(error) === RESOURCE_NOT_FOUND
      ? withMember(own, "error", withMember(error, "code", String(RPC_CODES.invalidParams)))
      : own;
  }
  const result = memberText(own, "result");
  return result === undefined ? own : withMember(own, "result", modernResult(method, result));
}

export const UNKNOWN_STATE = "requestState is none that this server gave to this caller";

/** The response to a request with a `requestState` that is no good, for this reason. */
export function stateRefused(why: string, id: RequestId): string {
  return rpcError(RPC_CODES.invalidParams, why, id, { reason: "invalid_request_state" });
}

function modernResult(method: string, result: string): string {
  // No revision allows it. The client is to see what the server has answered.
  if (!result.startsWith("{")) return result;
  const complete = withMember(result, "resultType", '"complete"');
  if (!CACHED_METHODS.has(method)) return complete;
  // The gateway knows neither how long the result stays true, nor who else may see it.
  return withMember(withMember(complete, "ttlMs", "0"), "cacheScope", '"private"');
}

/** The HTTP status of such a response, where it is the whole answer. */
export function statusOfResponse(text: string): number {
  const error = memberText(text, "error");
  return error !== undefined && codeIn(error) === METHOD_NOT_FOUND ? 404 : 200;
}

function codeIn(error: string): unknown {
  return parseJson(memberText(error, "code") ?? "");
}

/** The answer to `server/discover`. `initialized` is the result of an initialize request. */
export function discoverResult(initialized: string): string {
  const value = parseJson(initialized);
  const { serverInfo, capabilities, instructions } = isObject(value) ? value : {};
  const { tasks: _tasks, ...offered } = isObject(capabilities) ? capabilities : {};
  return JSON.stringify({
    resultType: "complete",
    supportedVersions: [MODERN_VERSION],
    capabilities: offered,
    ...(typeof instructions === "string" && { instructions }),
    ttlMs: 0,
    cacheScope: "private",
    ...(isObject(serverInfo) && { _meta: { [META.serverInfo]: serverInfo } }),
  });
}

/** A question of the server to its client. */
export interface Ask {
  /** The server's own id of it. */
  readonly id: RequestId;
  readonly method: string;
  /** JSON; undefined where it has none. */
  readonly params: string | undefined;
}

/** A message of the server, while a call is under way. */
export type Heard =
  | { readonly kind: "response"; readonly id: RequestId | undefined }
  | { readonly kind: "ask"; readonly ask: Ask }
  /** The gateway answers it itself. */
  | { readonly kind: "answered"; readonly answer: string }
  | { readonly kind: "progress"; readonly token: string | undefined }
  | { readonly kind: "log"; readonly level: unknown }
  /** It belongs on `subscriptions/listen`. */
  | { readonly kind: "change" }
  | { readonly kind: "ignored" };

/** The notifications that `subscriptions/listen` brings, with the member of its filter that asks for each. */
export const CHANGES: ReadonlyMap<string, string> = new Map([
  ["notifications/tools/list_changed", "toolsListChanged"],
  ["notifications/prompts/list_changed", "promptsListChanged"],
  ["notifications/resources/list_changed", "resourcesListChanged"],
  ["notifications/resources/updated", "resourceSubscriptions"],
]);

/** Reads one message of the server. `capabilities` are those that its client has declared. */
export function heardOf(text: string, capabilities: unknown): Heard {
  const value = parseJson(text);
  const message = messageOf(value, text);
  if (!message) return { kind: "ignored" };
  if (message.kind === "response") return { kind: "response", id: message.id };
  const params = memberText(text, "params");
  const given = isObject(value) ? value["params"] : undefined;
  if (message.kind === "request") {
    return asked(message.id, message.method, params, given, capabilities);
  }
  switch (message.method) {
    case "notifications/progress":
      return { kind: "progress", token: memberText(params ?? "", "progressToken") };
    case "notifications/message":
      return { kind: "log", level: isObject(given) ? given["level"] : undefined };
    default:
      return { kind: CHANGES.has(message.method) ? "change" : "ignored" };
  }
}

function asked(
  id: RequestId,
  method: string,
  params: string | undefined,
  given: unknown,
  capabilities: unknown,
): Heard {
  if (method === "ping") {
    return { kind: "answered", answer: `{"jsonrpc":"2.0","id":${id},"result":{}}` };
  }
  const problem = askProblem(method, given, capabilities);
  if (!problem) return { kind: "ask", ask: { id, method, params } };
  return { kind: "answered", answer: `{"jsonrpc":"2.0","id":${id},"error":${problem}}` };
}

/**
 * The error with which a client of the older revisions answers an undeclared question: -32601 for a method
 * that it does not know (2025-11-25, "Roots", "Sampling"), -32602 for a kind of it (-"Elicitation", "Sampling").
 */
function askProblem(method: string, params: unknown, capabilities: unknown): string | undefined {
  const needed = neededFor(method, params);
  if (!needed) return errorText(METHOD_NOT_FOUND, "Method not found");
  const missing = missingIn(capabilities, needed);
  if (!missing) return undefined;
  const [name = ""] = Object.keys(needed);
  const has = isObject(capabilities) && isObject(capabilities[name]);
  return has
    ? errorText(RPC_CODES.invalidParams, `The client has not declared this kind of ${name}`)
    : errorText(METHOD_NOT_FOUND, `The client does not support ${name}`);
}

function errorText(code: number, message: string): string {
  return JSON.stringify({ code, message });
}

const LEVELS = [
  "debug",
  "info",
  "notice",
  "warning",
  "error",
  "critical",
  "alert",
  "emergency",
] as const;

/** Whether a message of this level is for a client that asked for `wanted`. */
export function isLoud(level: unknown, wanted: string | undefined): boolean {
  if (wanted === undefined) return false;
  const rank = (one: unknown) => (LEVELS as readonly unknown[]).indexOf(one);
  return rank(level) < 0 || rank(level) >= rank(wanted);
}

/** A progress notification with the client's own token. */
export function withToken(text: string, token: string): string {
  const params = memberText(text, "params") ?? "{}";
  return withMember(text, "params", withMember(params, "progressToken", token));
}

/** The result that asks the client. Its keys are those of `asks`. */
export function inputRequired(
  id: RequestId,
  asks: ReadonlyMap<string, Ask>,
  requestState: string,
): string {
  const requests = [...asks].map(([key, { method, params }]) => {
    const given = params === undefined ? "" : `,"params":${withoutOlder(params)}`;
    return `${JSON.stringify(key)}:{"method":${JSON.stringify(method)}${given}}`;
  });
  const state = JSON.stringify(requestState);
  const result = `{"resultType":"input_required","inputRequests":{${requests.join(",")}},"requestState":${state}}`;
  return `{"jsonrpc":"2.0","id":${id},"result":${result}}`;
}

/** The parameters without what only the older revisions can use. */
function withoutOlder(params: string): string {
  const members = Object.entries(membersOf(params) ?? {})
    .filter(([key]) => key !== "task" && key !== "_meta" && key !== "elicitationId")
    .map(([key, value]) => `${JSON.stringify(key)}:${value}`);
  return `{${members.join(",")}}`;
}

/** A message on a `subscriptions/listen`, with the id of that. */
export function withSubscription(text: string, id: RequestId): string {
  const params = memberText(text, "params") ?? "{}";
  const meta = withMember(memberText(params, "_meta") ?? "{}", META.subscriptionId, id);
  return withMember(text, "params", withMember(params, "_meta", meta));
}
