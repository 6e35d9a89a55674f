/** Reads a request's body within a bound, also where its length is not announced. */

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

export type BodyResult =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "too_large" }
  /** Not UTF-8, so not JSON, or broken off before it was whole. */
  | { readonly kind: "malformed" };

export async function readBody(request: Request, maxBytes: number): Promise<BodyResult> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > maxBytes) return { kind: "too_large" };
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  if (request.body) {
    const reader = request.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    for (;;) {
      // What fails here is the client's connection or its chunks, never something of ours.
      const chunk = await reader.read().catch(() => undefined);
      if (!chunk) return { kind: "malformed" };
      const { done, value } = chunk;
      if (done) break;
      bytes += value.byteLength;
      if (bytes > maxBytes) {
        void reader.cancel().catch(() => undefined);
        return { kind: "too_large" };
      }
      chunks.push(value);
    }
  }
  const whole = new Uint8Array(bytes);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  try {
    return { kind: "text", text: decoder.decode(whole) };
  } catch {
    return { kind: "malformed" };
  }
}
