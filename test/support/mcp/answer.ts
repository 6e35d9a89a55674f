import type { Answer } from "../../../src/gateway/upstream/upstream.ts";

/** The answer of a server in the same Worker, as an HTTP response. */
export function responseOf(answer: Answer): Response {
  if (typeof answer !== "string") return answer;
  return new Response(answer, { headers: { "content-type": "application/json" } });
}
