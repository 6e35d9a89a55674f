/** Reads a request's body within a bound, also where its length is not announced. */
import { boundedBody } from "../session/bounded-body.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

export type BodyResult =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "too_large" }
  /** Not UTF-8, so not JSON; or it ended before it was whole. */
  | { readonly kind: "malformed" };

export async function readBody(request: Request, maxBytes: number): Promise<BodyResult> {
  const announced = request.headers.get("content-length");
  if (Number(announced) > maxBytes) return { kind: "too_large" };
  try {
    // HTTP holds a body to its length, and the platform reads one quicker than a loop does.
    const bytes =
      announced === null && request.body
        ? await boundedBody(request.body as ReadableStream<Uint8Array>, maxBytes)
        : await request.arrayBuffer();
    return bytes ? { kind: "text", text: decoder.decode(bytes) } : { kind: "too_large" };
  } catch {
    return { kind: "malformed" };
  }
}
