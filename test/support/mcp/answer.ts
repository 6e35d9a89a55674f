import type { Answer } from "../../../src/gateway/upstream/upstream.ts";

/** What a server of the Worker's own answered, as a response over HTTP. */
export function responseOf(answer: Answer): Response {
  if (typeof answer !== "string") return answer;
  return new Response(answer, { headers: { "content-type": "application/json" } });
}
