/**
 * Makes an upstream that speaks only HTTP+SSE of 2024-11-05 look like a Streamable HTTP one. The
 * one stream of such a session must stay open, so the session lives in the memory of the session's
 * object, and keeps it awake. When that memory is lost, this returns a 404, and the gateway
 * initializes again.
 */
import { derivedUpstreamUrl } from "../../config/upstreams.ts";
import { messagesIn, requestMeant, type Message } from "../json-rpc.ts";
import { FrameStream } from "../../wire/sse-frame.ts";
import { SseParser } from "../../wire/sse-parser.ts";
import { followed } from "./redirect.ts";
import type { RequestParts, Send } from "./upstream.ts";

const QUIET: ReadonlySet<string> = new Set(["initialize", "ping"]);

/** Messages kept while nobody listens: the session's object listens within a moment. */
const MAX_UNASKED = 100;

type Headers = RequestParts["headers"];
type Signal = RequestParts["signal"];

/**
 * `url` is where the server opens its stream; `maxBytes` bounds one message; `fetcher` sends
 * requests. An upstream's 404 to a session is made here.
 */
export function legacyServer(url: string, maxBytes: number, fetcher: typeof fetch): Send {
  const connections = new Map<string, Connection>();
  return async ({ method, headers: given, body = "", signal }) => {
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
    if (method === "GET") return known?.listen() ?? new Response(null, { status: 405 });
    if (known) return known.post(body, headers, signal);
    // Clients of the stateless revision fall back to another one when they get a 400.
    if (requestsIn(body)[0]?.method !== "initialize") return new Response(null, { status: 400 });
    const made = crypto.randomUUID();
    const connection = new Connection(maxBytes, fetcher, () => connections.delete(made));
    // If initialize fails or is given up, nobody ever names this session.
    signal?.addEventListener("abort", () => connection.close());
    try {
      const refusal = await connection.open(url, headers);
      if (refusal) return refusal;
      connections.set(made, connection);
      const response = await connection.post(body, headers, signal);
      if (response.ok) response.headers.set("mcp-session-id", made);
      else connection.close();
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
  /** The stream that awaits an answer, by the request's id. A batch has one stream. */
  readonly #awaited = new Map<string, FrameStream>();
  /** Streams of calls that the server has nothing to say to but an answer; some are the gateway's own. */
  readonly #quiet = new WeakSet<FrameStream>();
  /** Messages that came with no call under way and nobody listening. */
  readonly #unasked: string[] = [];
  #listener: FrameStream | undefined;
  #endpoint = "";

  constructor(maxBytes: number, fetcher: typeof fetch, onClose: () => void) {
    this.#maxBytes = maxBytes;
    this.#fetch = fetcher;
    this.#onClose = onClose;
  }

  /**
   * Opens the stream. Resolves when the server has named the URL for POSTs, or with its refusal;
   * rejects if it does neither.
   */
  async open(first: string, headers: Headers): Promise<Response | undefined> {
    const { "content-type": _type, ...others } = headers;
    const request: RequestInit = {
      headers: { ...others, accept: "text/event-stream" },
      redirect: "manual",
      signal: this.#abort.signal,
    };
    const { answer: response, url } = await followed(first, "GET", (at) =>
      this.#fetch(at, request),
    );
    if (!response.ok) return response;
    if (!response.body) throw new Error(`the stream answered ${response.status}`);
    const endpoint = Promise.withResolvers<string>();
    void this.#read(response.body, endpoint).finally(() => this.close());
    // A server must not send our headers to another server.
    const verdict = derivedUpstreamUrl(await endpoint.promise, new URL(url));
    if (!verdict.ok) {
      this.close();
      throw new Error(`the endpoint ${verdict.reason}`);
    }
    this.#endpoint = verdict.url.href;
    return undefined;
  }

  /** Aborting `signal` gives up on the POST and on its answer. A refusal is returned as it is. */
  async post(body: string, headers: Headers, signal: Signal): Promise<Response> {
    signal?.throwIfAborted();
    const requests = requestsIn(body);
    // A stream that nobody reads would get the progress of later calls.
    const forget = (): void => this.#forget(answers);
    const answers = new FrameStream(forget);
    for (const { id } of requests) this.#awaited.set(id, answers);
    if (requests.every(({ method }) => QUIET.has(method))) this.#quiet.add(answers);
    signal?.addEventListener("abort", forget, { once: true });
    let response: Response;
    try {
      const method = "POST";
      const request: RequestInit = { method, headers, body, redirect: "manual" };
      const send = (url: string) => this.#fetch(url, { ...request, signal: signal ?? null });
      response = (await followed(this.#endpoint, method, send)).answer;
    } catch (failure) {
      forget();
      throw failure;
    }
    if (!response.ok) {
      forget();
      return response;
    }
    void response.body?.cancel().catch(() => undefined);
    return requests.length > 0 ? answers.response : new Response(null, { status: 202 });
  }

  /** A stream of what the server says with no call under way, in place of the last such stream. */
  listen(): Response {
    this.#listener?.close();
    const listener = new FrameStream(() => {
      if (this.#listener === listener) this.#listener = undefined;
    });
    this.#listener = listener;
    for (const data of this.#unasked.splice(0)) listener.send(data);
    return listener.response;
  }

  close(): void {
    this.#abort.abort();
    this.#onClose();
    this.#listener?.close();
    this.#listener = undefined;
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
          else for (const { message, text } of messagesIn(data)) this.#deliver(message, text);
        }
      }
    } catch {
      // The connection broke off: `close` ends the streams that wait.
    }
    endpoint.reject(new Error("the stream ended before it named an endpoint"));
  }

  /**
   * Sends an answer to the stream that awaits it. Any other message names no call: the first call
   * under way gets it, and without one the listener.
   */
  #deliver(message: Message, data: string): void {
    if (message.kind !== "response") {
      const call = [...this.#awaited.values()].find((answers) => !this.#quiet.has(answers));
      const answers = call ?? this.#listener;
      if (answers) return answers.send(data);
      this.#unasked.push(data);
      if (this.#unasked.length > MAX_UNASKED) this.#unasked.shift();
      return;
    }
    const id = message.id && requestMeant(message.id, [], [...this.#awaited.keys()]);
    const answers = id && this.#awaited.get(id);
    if (!answers) return;
    answers.send(data);
    this.#awaited.delete(id);
    if (![...this.#awaited.values()].includes(answers)) answers.close();
  }

  #forget(answers: FrameStream): void {
    for (const [id, one] of this.#awaited) if (one === answers) this.#awaited.delete(id);
  }
}

function requestsIn(body: string) {
  return messagesIn(body)
    .map(({ message }) => message)
    .filter((message) => message.kind === "request");
}
