/** Reads bodies within a bound, joins bytes, and measures text in UTF-8. */

/** Joins bytes that came in parts. A single part is returned as it is, not copied. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (first && parts.length === 1) return first;
  const whole = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}

/** The same stream, which calls `over` once, when it ends, breaks off or is left. */
export function watched(
  body: ReadableStream<Uint8Array>,
  over: () => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let isLeft = false;
  return new ReadableStream({
    pull: async (controller) => {
      try {
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value);
        controller.close();
      } catch (failure) {
        controller.error(failure);
      }
      // Who leaves it ends the read that is under way.
      if (!isLeft) over();
    },
    cancel: (reason) => {
      isLeft = true;
      over();
      return reader.cancel(reason);
    },
  });
}

/** Bytes of the first read. Each read after it asks for twice as many. */
const FIRST_BYTES = 4096;

/**
 * Reads a body of unknown length. Undefined if it is over `maxBytes`: the rest is unread then, and
 * the body unlocked. Before each read it calls `takes` with the bytes of memory that the body takes by
 * then. If `takes` throws, the rest is unread too, and this rejects. Rejects if the body breaks off.
 *
 * @example const bytes = await boundedBody(request.body, 1024 * 1024);
 */
export async function boundedBody(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
  takes?: (bytes: number) => void,
): Promise<Uint8Array | undefined> {
  const filling = fillingReader(body);
  const reader = filling ?? body.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  let isWhole = false;
  try {
    for (let size = FIRST_BYTES; ; size *= 2) {
      // One byte over the bound shows that there is more.
      const asked = filling ? Math.min(size, maxBytes + 1 - bytes) : 0;
      takes?.(bytes + asked);
      const { done, value } = await (filling
        ? filling.readAtLeast(asked, new Uint8Array(asked))
        : (reader as ReadableStreamDefaultReader<Uint8Array>).read());
      if (value) chunks.push(value);
      bytes += value?.byteLength ?? 0;
      if (bytes > maxBytes) return undefined;
      isWhole = done || (filling !== undefined && value.byteLength < asked);
      if (isWhole) return concat(chunks);
    }
  } finally {
    // Nobody reads a body again that is at its end, and to unlock it takes workerd 12 µs (it makes an error).
    if (!isWhole) reader.releaseLock();
  }
}

/** A browser's types, by which the client's pages are checked, do not know `readAtLeast`. */
interface FillingReader {
  readAtLeast(bytes: number, into: Uint8Array): Promise<ReadableStreamReadResult<Uint8Array>>;
  releaseLock(): void;
}

/**
 * A reader that gives less than it is asked for only at the end, so that a small body takes one read
 * instead of one for each chunk and one for the end (35 µs of CPU less a call, measured on workerd
 * in a bare gateway). Only workerd's own streams have one.
 */
function fillingReader(body: ReadableStream<Uint8Array>): FillingReader | undefined {
  if (!("readAtLeast" in ReadableStreamBYOBReader.prototype)) return undefined;
  try {
    return body.getReader({ mode: "byob" }) as ReadableStreamBYOBReader & FillingReader;
  } catch {
    return undefined;
  }
}

const encoder = new TextEncoder();

/** Bytes of the text in UTF-8. */
export function utf8Length(text: string): number {
  return encoder.encode(text).byteLength;
}

/** Whether the text is over `maxBytes` in UTF-8. Most texts need no encoding to know that. */
export function exceeds(text: string, maxBytes: number): boolean {
  // A UTF-16 unit is at least one byte in UTF-8 and at most three.
  if (text.length > maxBytes) return true;
  return text.length * 3 > maxBytes && utf8Length(text) > maxBytes;
}
