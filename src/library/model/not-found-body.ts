/**
 * ToolHive's answer to a request for a session that does not exist: HTTP 404 with a JSON-RPC
 * error. In MCP an error's id is a string, a number or absent; a null one makes the official
 * client's transport throw.
 */
import { ERROR_KINDS } from "../../core/errors.ts";
import { escapeJson } from "./go-json.ts";

/** The id of a JSON-RPC request: parsed, or as raw JSON, which keeps every digit of a number. */
export type JsonRpcId = string | number | bigint | { readonly rawJson: string };

/** The JSON-RPC code from which MCP clients recover with a new session. */
export const CODE_SESSION_NOT_FOUND = ERROR_KINDS.session_not_found.jsonRpcCode;
export const MESSAGE_SESSION_NOT_FOUND = "Session not found";

/** Whether a request has an id to echo. 0 and "" are ids; null, undefined and empty raw JSON are not. */
export function hasJsonRpcId(id: JsonRpcId | null | undefined): id is JsonRpcId {
  if (id === null || id === undefined) return false;
  // JSON has no NaN and no Infinity.
  if (typeof id === "number") return Number.isFinite(id);
  return typeof id !== "object" || (id.rawJson !== "" && id.rawJson !== "null");
}

/**
 * The body of the answer. It has an `id` only if the request had one.
 *
 * @example
 * notFoundBody(7); // {"error":{"code":-32001,"message":"Session not found"},"id":7,"jsonrpc":"2.0"}
 */
export function notFoundBody(id?: JsonRpcId | null): string {
  const echoed = hasJsonRpcId(id) ? `"id":${idJson(id)},` : "";
  const error = `{"code":${CODE_SESSION_NOT_FOUND},"message":"${MESSAGE_SESSION_NOT_FOUND}"}`;
  return `{"error":${error},${echoed}"jsonrpc":"2.0"}`;
}

/**
 * The whole answer: status 404, `application/json`, and `notFoundBody`.
 *
 * @example
 * const session = await manager.get(id);
 * if (!session) return notFoundResponse(request.id);
 */
export function notFoundResponse(id?: JsonRpcId | null): Response {
  return new Response(notFoundBody(id), {
    status: 404,
    headers: { "content-type": "application/json" },
  });
}

function idJson(id: JsonRpcId): string {
  if (typeof id === "object") return escapeJson(id.rawJson);
  return typeof id === "string" ? escapeJson(JSON.stringify(id)) : String(id);
}
