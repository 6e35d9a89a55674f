/** Reads the JSON that a client posts. */
import { depthOf } from "../http/json-body.ts";
import { readBody, textOf } from "../http/request-body.ts";
import { SessionError } from "../session/errors.ts";
import { parseJson, RPC_CODES } from "../session/json-rpc.ts";
import { MAX_JSON_DEPTH } from "../session/limits.ts";
import { hostErrorResponse, rpcErrorResponse } from "./answers.ts";
import { isJsonContent } from "./negotiate.ts";

export interface Posted {
  /** As it was sent. */
  readonly body: string;
  /** The same, parsed. */
  readonly value: unknown;
}

/** What was posted, or the refusal of what is no JSON, or too much of it. */
export async function readPosted(request: Request, maxBytes: number): Promise<Posted | Response> {
  if (!isJsonContent(request.headers.get("content-type"))) {
    return rpcErrorResponse(415, RPC_CODES.serverError, "Content-Type must be application/json");
  }
  let body: string;
  try {
    body = textOf(await readBody(request, maxBytes));
  } catch (failure) {
    if (!(failure instanceof SessionError)) throw failure;
    if (failure.code === "payload_too_large") return hostErrorResponse(failure);
    return rpcErrorResponse(400, RPC_CODES.parseError, `Parse error: ${failure.message}`);
  }
  if (depthOf(body) > MAX_JSON_DEPTH) {
    const message = `The body is nested deeper than ${MAX_JSON_DEPTH} levels`;
    return rpcErrorResponse(400, RPC_CODES.invalidRequest, message);
  }
  const value = parseJson(body);
  return value === undefined
    ? rpcErrorResponse(400, RPC_CODES.parseError, "Parse error")
    : { body, value };
}
