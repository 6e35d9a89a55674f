/**
 * ToolHive's answer for a session that is not there: HTTP 404 with a JSON-RPC
 * error. MCP types an error's id as a string or a number and lets it be absent,
 * never null; a null id makes the official client's transport throw.
 */
import { escapeJson } from "./go-json.ts";

/** The id of a JSON-RPC request: parsed, or as the raw JSON of a request that must not be rounded. */
export type JsonRpcId = string | number | bigint | { readonly rawJson: string };

/** JSON-RPC code of a session that is not there: what MCP clients recover from. */
export const CODE_SESSION_NOT_FOUND = -32001;
export const MESSAGE_SESSION_NOT_FOUND = "Session not found";

/** Whether a request has an id to echo. 0 and "" are ids; null, undefined and empty raw JSON are not. */
export function hasJsonRpcId(id: JsonRpcId | null | undefined): id is JsonRpcId {
  if (id === null || id === undefined) return false;
  // What JSON has no number for would not be one in the answer either.
  if (typeof id === "number") return Number.isFinite(id);
  return typeof id !== "object" || (id.rawJson !== "" && id.rawJson !== "null");
}

/** The body, with `id` only where the request had one. */
export function notFoundBody(id?: JsonRpcId | null): string {
  const echoed = hasJsonRpcId(id) ? `"id":${idJson(id)},` : "";
  const error = `{"code":${CODE_SESSION_NOT_FOUND},"message":"${MESSAGE_SESSION_NOT_FOUND}"}`;
  return `{"error":${error},${echoed}"jsonrpc":"2.0"}`;
}

/** The whole answer: status 404, `application/json`, and `notFoundBody`. */
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
