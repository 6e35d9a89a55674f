/**
 * Holds the upstream's standalone stream for as long as a client follows the
 * session's, and hands what comes on it to the session's object over the reader's socket.
 * It is the bridge that holds it, not the object, so that the object can sleep.
 */
import type { StreamSocket } from "../core/host.ts";
import { isObject, parseJson } from "../wire/json.ts";
import {
  MAX_UPSTREAM_RETRY_MS,
  MIN_UPSTREAM_RETRY_MS,
  UPSTREAM_RETRY_MS,
  UPSTREAM_SILENCE_MS,
} from "../core/limits.ts";
import { SseParser } from "../wire/sse-parser.ts";
import {
  BACKEND,
  UPSTREAM_LOST,
  UPSTREAM_HELD,
  upstreamMessage,
  type Backend,
} from "../stream/protocol.ts";
import { call } from "./upstream/call.ts";
import { replicaAt, type Upstream } from "./upstream/upstream.ts";

export class StandaloneUpstream {
  readonly #upstream: Upstream;
  readonly #socket: StreamSocket;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #maxBytes: number;
  #held: AbortController | undefined;
  /** The last answer was that the session is not known, and the object was told. */
  #lost = false;
  #ended = false;

  constructor(
    upstream: Upstream,
    socket: StreamSocket,
    headers: Readonly<Record<string, string>>,
    maxBytes: number,
  ) {
    this.#upstream = upstream;
    this.#socket = socket;
    this.#headers = headers;
    this.#maxBytes = maxBytes;
  }

  /** A word from the session's object: which upstream session to listen to from now on. */
  receive(word: string): void {
    if (!word.startsWith(BACKEND) || this.#ended) return;
    const value = parseJson(word.slice(BACKEND.length));
    if (!isObject(value)) return;
    const text = (key: string) => (typeof value[key] === "string" ? value[key] : undefined);
    const backend: Backend = {
      url: text("url"),
      sid: text("sid"),
      version: text("version"),
      lastEventId: text("lastEventId"),
    };
    this.#held?.abort();
    this.#held = undefined;
    // An upstream without sessions has no stream of a session's either.
    if (backend.sid === undefined) return;
    const held = new AbortController();
    this.#held = held;
    void this.#hold(backend, held.signal);
  }

  /** The client has gone, or its stream has ended. */
  end(): void {
    this.#ended = true;
    this.#held?.abort();
  }

  async #hold(backend: Backend, signal: AbortSignal): Promise<void> {
    const parser = new SseParser(this.#maxBytes, backend.lastEventId);
    let backoff = MIN_UPSTREAM_RETRY_MS;
    while (!signal.aborted) {
      const outcome = await this.#listen(backend, parser, signal);
      if (outcome === "refused" || signal.aborted) return;
      if (outcome === "lost") return this.#reportLost(backend);
      const ended = outcome === "ended";
      const delay = ended ? (parser.retryMs ?? UPSTREAM_RETRY_MS) : backoff;
      backoff = ended ? MIN_UPSTREAM_RETRY_MS : backoff * 2;
      await wait(clamp(delay, MIN_UPSTREAM_RETRY_MS, MAX_UPSTREAM_RETRY_MS), signal);
    }
  }

  /** Once in a row: an upstream may know no session that it makes, and would be asked to make more for ever. */
  #reportLost({ sid }: Backend): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#say(UPSTREAM_LOST + JSON.stringify({ sid }));
  }

  async #listen(
    { url, sid, version }: Backend,
    parser: SseParser,
    signal: AbortSignal,
  ): Promise<"ended" | "failed" | "lost" | "refused"> {
    try {
      const { lastEventId } = parser;
      const reply = await call(
        this.#upstream,
        replicaAt(this.#upstream, url),
        { method: "GET", sid, version, lastEventId, headers: this.#headers },
        { signal },
      );
      // It gives one stream at a time, and has not noticed yet that the last one was left.
      if (reply.status === 409) {
        reply.discard();
        return "failed";
      }
      this.#say(UPSTREAM_HELD);
      if (reply.ok && reply.isEventStream) {
        this.#lost = false;
        for await (const { id, data } of reply.messages(parser, UPSTREAM_SILENCE_MS)) {
          this.#say(upstreamMessage(id, data));
        }
        return "ended";
      }
      reply.discard();
      if (reply.status === 404 || reply.status === 400) return "lost";
      // 405: this upstream has no such stream. Any other refusal will not change by asking again.
      return reply.status < 500 ? "refused" : "failed";
    } catch {
      this.#say(UPSTREAM_HELD);
      return "failed";
    }
  }

  #say(word: string): void {
    if (this.#ended) return;
    try {
      this.#socket.send(word);
    } catch {
      this.end();
    }
  }
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
