/** A client of 2024-11-05's HTTP+SSE, by hand. */
import { SseReader } from "../sse-reader.ts";

interface LegacySession {
  readonly id: string;
  readonly reader: SseReader;
  /** `headers` take the place of those that it was opened with. */
  post(body: unknown, headers?: Record<string, string>): Promise<Response>;
}

export async function openLegacy(
  base: string,
  credential: Record<string, string> = {},
): Promise<LegacySession> {
  const { body } = await fetch(`${base}/sse`, {
    headers: { accept: "text/event-stream", ...credential },
  });
  const reader = new SseReader(body!);
  const [first] = await reader.take(1);
  if (first?.event !== "endpoint") throw new Error(`the first event is ${first?.event}`);
  const endpoint = new URL(first.data, base);
  const id = endpoint.searchParams.get("session_id") ?? "";
  return {
    id,
    reader,
    post: (message, headers = {}) =>
      fetch(endpoint, {
        method: "POST",
        headers: { "content-type": "application/json", ...credential, ...headers },
        body: JSON.stringify(message),
      }),
  };
}
