/**
 * Reads request bodies: bounded in size, chunked ones too, and in time. A client that
 * sends half a body and no more would otherwise wait for an answer for ever.
 */
import { boundedBody } from "../session/bounded-body.ts";
import { SessionError } from "../session/errors.ts";
import { BODY_MS } from "../session/limits.ts";

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
