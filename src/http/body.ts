/**
 * Reads request bodies, chunked ones too, within bounds of size and time. Without the bound of
 * time a client that sends half a body would wait for its answer for ever.
 */
import { boundedBody } from "../wire/bytes.ts";
import { SessionError } from "../core/errors.ts";
import { parseJson } from "../wire/json.ts";
import { BODY_MS, MAX_JSON_DEPTH } from "../core/limits.ts";
import { within } from "../wire/timers.ts";

type Bytes = ArrayBuffer | Uint8Array;

/** Reads at most `maxBytes`. Throws a SessionError: `payload_too_large`, or `invalid_request` for an incomplete body. */
export async function readBody(request: Request, maxBytes: number): Promise<Bytes> {
  const announced = request.headers.get("content-length");
  if (Number(announced) > maxBytes) throw tooLarge(maxBytes);
  // HTTP holds a body to its announced length, and the platform reads one faster than a loop.
  const reading = announced === null ? unannounced(request, maxBytes) : request.arrayBuffer();
  const whole = reading.catch(() => {
    // The runtime reports a lost connection, which elsewhere means that the service failed.
    throw notWhole("when it ended");
  });
  const bytes = await within<Bytes | undefined>(whole, BODY_MS, () => {
    throw notWhole(`after ${BODY_MS / 1000} s`);
  });
  if (!bytes) throw tooLarge(maxBytes);
  return bytes;
}

async function unannounced(request: Request, maxBytes: number): Promise<Bytes | undefined> {
  // Only this path touches `body`: the access makes the platform build a stream.
  const { body } = request;
  return body ? boundedBody(body as ReadableStream<Uint8Array>, maxBytes) : new Uint8Array();
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** Throws a SessionError (`invalid_request`) for bytes that are not UTF-8; decoding would change them. */
export function textOf(bytes: Bytes): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new SessionError("invalid_request", "The body is not valid UTF-8.");
  }
}

function notWhole(when: string): SessionError {
  return new SessionError("invalid_request", `The body was not whole ${when}.`);
}

function tooLarge(maxBytes: number): SessionError {
  return new SessionError("payload_too_large", `The body is over BODY_MAX_BYTES (${maxBytes}).`);
}

/** The media type of a Content-Type header, in lower case and without parameters; "" without a header. */
export function mediaTypeOf(header: string | null | undefined): string {
  return header?.split(";")[0]?.trim().toLowerCase() ?? "";
}

/** JSON, with a suffix too (RFC 6839), and the name that JSON-RPC over HTTP gave it. */
export const JSON_TYPES = /^application\/([\w.-]+\+)?json(-rpc)?$/;

/** Whether a Content-Type is one of these. Some senders say it twice, and the lines are joined. */
export function isOfType(header: string | null, types: RegExp): boolean {
  if (types.test(mediaTypeOf(header))) return true;
  return (header ?? "").split(",").every((one) => types.test(mediaTypeOf(one)));
}

/**
 * Reads a JSON body; without one, `optional` makes it `{}`. Throws a SessionError:
 * `payload_too_large`, `unsupported_media_type`, or `invalid_request` for a missing body, bytes that
 * are not UTF-8, text that is not JSON, and nesting that could overflow a recursive reader.
 */
export async function readJson(
  request: Request,
  maxBytes: number,
  optional = false,
): Promise<unknown> {
  const bytes = await readBody(request, maxBytes);
  if (bytes.byteLength === 0) {
    if (optional) return {};
    throw new SessionError("invalid_request", "A body is needed.");
  }
  if (!isOfType(request.headers.get("content-type"), JSON_TYPES)) {
    throw new SessionError("unsupported_media_type", "The body must be application/json.");
  }
  const text = textOf(bytes);
  if (depthOf(text) > MAX_JSON_DEPTH) {
    const detail = `The body is nested deeper than ${MAX_JSON_DEPTH} levels.`;
    throw new SessionError("invalid_request", detail);
  }
  const value = parseJson(text);
  if (value !== undefined) return value;
  throw new SessionError("invalid_request", "The body is not valid JSON.");
}

/** Measures the deepest nesting of a JSON text, without recursion. */
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
