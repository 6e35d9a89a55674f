/** The gateway's own answers: a JSON-RPC error, or JSON, over HTTP. */
import type { SessionError } from "../core/errors.ts";
import { MAX_DETAIL_LENGTH } from "../core/limits.ts";
import { jsonAnswer } from "../http/answer-headers.ts";
import { reportFailure, retryAfter } from "../http/problem.ts";
import type { Logger } from "../logger.ts";
import { shorten } from "../wire/shorten.ts";
import type { Failure } from "./contract.ts";
import { RPC_CODES, rpcError, type RequestId } from "./json-rpc.ts";

type Headers = Readonly<Record<string, string>>;

/**
 * A handler throws this to refuse a request: `errorResponse` makes an HTTP answer of it with
 * this status, and a JSON-RPC error with this message and code.
 *
 * @example throw new Refused(406, "Accept must take text/event-stream");
 */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly failure: Failure;
  /** The data of the JSON-RPC error, if it has some. */
  readonly data: unknown;

  constructor(
    status: number,
    message: string,
    code: number = RPC_CODES.serverError,
    headers: Headers = {},
    data?: unknown,
  ) {
    super(message);
    this.failure = { status, message, code, headers };
    this.data = data;
  }

  static as(failure: Failure): Refused {
    const { status, message, code, headers } = failure;
    return new Refused(status, message, code, headers);
  }
}

/**
 * The answer to a request whose handler threw `failure`. Without an `id`, the error has none. Its message
 * may quote what the client sent, so it is cut here.
 */
export function errorResponse(failure: unknown, log: Logger, id?: RequestId): Response {
  if (failure instanceof Refused) {
    const { status, code, message, headers } = failure.failure;
    return jsonResponse(status, rpcError(code, shortened(message), id, failure.data), headers);
  }
  const error = reportFailure(failure, log);
  const { status, message } = error;
  if (error.code === "session_not_found") return jsonResponse(status, notFoundBody(id));
  const body = rpcError(codeOf(error), shortened(message), id);
  return jsonResponse(status, body, retryAfter(error.code));
}

function shortened(message: string): string {
  return shorten(message, MAX_DETAIL_LENGTH);
}

/** The JSON-RPC code. A host that failed must not get the code of a lost session, on which clients start a new one. */
function codeOf({ status, jsonRpcCode }: SessionError): number {
  return jsonRpcCode ?? (status >= 500 ? RPC_CODES.internalError : RPC_CODES.serverError);
}

/** ToolHive's `NotFoundBody`: clients start a new session when they read it. */
function notFoundBody(id: RequestId | undefined): string {
  const error = { code: RPC_CODES.sessionNotFound, message: "Session not found" };
  const member = id === undefined ? "" : `"id":${id},`;
  return `{"error":${JSON.stringify(error)},${member}"jsonrpc":"2.0"}`;
}

export function jsonResponse(status: number, body: string, headers?: Headers): Response {
  return jsonAnswer(body, status, headers);
}
