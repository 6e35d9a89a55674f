/** Bounds a request body, chunked ones too, and blames one that breaks off on who sent it. */
import type { MiddlewareHandler } from "hono";
import { boundedBody } from "../session/bounded-body.ts";
import { SessionError } from "../session/errors.ts";

export function limitBody(maxBytes: number): MiddlewareHandler {
  return async (c, next) => {
    const { body, headers } = c.req.raw;
    const announced = headers.get("content-length");
    if (Number(announced) > maxBytes) throw tooLarge(maxBytes);
    // HTTP holds a body to its length.
    if (!body || announced !== null) return next();
    const bytes = await boundedBody(body as ReadableStream<Uint8Array>, maxBytes).catch(brokenOff);
    if (!bytes) throw tooLarge(maxBytes);
    c.req.raw = new Request(c.req.raw, { method: c.req.method, body: bytes });
    return next();
  };
}

function tooLarge(maxBytes: number): SessionError {
  return new SessionError("payload_too_large", `The body is over BODY_MAX_BYTES (${maxBytes}).`);
}

/** Throws. The runtime calls it a lost connection, which for the service's own connections would be a failure of ours. */
export function brokenOff(): never {
  throw new SessionError("invalid_request", "The body ended before it was whole.");
}
