/** Reads the JSON that a client posts, within a bound, also where its length is not announced. */
import { dropBody } from "../http/refused-body.ts";
import { boundedBody } from "../session/bounded-body.ts";
import { parseJson, RPC_CODES } from "../session/json-rpc.ts";
import { rpcErrorResponse } from "./answers.ts";
import { isJsonContent } from "./negotiate.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

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
  try {
    const bytes = await bytesOf(request, maxBytes);
    if (!bytes) {
      await dropBody(request, maxBytes);
      return rpcErrorResponse(413, RPC_CODES.serverError, "The body is over BODY_MAX_BYTES");
    }
    const body = decoder.decode(bytes);
    const value = parseJson(body);
    if (value !== undefined) return { body, value };
  } catch {
    // It is not UTF-8, or ended before it was whole.
  }
  return rpcErrorResponse(400, RPC_CODES.parseError, "Parse error");
}

/** Undefined: over the bound. Rejects where the body breaks off. */
async function bytesOf(
  request: Request,
  maxBytes: number,
): Promise<ArrayBuffer | Uint8Array | undefined> {
  const announced = request.headers.get("content-length");
  if (Number(announced) > maxBytes) return undefined;
  // HTTP holds a body to its length, and the platform reads one quicker than a loop does.
  if (announced !== null || !request.body) return request.arrayBuffer();
  return boundedBody(request.body as ReadableStream<Uint8Array>, maxBytes);
}
