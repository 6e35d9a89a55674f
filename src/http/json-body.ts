/**
 * Reads a JSON request body for Hono's validator, and refuses what that would let
 * through: no body where one is needed, bytes that are not UTF-8, another media type, and
 * nesting deep enough to overflow a recursive reader.
 */
import type { MiddlewareHandler } from "hono";
import { SessionError } from "../session/errors.ts";
import { MAX_JSON_DEPTH } from "../session/limits.ts";
import { readBody, textOf } from "./request-body.ts";

const JSON_MEDIA_TYPE = /^application\/([\w.-]+\+)?json$/i;

export function jsonBody(maxBytes: number, optional = false): MiddlewareHandler {
  return async (c, next) => {
    const bytes = await readBody(c.req.raw, maxBytes);
    if (bytes.byteLength === 0 && !optional) {
      throw new SessionError("invalid_request", "A body is needed.");
    }
    const mediaType = c.req.header("content-type")?.split(";")[0]?.trim() ?? "";
    if (bytes.byteLength > 0 && !JSON_MEDIA_TYPE.test(mediaType)) {
      throw new SessionError("unsupported_media_type", "The body must be application/json.");
    }
    const text = bytes.byteLength === 0 ? "{}" : textOf(bytes);
    if (depthOf(text) > MAX_JSON_DEPTH) {
      throw new SessionError(
        "invalid_request",
        `The body is nested deeper than ${MAX_JSON_DEPTH} levels.`,
      );
    }
    // What Hono parses then. Its cache holds promises, which its type leaves out.
    c.req.bodyCache.text = Promise.resolve(text) as unknown as string;
    return next();
  };
}

/** The deepest nesting of a JSON text, without recursion. */
export function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (inString) {
      if (char === BACKSLASH) i++;
      else if (char === QUOTE) inString = false;
    } else if (char === QUOTE) inString = true;
    else if (char === OPEN_BRACE || char === OPEN_BRACKET) deepest = Math.max(deepest, ++depth);
    else if (char === CLOSE_BRACE || char === CLOSE_BRACKET) depth--;
  }
  return deepest;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
