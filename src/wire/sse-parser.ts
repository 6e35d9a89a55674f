/**
 * Reads Server-Sent Events from bytes as they come (WHATWG HTML, 9.2.6), with a bound on
 * one event: without it a server that never ends an event fills the memory of its reader.
 * `eventsource-parser` reads the fields; the bound, and the id to resume after, are kept here.
 */
import { createParser, type EventSourceParser } from "eventsource-parser";
import { exceeds } from "./bytes.ts";

export interface SseEvent {
  /** The id in force when the event came; undefined while the stream has set none. */
  readonly id: string | undefined;
  readonly event: string;
  readonly data: string;
}

/** One event, or one line, passed the bound. */
export class SseEventTooLargeError extends Error {
  override readonly name = "SseEventTooLargeError";
}

/** Whether what was read ends with a blank line, which ends an event, however its lines end. */
export function endsEvent(text: string): boolean {
  return /(?:\r\n|\n|\r(?!\n)){2}$/.test(text.slice(-BLANK_LINE_LENGTH));
}

/** Characters that the longest blank line takes, with the end of the line before it. */
export const BLANK_LINE_LENGTH = "\r\n\r\n".length;

/** Ends the event that was begun. NUL voids its last line: half an id is no id. */
const CUT_SHORT = "\0\n\n";

export class SseParser {
  readonly #maxBytes: number;
  readonly #parser: EventSourceParser;
  #decoder = newDecoder();
  #events: SseEvent[] = [];
  /** What came since the last chunk that ended an event, until it is longer than an event may be. */
  #begun = "";
  /** What looks at such text from then on. */
  #fits: ((text: string) => boolean) | undefined;
  #id: string | undefined;
  #tooLarge = false;
  /**
   * The id of the last whole event that set one, with data or without: where a reader
   * that is cut goes on. The id of an event that was cut is not it.
   */
  lastEventId: string | undefined;
  /** Milliseconds that the server asks readers to wait before they come back. */
  retryMs: number | undefined;

  /** `lastEventId`: where the stream is resumed. */
  constructor(maxBytes: number, lastEventId?: string) {
    this.#maxBytes = maxBytes;
    this.#id = lastEventId;
    this.lastEventId = lastEventId;
    this.#parser = createParser({
      onId: (id) => {
        if (!this.#tooLarge) this.#id = id || undefined;
      },
      onEvent: ({ event = "message", data }) => {
        this.#tooLarge ||= exceeds(data, maxBytes);
        if (!this.#tooLarge) this.#events.push({ id: this.#id, event, data });
      },
      onRetry: (ms) => {
        this.retryMs = ms;
      },
    });
  }

  /** The bytes that follow are of another connection: what was begun on the last one is not finished by them. */
  restart(): void {
    this.#decoder = newDecoder();
    this.#parser.reset();
    this.#events = [];
    this.#forgetBegun();
    this.#id = this.lastEventId;
    this.#tooLarge = false;
  }

  /**
   * The events that `chunk` completes. Throws SseEventTooLargeError after those that
   * came before the one that is too large, which counts as read.
   */
  *push(chunk: Uint8Array): Generator<SseEvent, void, undefined> {
    const text = this.#decoder.decode(chunk, { stream: true });
    if (!this.#tooLarge) this.#parser.feed(text);
    if (!this.#tooLarge && !this.#begunFits(text)) this.#cut();
    for (const event of this.#events.splice(0)) {
      this.lastEventId = event.id;
      yield event;
    }
    this.lastEventId = this.#id;
    if (this.#tooLarge) {
      throw new SseEventTooLargeError(`an event is over ${this.#maxBytes} bytes`);
    }
  }

  #begunFits(text: string): boolean {
    if (endsEvent(text)) {
      this.#forgetBegun();
      return true;
    }
    this.#begun += text;
    if (!this.#fits && this.#begun.length <= this.#maxBytes) return true;
    // It may be long by comments alone, which are not held.
    this.#fits ??= bounded(this.#maxBytes);
    const begun = this.#begun;
    this.#begun = "";
    return this.#fits(begun);
  }

  #forgetBegun(): void {
    this.#begun = "";
    this.#fits = undefined;
  }

  /** Takes the id of the event that is too large, or a reader that comes back would be sent it again, for ever. */
  #cut(): void {
    const complete = this.#events.length;
    this.#parser.feed(CUT_SHORT);
    this.#events.length = complete;
    this.#tooLarge = true;
  }
}

/**
 * Whether the event and the line that the texts leave unfinished are within the bound, in
 * characters: these are never more than the bytes that they came in. The library has such a
 * bound, but forgets the id of what passes it, so it is a second parser's.
 */
function bounded(maxBytes: number): (text: string) => boolean {
  const maxBufferSize = maxBytes + "data: ".length;
  let fits = true;
  let lineLength = 0;
  const { feed } = createParser({
    maxBufferSize,
    onError: ({ type }) => {
      if (type === "max-buffer-size-exceeded") fits = false;
    },
  });
  return (text) => {
    feed(text);
    // A line that is no field is not held, and yet has to end.
    const end = Math.max(text.lastIndexOf("\n"), text.lastIndexOf("\r"));
    lineLength = end < 0 ? lineLength + text.length : text.length - end - 1;
    return fits && lineLength <= maxBufferSize;
  };
}

/** The parser takes the byte order mark off. */
function newDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
}
