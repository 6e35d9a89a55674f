/** JSON-RPC 2.0 messages as MCP uses them, and the gateway's own errors. */
import { ERROR_KINDS } from "../core/errors.ts";
import { isObject } from "../wire/json.ts";

export type RequestId = string | number;

export type Message =
  | { readonly kind: "request"; readonly id: RequestId; readonly method: string }
  | { readonly kind: "notification"; readonly method: string }
  | { readonly kind: "response"; readonly id: RequestId | undefined; readonly failed: boolean };

/** The codes in the gateway's own errors, from JSON-RPC 2.0 and ToolHive (-32001). */
export const RPC_CODES = {
  parseError: -32700,
  invalidRequest: -32600,
  invalidParams: -32602,
  internalError: -32603,
  serverError: -32000,
  sessionNotFound: ERROR_KINDS.session_not_found.jsonRpcCode,
} as const;

/** Reads a parsed JSON value as a message; undefined if it is not one. */
export function messageOf(value: unknown): Message | undefined {
  if (!isObject(value) || value["jsonrpc"] !== "2.0") return undefined;
  const { id, method } = value;
  if (typeof method === "string") {
    if (!("id" in value)) return { kind: "notification", method };
    return isRequestId(id) ? { kind: "request", id, method } : undefined;
  }
  const failed = isObject(value["error"]);
  if (!failed && !("result" in value)) return undefined;
  if (isRequestId(id)) return { kind: "response", id, failed };
  // An error about a request that could not be read has no id, or null.
  return failed && (id === null || id === undefined)
    ? { kind: "response", id: undefined, failed }
    : undefined;
}

function isRequestId(id: unknown): id is RequestId {
  return typeof id === "string" || (typeof id === "number" && Number.isFinite(id));
}

/** A key for a Map: 1 and "1" are two ids, so the key keeps the type. */
export function idKey(id: RequestId): string {
  return JSON.stringify(id);
}

/** An error response. Without an `id`, it has none: MCP does not allow null. */
export function rpcError(code: number, message: string, id?: RequestId): string {
  const error = { code, message };
  return JSON.stringify({ jsonrpc: "2.0", ...(id !== undefined && { id }), error });
}
