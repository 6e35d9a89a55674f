/** What the gateway answers over HTTP when it does not pass the upstream's own words on. */
import { ERROR_KINDS, type SessionError } from "../core/errors.ts";
import type { Failure } from "./contract.ts";
import { RPC_CODES, rpcError, type RequestId } from "./json-rpc.ts";
import { reportFailure } from "../http/problem.ts";
import type { GatewayCall } from "./context.ts";

type Headers = Readonly<Record<string, string>>;

/** A JSON-RPC error. `id` is left out where the request had none. */
export function rpcErrorResponse(
  status: number,
  code: number,
  message: string,
  id?: RequestId,
  headers?: Headers,
): Response {
  return jsonResponse(status, rpcError(code, message, id), headers);
}

export function jsonResponse(status: number, body: string, headers?: Headers): Response {
  return new Response(body, {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
  });
}

/** ToolHive's `NotFoundBody`: clients start a new session when they read it. */
export function sessionNotFound(id?: RequestId): Response {
  const error = { code: RPC_CODES.sessionNotFound, message: "Session not found" };
  const body = { error, ...(id !== undefined && { id }), jsonrpc: "2.0" };
  return jsonResponse(404, JSON.stringify(body));
}

export function failureResponse({ status, code, message }: Failure, id?: RequestId): Response {
  return rpcErrorResponse(status, code, message, id);
}

/** An error of the session host. A host that failed is a 503: a client must not take it for a lost session. */
export function hostErrorResponse(error: SessionError, id?: RequestId): Response {
  if (error.code === "session_not_found") return sessionNotFound(id);
  const { status } = ERROR_KINDS[error.code];
  const code =
    error.jsonRpcCode ?? (status >= 500 ? RPC_CODES.internalError : RPC_CODES.serverError);
  return rpcErrorResponse(status, code, error.message, id);
}

/** The last resort of every handler of the gateway. */
/** Every failure leaves as a JSON-RPC error, with the id of the request where it has one. */
export async function answer(
  { parts }: GatewayCall,
  id: RequestId | undefined,
  respond: () => Promise<Response>,
): Promise<Response> {
  try {
    return await respond();
  } catch (failure) {
    return hostErrorResponse(reportFailure(failure, parts.log), id);
  }
}
