/**
 * Reads request bodies: bounded in size, chunked ones too, and in time. A client that
 * sends half a body and no more would otherwise wait for an answer for ever.
 */
import { boundedBody } from "../wire/bytes.ts";
import { SessionError } from "../core/errors.ts";
import { BODY_MS, MAX_JSON_DEPTH } from "../core/limits.ts";
import type { MiddlewareHandler } from "hono";

type Bytes = ArrayBuffer | Uint8Array;

/** Throws a SessionError: `payload_too_large`, or `invalid_request` for a body that breaks off or does not end. */
export async function readBody(request: Request, maxBytes: number): Promise<Bytes> {
  const announced = request.headers.get("content-length");
  if (Number(announced) > maxBytes) throw tooLarge(maxBytes);
  // HTTP holds a body to its length, and the platform reads one quicker than a loop does.
  const reading = announced === null ? unannounced(request, maxBytes) : request.arrayBuffer();
  const bytes = await inTime<Bytes | undefined>(reading);
  if (!bytes) throw tooLarge(maxBytes);
  return bytes;
}

async function unannounced(request: Request, maxBytes: number): Promise<Bytes | undefined> {
  // Asked for here alone: the platform makes a stream of the body for whoever asks.
  const { body } = request;
  return body ? boundedBody(body as ReadableStream<Uint8Array>, maxBytes) : new Uint8Array();
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** Throws a SessionError (`invalid_request`) for what would be decoded to something that was not sent. */
export function textOf(bytes: Bytes): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new SessionError("invalid_request", "The body is not valid UTF-8.");
  }
}

async function inTime<T>(reading: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(notWhole(`after ${BODY_MS / 1000} s`)), BODY_MS);
  });
  try {
    return await Promise.race([reading.catch(brokenOff), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The runtime calls it a lost connection, which for the service's own connections would be a failure of ours. */
function brokenOff(): never {
  throw notWhole("when it ended");
}

function notWhole(when: string): SessionError {
  return new SessionError("invalid_request", `The body was not whole ${when}.`);
}

function tooLarge(maxBytes: number): SessionError {
  return new SessionError("payload_too_large", `The body is over BODY_MAX_BYTES (${maxBytes}).`);
}

/**
 * Reads a JSON request body for Hono's validator, and refuses what that would let
 * through: no body where one is needed, bytes that are not UTF-8, another media type, and
 * nesting deep enough to overflow a recursive reader.
 */
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
