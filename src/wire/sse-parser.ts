/**
 * Reads Server-Sent Events from bytes as they come, as WHATWG HTML (9.2.6) says,
 * with a bound on what one event may hold: without it a server that never ends an
 * event fills the memory of whoever reads it.
 */
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

export class SseParser {
  readonly #maxBytes: number;
  #decoder = new TextDecoder();
  #rest = "";
  #data: string[] = [];
  #size = 0;
  #event = "";
  #afterCr = false;
  /** What the event that is being read says of its id; undefined: nothing. */
  #id: string | undefined;
  /**
   * The id of the last whole event that set one, with data or without: where a reader
   * that is cut goes on. The id of an event that was cut is not it.
   */
  lastEventId: string | undefined;
  /** Milliseconds that the server asks readers to wait before they come back. */
  retryMs: number | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The bytes that follow are of another connection: what was begun on the last one is not finished by them. */
  restart(): void {
    this.#decoder = new TextDecoder();
    this.#rest = "";
    this.#afterCr = false;
    this.#clear();
  }

  /**
   * The events that `chunk` completes. Throws SseEventTooLargeError after those that
   * came before the one that is too large, which counts as read.
   */
  *push(chunk: Uint8Array): Generator<SseEvent, void, undefined> {
    const decoded = this.#decoder.decode(chunk, { stream: true });
    // A CRLF may be cut in two by the chunks.
    const text = this.#afterCr && decoded.startsWith("\n") ? decoded.slice(1) : decoded;
    if (decoded !== "") this.#afterCr = decoded.endsWith("\r");
    // A long line in many chunks is put together once, not with each of them.
    const lines = /[\r\n]/.test(text) ? (this.#rest + text).split(/\r\n|\r|\n/) : [];
    this.#rest = lines.pop() ?? this.#rest + text;
    for (const line of lines) {
      const event = this.#line(line);
      if (event) yield event;
    }
    this.#bound(this.#rest.length);
  }

  #line(line: string): SseEvent | undefined {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return undefined;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") {
      this.#size += value.length + 1;
      this.#bound(0);
      this.#data.push(value);
    } else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
    return undefined;
  }

  #dispatch(): SseEvent | undefined {
    const data = this.#data.join("\n");
    const event = this.#event || "message";
    const empty = this.#data.length === 0;
    this.#settleId();
    if (exceeds(data, this.#maxBytes)) this.#tooLarge();
    this.#clear();
    return empty ? undefined : { id: this.lastEventId, event, data };
  }

  #settleId(): void {
    if (this.#id !== undefined) this.lastEventId = this.#id || undefined;
  }

  #clear(): void {
    this.#data = [];
    this.#size = 0;
    this.#event = "";
    this.#id = undefined;
  }

  #bound(more: number): void {
    // Characters, never more than the bytes that they came in; those are counted when the event is whole.
    if (this.#size + more <= this.#maxBytes) return;
    // Or a reader that comes back would be sent it again, for ever.
    this.#settleId();
    this.#tooLarge();
  }

  #tooLarge(): never {
    throw new SseEventTooLargeError(`an event is over ${this.#maxBytes} bytes`);
  }
}
