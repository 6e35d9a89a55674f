/**
 * Reads Server-Sent Events (WHATWG HTML, 9.2.6), with a bound on one event: without it, a server
 * that never ends an event fills its reader's memory. `eventsource-parser` reads the fields. This
 * file keeps the bound, and the id to resume after.
 */
import { createParser, type EventSourceParser } from "eventsource-parser";
import { exceeds } from "./bytes.ts";

export interface SseEvent {
  /** The last id that the stream has set, here or before; undefined while it has set none. */
  readonly id: string | undefined;
  /** "message" if the server names none. */
  readonly event: string;
  readonly data: string;
}

/** One event, or one line, is over the bound. */
export class SseEventTooLargeError extends Error {
  override readonly name = "SseEventTooLargeError";
}

/** Whether a text ends with a blank line, which ends an event. A line ends with CR, LF or CRLF. */
export function endsEvent(text: string): boolean {
  return /(?:\r\n|\n|\r(?!\n)){2}$/.test(text.slice(-BLANK_LINE_LENGTH));
}

/** Characters of the longest such ending. */
export const BLANK_LINE_LENGTH = "\r\n\r\n".length;

/** Ends an unfinished event. The NUL voids its last line: half an id must not count. */
const CUT_SHORT = "\0\n\n";

/**
 * Parses one stream, also over several connections: call `restart` between two of them.
 *
 * @example
 * const parser = new SseParser(65_536);
 * for await (const chunk of body) for (const { data } of parser.push(chunk)) take(data);
 */
export class SseParser {
  readonly #maxBytes: number;
  readonly #parser: EventSourceParser;
  #decoder = newDecoder();
  #events: SseEvent[] = [];
  /** The text since the last chunk that ended an event, while it is shorter than an event may be. */
  #begun = "";
  /** Checks `#begun` once it is longer than an event may be. */
  #fits: ((text: string) => boolean) | undefined;
  #id: string | undefined;
  #isTooLarge = false;
  /**
   * The id of the last complete event that set one, with data or without. A reader that is cut
   * resumes after it.
   */
  lastEventId: string | undefined;
  /** Milliseconds that the server asks readers to wait before they reconnect. */
  retryMs: number | undefined;

  /** `maxBytes` bounds the data of one event, in UTF-8. `lastEventId` is the id that the stream resumes after. */
  constructor(maxBytes: number, lastEventId?: string) {
    this.#maxBytes = maxBytes;
    this.#id = lastEventId;
    this.lastEventId = lastEventId;
    this.#parser = createParser({
      onId: (id) => {
        if (!this.#isTooLarge) this.#id = id || undefined;
      },
      onEvent: ({ event = "message", data }) => {
        this.#isTooLarge ||= exceeds(data, maxBytes);
        if (!this.#isTooLarge) this.#events.push({ id: this.#id, event, data });
      },
      onRetry: (ms) => {
        this.retryMs = ms;
      },
    });
  }

  /** Forgets the unfinished event: the next bytes are of another connection. */
  restart(): void {
    this.#decoder = newDecoder();
    this.#parser.reset();
    this.#events = [];
    this.#forgetBegun();
    this.#id = this.lastEventId;
    this.#isTooLarge = false;
  }

  /**
   * The events that `chunk` completes. Throws SseEventTooLargeError after the events before the one
   * that is too large. That event counts as read.
   */
  *push(chunk: Uint8Array): Generator<SseEvent, void, undefined> {
    const text = this.#decoder.decode(chunk, { stream: true });
    if (!this.#isTooLarge) this.#parser.feed(text);
    if (!this.#isTooLarge && !this.#begunFits(text)) this.#cut();
    for (const event of this.#events.splice(0)) {
      this.lastEventId = event.id;
      yield event;
    }
    this.lastEventId = this.#id;
    if (this.#isTooLarge) {
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
    // Comments alone may make it long, and the parser does not hold comments.
    this.#fits ??= bounded(this.#maxBytes);
    const begun = this.#begun;
    this.#begun = "";
    return this.#fits(begun);
  }

  #forgetBegun(): void {
    this.#begun = "";
    this.#fits = undefined;
  }

  /** Takes the id of the event that is too large, or the server would send it again on every reconnect. */
  #cut(): void {
    const complete = this.#events.length;
    this.#parser.feed(CUT_SHORT);
    this.#events.length = complete;
    this.#isTooLarge = true;
  }
}

/**
 * Checks whether the event and the line that a text leaves unfinished are within the bound, in
 * characters, which are never more than their bytes. The library has such a bound but forgets the id
 * of the event that passes it, so a second parser has the bound.
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
    // The parser skips a line that is not a field, and such a line must end too.
    const end = Math.max(text.lastIndexOf("\n"), text.lastIndexOf("\r"));
    lineLength = end < 0 ? lineLength + text.length : text.length - end - 1;
    return fits && lineLength <= maxBufferSize;
  };
}

/** Leaves the byte order mark to the parser. */
function newDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
}
