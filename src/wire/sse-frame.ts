/** Writes Server-Sent Events (WHATWG HTML, 9.2.6). */

interface SseFrame {
  readonly id?: string | undefined;
  readonly event?: string | undefined;
  /** Each line becomes one `data:` line. A client sees no event of a frame without data. */
  readonly data?: string | undefined;
  /** Reconnection time, in milliseconds. */
  readonly retry?: number | undefined;
}

/** The name of an event that carries a message. It is the default, but several released MCP clients ignore an event without a name. */
export const MESSAGE_EVENT = "message";

/**
 * A comment, which every client ignores: it keeps the connection in use. No blank line follows it,
 * since some clients deliver a message at each blank line. It may stand only between two frames.
 */
export const KEEPALIVE_FRAME = ": keep-alive\n";

/** CRLF, CR and LF each end a line in the stream format, so each must split the data. */
const LINE_BREAK = /\r\n|\r|\n/;

/** Whether a field can have this value: a CR or LF would start a new field, and NUL voids an id. */
export function isSafeFieldValue(value: string): boolean {
  return !/[\r\n\0]/.test(value);
}

/**
 * Writes one frame. The id stands last: some clients take an id as soon as they read its line, and
 * would lose an event that is cut after it.
 *
 * Throws a RangeError if `id` or `event` holds CR, LF or NUL. Callers refuse such input by name
 * first; this is the last guard against a forged frame.
 *
 * @example encodeFrame({ id: "7", data: "a\nb" }) // "data: a\ndata: b\nid: 7\n\n"
 */
export function encodeFrame(frame: SseFrame): string {
  return `${encodeFields(frame)}\n`;
}

/** Writes a frame without the blank line that ends it, so that more fields can follow. Throws as `encodeFrame` does. */
export function encodeFields({ id, event, data, retry }: SseFrame): string {
  let fields = "";
  if (retry !== undefined) fields += `retry: ${retry}\n`;
  if (event !== undefined) fields += `event: ${oneLine("event", event)}\n`;
  if (data !== undefined) {
    for (const line of data.split(LINE_BREAK)) fields += `data: ${line}\n`;
  }
  if (id !== undefined) fields += `id: ${oneLine("id", id)}\n`;
  return fields;
}

const encoder = new TextEncoder();

/** An SSE response whose messages are sent as they come. */
export class FrameStream {
  readonly response: Response;
  #controller!: ReadableStreamDefaultController<Uint8Array>;

  /** `onCancel` is called when the reader leaves. */
  constructor(onCancel: () => void) {
    const body = new ReadableStream<Uint8Array>({
      // Called before the constructor returns.
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: onCancel,
    });
    this.response = new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  send(data: string): void {
    this.#controller.enqueue(encoder.encode(encodeFrame({ data })));
  }

  close(): void {
    this.#controller.close();
  }
}

function oneLine(field: string, value: string): string {
  if (!isSafeFieldValue(value)) throw new RangeError(`SSE ${field} must not hold CR, LF or NUL`);
  return value;
}
