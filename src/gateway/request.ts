/** Reads the JSON that a client posts. */
import { depthOf, mediaTypeOf, readBody, textOf } from "../http/body.ts";
import { SessionError } from "../core/errors.ts";
import { parseJson } from "../wire/json.ts";
import { RPC_CODES } from "./json-rpc.ts";
import { MAX_JSON_DEPTH } from "../core/limits.ts";
import { hostErrorResponse, rpcErrorResponse } from "./answers.ts";
/** Content negotiation, as far as MCP needs it. Pure. */

/** Whether the Accept header takes all of `types`. Absent, it takes everything (RFC 9110, 12.5.1). */
export function accepts(header: string | null, ...types: readonly string[]): boolean {
  if (header === null) return true;
  const ranges = header
    .split(",")
    .map((range) => range.split(";").map((part) => part.trim().toLowerCase()));
  return types.every((type) =>
    ranges.some(([range = "", ...params]) => matches(range, type) && !params.includes("q=0")),
  );
}

function matches(range: string, type: string): boolean {
  return range === "*/*" || range === type || range === `${type.split("/")[0]}/*`;
}

export interface Posted {
  /** As it was sent. */
  readonly body: string;
  /** The same, parsed. */
  readonly value: unknown;
}

/** What was posted, or the refusal of what is no JSON, or too much of it. */
export async function readPosted(request: Request, maxBytes: number): Promise<Posted | Response> {
  if (mediaTypeOf(request.headers.get("content-type")) !== "application/json") {
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
