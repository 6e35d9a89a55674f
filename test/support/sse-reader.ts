/** Reads an SSE body frame by frame, and knows exactly which bytes it has taken. */
import { createParser, type EventSourceMessage } from "eventsource-parser";

export interface Frame {
  readonly id?: string | undefined;
  readonly event?: string | undefined;
  readonly data: string;
}

export class SseReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  readonly #frames: Frame[] = [];
  readonly #parser = createParser({
    onEvent: (message: EventSourceMessage) => {
      this.#frames.push({ id: message.id, event: message.event, data: message.data });
    },
    onComment: () => {
      this.comments++;
    },
    onRetry: (ms) => {
      this.retries.push(ms);
    },
  });
  /** Everything received, as text. */
  text = "";
  comments = 0;
  readonly retries: number[] = [];
  ended = false;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  /** The next `count` events; fewer only where the stream ends before. */
  async take(count: number): Promise<Frame[]> {
    while (this.#frames.length < count && (await this.#read()));
    return this.#frames.splice(0, count);
  }

  /** Every event up to the end of the stream. */
  async rest(): Promise<Frame[]> {
    while (await this.#read());
    return this.#frames.splice(0);
  }

  /** Reads until what was received matches. */
  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) {
      if (!(await this.#read())) throw new Error(`stream ended before ${pattern}`);
    }
  }

  /** Leaves, as a client that closes its connection does. */
  async leave(): Promise<void> {
    await this.#reader.cancel();
  }

  async #read(): Promise<boolean> {
    if (this.ended) return false;
    const { done, value } = await this.#reader.read();
    if (done) {
      this.ended = true;
      return false;
    }
    const text = this.#decoder.decode(value, { stream: true });
    this.text += text;
    this.#parser.feed(text);
    return true;
  }
}

/** The id of the last frame with one, whether it carried data or not: what a browser would send. */
export function lastEventIdIn(text: string): string | undefined {
  const whole = text.slice(0, text.lastIndexOf("\n\n") + 2);
  return [...whole.matchAll(/^id: (.*)$/gm)].at(-1)?.[1];
}
