/**
 * Listens to the upstream's standalone stream while a client follows the session's, and sends its
 * events to the session's object over the reader's socket. The Worker does this, and not the
 * object, so that the object can sleep.
 */
import type { StreamSocket } from "../core/host.ts";
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
import { wait } from "./upstream/call-deadline.ts";
import { replicaAt, type Upstream } from "./upstream/upstream.ts";

interface ListenerParts {
  readonly upstream: Upstream;
  /** The reader's socket, which leads to the session's object. */
  readonly socket: StreamSocket;
  /** The client's headers that are sent on. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes that one event may hold, in UTF-8. */
  readonly maxBytes: number;
}

export class UpstreamListener {
  readonly #parts: ListenerParts;
  #held: AbortController | undefined;
  /** The upstream did not know its session when it was last asked, and the object was sent that. */
  #lost = false;
  #ended = false;

  constructor(parts: ListenerParts) {
    this.#parts = parts;
  }

  /** Takes a message of the session's object: it names the upstream session to listen to from now on. */
  receive(word: string): void {
    if (!word.startsWith(BACKEND) || this.#ended) return;
    // Only the session's object writes to this socket.
    const backend = JSON.parse(word.slice(BACKEND.length)) as Backend;
    this.#held?.abort();
    this.#held = undefined;
    // An upstream without sessions has no standalone stream.
    if (backend.sid === undefined) return;
    this.#held = new AbortController();
    void this.#hold(backend, this.#held.signal);
  }

  /** The client has gone, or its stream has ended. */
  end(): void {
    this.#ended = true;
    this.#held?.abort();
  }

  async #hold(backend: Backend, signal: AbortSignal): Promise<void> {
    const parser = new SseParser(this.#parts.maxBytes, backend.lastEventId);
    let backoff = MIN_UPSTREAM_RETRY_MS;
    while (!signal.aborted) {
      const outcome = await this.#listen(backend, parser, signal);
      if (outcome === "refused" || signal.aborted) return;
      if (outcome === "lost") {
        // Sent once: an upstream that never recognises its own sessions must not be asked for ever.
        if (!this.#lost) this.#say(UPSTREAM_LOST + JSON.stringify({ sid: backend.sid }));
        this.#lost = true;
        return;
      }
      const ended = outcome === "ended";
      const delay = ended ? (parser.retryMs ?? UPSTREAM_RETRY_MS) : backoff;
      backoff = ended ? MIN_UPSTREAM_RETRY_MS : backoff * 2;
      await wait(clamp(delay, MIN_UPSTREAM_RETRY_MS, MAX_UPSTREAM_RETRY_MS), signal);
    }
  }

  async #listen(
    { url, sid, version }: Backend,
    parser: SseParser,
    signal: AbortSignal,
  ): Promise<"ended" | "failed" | "lost" | "refused"> {
    const { upstream, headers } = this.#parts;
    const { lastEventId } = parser;
    const request = { method: "GET", sid, version, lastEventId, headers } as const;
    try {
      const reply = await call(upstream, replicaAt(upstream, url), request, { signal });
      // The upstream gives one stream at a time, and has not noticed yet that the last one was left.
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
      // A 405 says that there is no such stream. Asking again changes no other refusal either.
      return reply.status < 500 ? "refused" : "failed";
    } catch {
      this.#say(UPSTREAM_HELD);
      return "failed";
    }
  }

  #say(word: string): void {
    if (this.#ended) return;
    try {
      this.#parts.socket.send(word);
    } catch {
      this.end();
    }
  }
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
