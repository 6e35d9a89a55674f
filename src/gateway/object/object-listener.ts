/**
 * Listens to an upstream of `transport: "sse"` in the session's object, where the one stream of such
 * an upstream lives. Messages that the server sends with no call under way go to the session's
 * standalone stream.
 */
import type { Logger } from "../../logger.ts";
import { MAX_UPSTREAM_RETRY_MS, UPSTREAM_RETRY_MS } from "../../core/limits.ts";
import { SseParser } from "../../wire/sse-parser.ts";
import { unaskedIn } from "../json-rpc.ts";
import { call } from "../upstream/call.ts";
import { sleep } from "../../wire/timers.ts";
import type { Binding } from "../upstream/handshake.ts";
import { reportFailure, SessionGone } from "../upstream/failure.ts";
import { replicaAt } from "../upstream/upstream.ts";
import type { GatewayStreams } from "./streams.ts";
import type { UpstreamLink } from "./upstream-link.ts";

type Headers = Readonly<Record<string, string>>;

interface ListenerParts {
  readonly link: UpstreamLink;
  /** The headers of the client's last request: a lost session is recovered with its credential. */
  readonly headers: () => Headers;
  /** Bytes of one message. */
  readonly maxBytes: number;
  readonly log: Logger;
}

export class ObjectListener {
  readonly #link: UpstreamLink;
  readonly #streams: GatewayStreams;
  readonly #headers: () => Headers;
  readonly #maxBytes: number;
  readonly #log: Logger;
  readonly #abort = new AbortController();
  /** The upstream session that it listens to. */
  #sid: string | undefined;

  constructor({ link, headers, maxBytes, log }: ListenerParts) {
    this.#link = link;
    this.#streams = link.streams;
    this.#headers = headers;
    this.#maxBytes = maxBytes;
    this.#log = log;
  }

  /** Listens to an upstream session, if it does not do so already. */
  listen(binding: Binding): void {
    const { sid } = binding;
    if (sid === undefined || sid === this.#sid) return;
    this.#sid = sid;
    void this.#run(binding).finally(() => {
      if (this.#sid === sid) this.#sid = undefined;
    });
  }

  /** The session has ended. */
  end(): void {
    this.#abort.abort();
  }

  async #run(binding: Binding): Promise<void> {
    let pause = 0;
    try {
      // A stream that was silent for long is opened again. A stream that broke off has lost its session.
      while (await this.#read(binding)) pause = UPSTREAM_RETRY_MS;
    } catch (cause) {
      reportFailure(this.#log, this.#link.upstream, cause);
    }
    // While nobody follows the stream, the next request finds that the session is lost.
    while (this.#streams.isFollowed && this.#sid === binding.sid) {
      await sleep(pause, this.#abort.signal);
      pause = Math.min(Math.max(pause * 2, UPSTREAM_RETRY_MS), MAX_UPSTREAM_RETRY_MS);
      try {
        return await this.#link.confirm(this.#headers());
      } catch (cause) {
        if (cause instanceof SessionGone) return;
        reportFailure(this.#log, this.#link.upstream, cause);
      }
    }
  }

  /** Reads one stream to its end. Returns whether there was one. */
  async #read({ url, sid, version }: Binding): Promise<boolean> {
    const { upstream } = this.#link;
    const { signal } = this.#abort;
    const request = { method: "GET", sid, version } as const;
    const reply = await call(upstream, replicaAt(upstream, url), request, { signal });
    if (!reply.ok || !reply.isEventStream) {
      reply.discard();
      return false;
    }
    const parser = new SseParser(this.#maxBytes);
    const silence = { ms: upstream.silenceMs, endedBy: "message" } as const;
    for await (const events of reply.messages(parser, silence)) {
      const messages = events.flatMap(({ data }) => unaskedIn(data));
      this.#streams.receive(undefined, messages);
    }
    return true;
  }
}
