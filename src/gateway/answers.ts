/** The errors that the gateway answers with by itself: JSON-RPC over HTTP. */
import type { SessionError } from "../core/errors.ts";
import { reportFailure } from "../http/problem.ts";
import type { Logger } from "../logger.ts";
import type { Failure } from "./contract.ts";
import { RPC_CODES, rpcError, type RequestId } from "./json-rpc.ts";

type Headers = Readonly<Record<string, string>>;

/** Why a request is not carried out: the HTTP status, and the message and code of its JSON-RPC error. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly failure: Failure;

  constructor(status: number, message: string, code: number = RPC_CODES.serverError) {
    super(message);
    this.failure = { status, message, code };
  }

  static as({ status, message, code }: Failure): Refused {
    return new Refused(status, message, code);
  }
}

/** The answer to a request that failed. `id` is the request's; left out where it had none. */
export function errorResponse(failure: unknown, log: Logger, id?: RequestId): Response {
  if (failure instanceof Refused) {
    const { status, code, message } = failure.failure;
    return jsonResponse(status, rpcError(code, message, id));
  }
  const error = reportFailure(failure, log);
  const { status, message } = error;
  if (error.code === "session_not_found") return jsonResponse(status, notFoundBody(id));
  return jsonResponse(status, rpcError(codeOf(error), message, id));
}

/** A host that failed is no lost session: its code must not have a client start a new one. */
function codeOf({ status, jsonRpcCode }: SessionError): number {
  return jsonRpcCode ?? (status >= 500 ? RPC_CODES.internalError : RPC_CODES.serverError);
}

/** ToolHive's `NotFoundBody`: clients start a new session when they read it. */
function notFoundBody(id: RequestId | undefined): string {
  const error = { code: RPC_CODES.sessionNotFound, message: "Session not found" };
  return JSON.stringify({ error, ...(id !== undefined && { id }), jsonrpc: "2.0" });
}

export function jsonResponse(status: number, body: string, headers?: Headers): Response {
  return new Response(body, {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
  });
}
