/**
 * Reads request bodies, chunked ones too, within bounds of size, time and shape. Without the bound of
 * time a client that sends half a body would wait for its answer for ever.
 */
import { boundedBody } from "../wire/bytes.ts";
import { SessionError } from "../core/errors.ts";
import { jsonProblem } from "../core/json-bounds.ts";
import { parseJson } from "../wire/json.ts";
import { BODY_MS, MAX_SMALL_BODY_BYTES } from "../core/limits.ts";
import { within } from "../wire/timers.ts";
import { NO_ROOM, type Hold } from "./held-bytes.ts";

type Bytes = ArrayBuffer | Uint8Array;

/** How large a body may be, in bytes. */
export interface BodyLimit {
  readonly maxBytes: number;
  /** Where the limit comes from: `BODY_MAX_BYTES`. */
  readonly name: string;
}

/**
 * Reads a body within `limit`, which `hold` counts as it comes. Throws a SessionError:
 * `payload_too_large`, `invalid_request` for an incomplete body, or `unavailable` while too much is held.
 */
export async function readBody(request: Request, limit: BodyLimit, hold: Hold): Promise<Bytes> {
  const { maxBytes } = limit;
  const announced = request.headers.get("content-length");
  if (Number(announced) > maxBytes) throw tooLarge(limit);
  // A body cannot be longer than announced, and the platform reads it faster than a loop. A larger
  // body is counted as it comes: one that is announced and never sent takes no room from others.
  const isSmall = announced !== null && Number(announced) <= MAX_SMALL_BODY_BYTES;
  const reading = isSmall ? request.arrayBuffer() : counted(request, maxBytes, hold);
  const whole = reading.catch((failure: unknown) => {
    if (failure instanceof SessionError) throw failure;
    // The runtime reports a lost connection, which elsewhere means that the service failed.
    throw notWhole("when it ended");
  });
  const bytes = await within<Bytes | undefined>(whole, BODY_MS, () => {
    throw notWhole(`after ${BODY_MS / 1000} s`);
  });
  if (!bytes) throw tooLarge(limit);
  return bytes;
}

async function counted(request: Request, maxBytes: number, hold: Hold): Promise<Bytes | undefined> {
  // Only this path touches `body`: the access makes the platform build a stream.
  const body = request.body as ReadableStream<Uint8Array> | null;
  if (!body) return new Uint8Array();
  return boundedBody(body, maxBytes, (bytes) => {
    if (!hold.grow(bytes)) throw new SessionError("unavailable", NO_ROOM);
  });
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

function tooLarge({ maxBytes, name }: BodyLimit): SessionError {
  return new SessionError("payload_too_large", `The body is over ${name} (${maxBytes}).`);
}

/** The media type of a Content-Type header, in lower case and without parameters; "" without a header. */
export function mediaTypeOf(header: string | null | undefined): string {
  return header?.split(";")[0]?.trim().toLowerCase() ?? "";
}

/** JSON, with a suffix too (RFC 6839), and the name that JSON-RPC over HTTP gave it. */
export const JSON_TYPES = /^application\/([\w.-]+\+)?json(-rpc)?$/;

/** Whether a Content-Type is one of these. Some senders say it twice, and the lines are joined. */
export function isOfType(header: string | null | undefined, types: RegExp): boolean {
  if (types.test(mediaTypeOf(header))) return true;
  return (header ?? "").split(",").every((one) => types.test(mediaTypeOf(one)));
}

/**
 * Reads a JSON body; without one, `optional` makes it `{}`. Throws a SessionError, as `readBody` does
 * and: `unsupported_media_type`, or `invalid_request` for a missing body, bytes that are not UTF-8,
 * text that is not JSON, and a text that breaks the bounds of `jsonProblem`.
 */
export async function readJson(
  request: Request,
  limit: BodyLimit,
  hold: Hold,
  optional = false,
): Promise<unknown> {
  const bytes = await readBody(request, limit, hold);
  if (bytes.byteLength === 0) {
    if (optional) return {};
    throw new SessionError("invalid_request", "A body is needed.");
  }
  if (!isOfType(request.headers.get("content-type"), JSON_TYPES)) {
    throw new SessionError("unsupported_media_type", "The body must be application/json.");
  }
  const text = textOf(bytes);
  const problem = jsonProblem(text);
  if (problem !== undefined) throw new SessionError("invalid_request", `The body ${problem}.`);
  const value = parseJson(text);
  if (value !== undefined) return value;
  throw new SessionError("invalid_request", "The body is not valid JSON.");
}
