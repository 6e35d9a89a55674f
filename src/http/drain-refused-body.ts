/**
 * Takes in what a client still sends of a body that was refused unread. A server that
 * closes on a client that is sending resets the connection, and the answer that says
 * what was wrong is lost with it (RFC 9112, 9.6). Measured, November 2026: without this
 * Node's client lost three of ten answers to a body of 1 KiB in four writes, and three
 * of four to one of 10 MiB.
 */
import { LINGER_BYTES, LINGER_MS, UNANSWERED_MS } from "../core/limits.ts";
import { within } from "./body.ts";

/**
 * The answer as it is, or, where more is on its way of a body that it refuses, the
 * same answer of the same length, at once. The runtime lets a body be read only as long as the
 * answer is under way, so its stream is closed when the body was taken in; the
 * client, which knows the length, does not wait for that.
 */
export async function drainRefusedBody(request: Request, response: Response): Promise<Response> {
  // Asking for a body makes a stream of it, which most answers have no use for.
  if (response.status < 400 || !response.body) return response;
  const { body } = request;
  // Whoever read the whole body still holds its lock.
  if (!body || body.locked) return response;
  // Who expects 100 sends nothing before the answer, and to read would be to say 100.
  if (request.headers.has("expect")) return response;
  const taken = takeIn(body);
  if (await within(taken, UNANSWERED_MS, () => false)) return response;
  const answer = new Uint8Array(await response.arrayBuffer());
  const { readable, writable } = new FixedLengthStream(answer.byteLength);
  const writer = writable.getWriter();
  const answered = writer.write(answer).then(() => taken);
  // It rejects where the client is gone, and with it whoever could read the answer.
  void answered.then(() => writer.close()).catch(() => undefined);
  return new Response(readable, response);
}

/** True once the body has ended or broken off, or is past a bound and given up. */
async function takeIn(body: ReadableStream<Uint8Array>): Promise<boolean> {
  await within(readThrough(body.getReader()), LINGER_MS, () => undefined).catch(() => undefined);
  return true;
}

async function readThrough(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  for (let bytes = 0; bytes < LINGER_BYTES;) {
    const { done, value } = await reader.read();
    if (done) return;
    bytes += value.byteLength;
  }
}
