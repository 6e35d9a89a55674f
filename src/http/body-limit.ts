/** Bounds a request body, chunked ones too, and blames one that breaks off on who sent it. */
import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { SessionError } from "../session/errors.ts";
import { dropBody } from "./refused-body.ts";

export function limitBody(maxBytes: number): MiddlewareHandler {
  const limit = bodyLimit({
    maxSize: maxBytes,
    onError: async (c) => {
      await dropBody(c.req.raw, maxBytes);
      throw new SessionError("payload_too_large", `The body is over BODY_MAX_BYTES (${maxBytes}).`);
    },
  });
  return async (c, next) => {
    try {
      return await limit(c, next);
    } catch (failure) {
      // What fails behind `next` is answered there; only reading a chunked body fails here.
      throw failure instanceof SessionError ? failure : brokenOff();
    }
  };
}

/** The runtime calls it a lost connection, which for the service's own connections would be a failure of ours. */
export function brokenOff(): SessionError {
  return new SessionError("invalid_request", "The body ended before it was whole.");
}
