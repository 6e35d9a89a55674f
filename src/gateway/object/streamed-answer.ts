/**
 * Reads an upstream's answer that is a stream, and resumes it where the upstream breaks it off
 * (2025-11-25, "Resumability and Redelivery").
 */
import {
  MAX_UPSTREAM_RESUME_FAILURES,
  MAX_UPSTREAM_RESUMES,
  MAX_UPSTREAM_RETRY_MS,
  UPSTREAM_RETRY_MS,
} from "../../core/limits.ts";
import { SseParser } from "../../wire/sse-parser.ts";
import { sleep } from "../../wire/timers.ts";
import { messagesIn, type WrittenMessage } from "../json-rpc.ts";
import type { Reply } from "../upstream/call.ts";
import { FAILURES, UpstreamError } from "../upstream/failure.ts";
import { restOfStream } from "../upstream/resume.ts";

export interface ExchangeLimits {
  /** Bytes of one message. */
  readonly bodyMaxBytes: number;
}

interface StreamedAnswerParts {
  readonly limits: ExchangeLimits;
  /** Milliseconds without a message after which the stream counts as dead. */
  readonly silenceMs: number;
  /** Aborted when nobody waits for the rest any more. It ends the pause before a resumption. */
  readonly signal: AbortSignal;
  /** Asks the upstream for the stream's events after this id. Throws UpstreamError. */
  readonly resume: (lastEventId: string) => Promise<Reply>;
  /** Called when the upstream has broken the stream off, before this asks it for the rest. */
  readonly brokeOff: () => void;
  /** Times in a row that a stream which brings nothing is resumed, in place of MAX_UPSTREAM_RESUMES: something else bounds it. */
  readonly maxResumes?: number | undefined;
}

export class StreamedAnswer {
  readonly #parts: StreamedAnswerParts;
  readonly #parser: SseParser;
  #reply: Reply | undefined;
  #resumes = 0;
  /** Whether the object left the stream long ago, and has not asked for it since. */
  #isFirst: boolean;

  /** Without a reply, the stream is resumed after `lastEventId` at once. */
  constructor(reply: Reply | undefined, parts: StreamedAnswerParts, lastEventId?: string) {
    this.#reply = reply;
    this.#isFirst = reply === undefined;
    this.#parts = parts;
    this.#parser = new SseParser(parts.limits.bodyMaxBytes, lastEventId);
  }

  /** The event after which the stream can be resumed, once the messages of the last turn are handled. */
  get lastEventId(): string | undefined {
    return this.#parser.lastEventId;
  }

  /** A message for the client came, so the upstream is at work: resumptions are counted anew. */
  isAtWork(): void {
    this.#resumes = 0;
  }

  /**
   * The messages, those of a chunk together, over every resumption. Throws UpstreamError where the
   * rest cannot be had. Ends only where nobody waits.
   */
  async *turns(): AsyncGenerator<WrittenMessage[]> {
    const { silenceMs, signal, resume, brokeOff } = this.#parts;
    const { maxResumes = MAX_UPSTREAM_RESUMES } = this.#parts;
    const parser = this.#parser;
    // A peer that sends comments alone must not keep the exchange, and its reader, for ever.
    const silence = { ms: silenceMs, endedBy: "message" } as const;
    for (let failures = 0; ; this.#resumes++) {
      for await (const events of this.#reply?.messages(parser, silence) ?? []) {
        yield events.flatMap(({ data }) => messagesIn(data));
      }
      if (signal.aborted) return;
      const { lastEventId } = parser;
      const isOver = this.#resumes >= maxResumes || failures > MAX_UPSTREAM_RESUME_FAILURES;
      if (lastEventId === undefined || isOver) {
        throw new UpstreamError(this.#reply?.timedOut ? FAILURES.timedOut : FAILURES.closed);
      }
      brokeOff();
      const wait = Math.min(parser.retryMs ?? UPSTREAM_RETRY_MS, MAX_UPSTREAM_RETRY_MS);
      await sleep(this.#isFirst ? 0 : wait, signal);
      this.#isFirst = false;
      if (signal.aborted) return;
      this.#reply = await restOfStream(() => resume(lastEventId));
      failures = this.#reply ? 0 : failures + 1;
    }
  }
}
