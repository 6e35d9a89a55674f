/** A fetch that opens a connection of its own for each request, so that a relay can cut just that one. */
import { request as httpRequest } from "node:http";
import { Readable } from "node:stream";

export function freshFetch(url: string | URL, init: RequestInit = {}): Promise<Response> {
  return new Promise((resolve, reject) => {
    const headers = Object.fromEntries(new Headers(init.headers));
    const options = { method: init.method ?? "GET", headers, agent: false as const };
    const request = httpRequest(String(url), options, (incoming) => {
      const status = incoming.statusCode ?? 500;
      // Node's and the platform's types of one standard class differ in members that are not used here.
      const body = Readable.toWeb(incoming) as unknown as ReadableStream<Uint8Array>;
      const empty = status === 202 || status === 204;
      if (empty) incoming.resume();
      const answer = { status, headers: incoming.headers as Record<string, string> };
      resolve(new Response(empty ? null : body, answer));
    });
    request.on("error", reject);
    init.signal?.addEventListener("abort", () => request.destroy());
    request.end(typeof init.body === "string" ? init.body : undefined);
  });
}
