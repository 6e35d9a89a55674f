/** What an upstream answered, and reading it within bounds of time and size. */
import { boundedBody } from "../session/bounded-body.ts";
import { SseEventTooLargeError, type SseEvent, type SseParser } from "../session/sse-parser.ts";
import { FAILURES, UpstreamError } from "./failure.ts";
import type { Watch } from "./watch.ts";

const decoder = new TextDecoder();

/** Whoever gets one reads it or discards it: until then it holds a connection and a timer. */
export class Reply {
  readonly response: Response;
  readonly #watch: Watch;

  constructor(response: Response, watch: Watch) {
    this.response = response;
    this.#watch = watch;
  }

  get ok(): boolean {
    return this.response.ok;
  }

  get status(): number {
    return this.response.status;
  }

  /** Whether it was cut because its time was up. */
  get timedOut(): boolean {
    return this.#watch.timedOut;
  }

  get isEventStream(): boolean {
    return this.#mediaType === "text/event-stream" && this.response.body !== null;
  }

  get isJson(): boolean {
    return this.#mediaType === "application/json";
  }

  /** Lets go of an answer that nobody reads. */
  discard(): void {
    this.#watch.end();
    void this.response.body?.cancel().catch(() => undefined);
  }

  /** One whose body was read already, to look into it, and which reads as if it had not been. */
  unread(text: string): Reply {
    const headers = { "content-type": this.response.headers.get("content-type") ?? "" };
    return new Reply(new Response(text, { status: this.status, headers }), this.#watch);
  }

  /** The body is passed on as it comes, however long it takes. */
  passOn(): Response {
    this.#watch.release();
    return this.response;
  }

  async text(maxBytes: number): Promise<string> {
    return decoder.decode(await this.bytes(maxBytes));
  }

  /** The whole body, of at most `maxBytes`, within the time that the request had. */
  async bytes(maxBytes: number): Promise<ArrayBuffer | Uint8Array> {
    try {
      const whole = this.#isAnnouncedWithin(maxBytes)
        ? this.response.arrayBuffer()
        : this.#read(maxBytes);
      return await Promise.race([whole, this.#watch.lapsed]);
    } catch (cause) {
      this.discard();
      if (this.#watch.timedOut) throw new UpstreamError(FAILURES.timedOut, { cause });
      if (cause instanceof UpstreamError) throw cause;
      throw new UpstreamError(FAILURES.closed, { cause });
    } finally {
      this.#watch.end();
    }
  }

  /**
   * The messages of an SSE answer, until it ends or has been silent for `silenceMs`;
   * without that, until the time that the request had is up. One that breaks off just
   * ends: the caller knows whether it had said enough. Events of other names, such as
   * pings, are no messages, as clients of EventSource have it.
   */
  async *messages(parser: SseParser, silenceMs?: number): AsyncGenerator<SseEvent> {
    const reader = this.response.body?.getReader();
    if (!reader) return;
    parser.restart();
    const cancel = (): void => void reader.cancel().catch(() => undefined);
    this.#watch.lapsed.catch(cancel);
    try {
      for (;;) {
        if (silenceMs !== undefined) this.#watch.give(silenceMs);
        const chunk = await reader.read().catch(() => undefined);
        if (!chunk || chunk.done) return;
        for (const event of parser.push(chunk.value)) if (event.event === "message") yield event;
      }
    } catch (cause) {
      if (cause instanceof SseEventTooLargeError)
        throw new UpstreamError(FAILURES.tooLarge, { cause });
      throw cause;
    } finally {
      this.#watch.end();
      cancel();
    }
  }

  get #mediaType(): string {
    return this.response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
  }

  /** Then the platform can read it, which is quicker. A compressed body is longer than it says. */
  #isAnnouncedWithin(maxBytes: number): boolean {
    const { headers } = this.response;
    const length = headers.get("content-length");
    if (length === null || headers.has("content-encoding")) return false;
    return Number(length) <= maxBytes;
  }

  async #read(maxBytes: number): Promise<Uint8Array> {
    const { body } = this.response;
    if (!body) return new Uint8Array();
    const bytes = await boundedBody(body as ReadableStream<Uint8Array>, maxBytes);
    if (!bytes) throw new UpstreamError(FAILURES.tooLarge);
    return bytes;
  }
}
