/**
 * An upstream that speaks only HTTP+SSE of 2024-11-05, made to look like a
 * Streamable HTTP one. Its one stream is a connection that must stay open, so a session with it
 * lives in the memory of whoever initialized it: the session's object, which it keeps
 * awake. When that is lost, the answer is 404, and the gateway initializes anew.
 */
import { derivedUpstreamUrl } from "../../config/upstreams.ts";
import { idKey, messageOf } from "../json-rpc.ts";
import { parseJson } from "../../wire/json.ts";
import { FrameStream } from "../../wire/sse-frame.ts";
import { SseParser } from "../../wire/sse-parser.ts";
import type { RequestParts, Send } from "./upstream.ts";

type Headers = RequestParts["headers"];
type Signal = RequestParts["signal"];

export function legacyServer(url: string, maxBytes: number, fetcher: typeof fetch): Send {
  const connections = new Map<string, Connection>();
  return async ({ method, headers: given, body = "", signal }) => {
    // Nothing comes on a standalone stream that does not come on the connection.
    if (method === "GET") return new Response(null, { status: 405 });
    // The legacy transport has no such headers.
    const {
      "mcp-session-id": sid,
      "mcp-protocol-version": _version,
      "last-event-id": _lastEventId,
      ...headers
    } = given;
    const known = sid === undefined ? undefined : connections.get(sid);
    if (sid !== undefined && !known) return new Response(null, { status: 404 });
    if (method === "DELETE") {
      known?.close();
      return new Response(null, { status: 204 });
    }
    if (known) return known.post(body, headers, signal);
    // The stateless revision ends up here as well; its clients fall back when they are refused.
    if (requestsIn(body)[0]?.method !== "initialize") return new Response(null, { status: 400 });
    const made = crypto.randomUUID();
    const connection = new Connection(maxBytes, fetcher, () => connections.delete(made));
    // Given up, failed or refused before it was answered: nobody will ever name this session.
    signal?.addEventListener("abort", () => connection.close());
    try {
      await connection.open(url, headers);
      connections.set(made, connection);
      const response = await connection.post(body, headers, signal);
      if (!response.ok) connection.close();
      response.headers.set("mcp-session-id", made);
      return response;
    } catch (failure) {
      connection.close();
      throw failure;
    }
  };
}

class Connection {
  readonly #maxBytes: number;
  readonly #fetch: typeof fetch;
  readonly #onClose: () => void;
  readonly #abort = new AbortController();
  /** Answers that are awaited, by the request's id; the same stream for all of a batch. */
  readonly #awaited = new Map<string, FrameStream>();
  #endpoint = "";

  constructor(maxBytes: number, fetcher: typeof fetch, onClose: () => void) {
    this.#maxBytes = maxBytes;
    this.#fetch = fetcher;
    this.#onClose = onClose;
  }

  /** Resolves when the server has said where to POST. Rejects where it does not. */
  async open(url: string, headers: Headers): Promise<void> {
    const { "content-type": _type, ...others } = headers;
    const response = await this.#fetch(url, {
      headers: { ...others, accept: "text/event-stream" },
      redirect: "manual",
      signal: this.#abort.signal,
    });
    if (!response.ok || !response.body) throw new Error(`the stream answered ${response.status}`);
    const endpoint = Promise.withResolvers<string>();
    void this.#read(response.body, endpoint).finally(() => this.close());
    // What a server says must not send our headers to another one.
    const verdict = derivedUpstreamUrl(await endpoint.promise, new URL(url));
    if (!verdict.ok) {
      this.close();
      throw new Error(`the endpoint ${verdict.reason}`);
    }
    this.#endpoint = verdict.url.href;
  }

  /** Aborting `signal` gives up on the POST, and on what it was to be answered with. */
  async post(body: string, headers: Headers, signal: Signal): Promise<Response> {
    signal?.throwIfAborted();
    const requests = requestsIn(body);
    // One that nobody reads would be sent what later calls are told of their progress.
    const forget = (): void => this.#forget(answers);
    const answers = new FrameStream(forget);
    for (const { id } of requests) this.#awaited.set(idKey(id), answers);
    signal?.addEventListener("abort", forget, { once: true });
    let response: Response;
    try {
      const request = { method: "POST", headers, body, redirect: "manual" } as const;
      response = await this.#fetch(this.#endpoint, { ...request, signal: signal ?? null });
    } catch (failure) {
      forget();
      throw failure;
    }
    void response.body?.cancel().catch(() => undefined);
    if (!response.ok || requests.length === 0) {
      forget();
      return new Response(null, { status: response.ok ? 202 : response.status });
    }
    return new Response(answers.body, { headers: { "content-type": "text/event-stream" } });
  }

  close(): void {
    this.#abort.abort();
    this.#onClose();
    for (const answers of new Set(this.#awaited.values())) answers.close();
    this.#awaited.clear();
  }

  async #read(
    body: ReadableStream<Uint8Array>,
    endpoint: PromiseWithResolvers<string>,
  ): Promise<void> {
    const parser = new SseParser(this.#maxBytes);
    try {
      for await (const chunk of body) {
        for (const { event, data } of parser.push(chunk)) {
          if (event === "endpoint") endpoint.resolve(data);
          else this.#deliver(data);
        }
      }
    } catch {
      // Broken off: those who wait see their streams end.
    }
    endpoint.reject(new Error("the stream ended before it named an endpoint"));
  }

  /** An answer goes to who awaits it. Anything else goes to one call under way: the wire does not say to which. */
  #deliver(data: string): void {
    const message = messageOf(parseJson(data));
    if (!message) return;
    if (message.kind !== "response") {
      const [answers] = this.#awaited.values();
      return answers?.send(data);
    }
    const key = message.id === undefined ? "" : idKey(message.id);
    const answers = this.#awaited.get(key);
    if (!answers) return;
    answers.send(data);
    this.#awaited.delete(key);
    if (![...this.#awaited.values()].includes(answers)) answers.close();
  }

  #forget(answers: FrameStream): void {
    for (const [key, one] of this.#awaited) if (one === answers) this.#awaited.delete(key);
  }
}

function requestsIn(body: string) {
  const value = parseJson(body);
  const messages = (Array.isArray(value) ? value : [value]).map(messageOf);
  return messages.filter((message) => message?.kind === "request");
}
