/**
 * Listens to the upstream's standalone stream while a call of a client of the stateless revision is under way:
 * some servers ask their client there, and nowhere else. Nobody listens for such a client otherwise.
 */
import { SseParser } from "../../wire/sse-parser.ts";
import { sleep, within } from "../../wire/timers.ts";
import {
  ERA_LINGER_MS,
  MAX_UPSTREAM_RETRY_MS,
  UPSTREAM_HELD_MS,
  UPSTREAM_RETRY_MS,
} from "../../core/limits.ts";
import { unaskedIn } from "../json-rpc.ts";
import type { Reply } from "../upstream/call.ts";
import type { ExchangeRequest } from "../contract.ts";

type Headers = ExchangeRequest["headers"];

interface ListenerParts {
  /** Bytes of one message. */
  readonly maxBytes: number;
  readonly silenceMs: number;
  /** Asks for the stream, after an event. Throws UpstreamError. */
  readonly open: (
    headers: Headers,
    signal: AbortSignal,
    lastEventId: string | undefined,
  ) => Promise<Reply>;
  readonly receive: (messages: readonly string[]) => void;
}

export class EraListener {
  readonly #parts: ListenerParts;
  #uses = 0;
  #held: { readonly abort: AbortController; readonly opened: Promise<void> } | undefined;
  #linger: ReturnType<typeof setTimeout> | undefined;
  /** The server has no such stream. */
  #isRefused = false;

  constructor(parts: ListenerParts) {
    this.#parts = parts;
  }

  /** Whether a call can begin at once. */
  get isReady(): boolean {
    return this.#held !== undefined || this.#isRefused;
  }

  /** A call is under way. Resolves when the stream is open, or will not be, or after `ms` milliseconds. */
  async use(headers: Headers, ms: number = UPSTREAM_HELD_MS): Promise<void> {
    this.#uses++;
    clearTimeout(this.#linger);
    if (this.#isRefused) return;
    if (!this.#held) {
      const abort = new AbortController();
      const opened = Promise.withResolvers<void>();
      this.#held = { abort, opened: opened.promise };
      void this.#hold(headers, abort.signal, opened.resolve).finally(() => {
        opened.resolve();
        if (this.#held?.abort === abort) this.#held = undefined;
      });
    }
    await within(this.#held.opened, ms, () => undefined);
  }

  /** A call is over. The next one mostly comes soon. */
  release(): void {
    if (--this.#uses > 0 || !this.#held) return;
    clearTimeout(this.#linger);
    this.#linger = setTimeout(() => this.end(), ERA_LINGER_MS);
  }

  /** Leaves the stream: somebody else is to have it, or the session has ended. */
  end(): void {
    clearTimeout(this.#linger);
    this.#held?.abort.abort();
    this.#held = undefined;
  }

  async #hold(headers: Headers, signal: AbortSignal, opened: () => void): Promise<void> {
    const { maxBytes, silenceMs, open, receive } = this.#parts;
    const parser = new SseParser(maxBytes);
    while (!signal.aborted) {
      const reply = await open(headers, signal, parser.lastEventId).catch(() => undefined);
      if (!reply) return;
      if (!reply.ok || !reply.isEventStream) {
        reply.discard();
        this.#isRefused = reply.status === 405;
        return;
      }
      opened();
      try {
        for await (const events of reply.messages(parser, { ms: silenceMs, endedBy: "byte" })) {
          const texts = events.flatMap(({ data }) => unaskedIn(data));
          if (!signal.aborted) receive(texts);
        }
      } catch {
        // A message that is too large: what follows it may be smaller.
      }
      await sleep(Math.min(parser.retryMs ?? UPSTREAM_RETRY_MS, MAX_UPSTREAM_RETRY_MS), signal);
    }
  }
}
