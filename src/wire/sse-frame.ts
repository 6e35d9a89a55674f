/** Writes Server-Sent Events (WHATWG HTML, 9.2.6). */

interface SseFrame {
  readonly id?: string | undefined;
  readonly event?: string | undefined;
  /** Each line becomes one `data:` line. A client sees no event of a frame without data. */
  readonly data?: string | undefined;
  /** Reconnection time, in milliseconds. */
  readonly retry?: number | undefined;
}

/** A comment, which every client ignores: it keeps the connection in use. */
export const KEEPALIVE_FRAME = ": keep-alive\n\n";

/** CRLF, CR and LF each end a line in the stream format, so each must split the data. */
const LINE_BREAK = /\r\n|\r|\n/;

/** Whether a field can have this value: a CR or LF would start a new field, and NUL voids an id. */
export function isSafeFieldValue(value: string): boolean {
  return !/[\r\n\0]/.test(value);
}

/**
 * Writes one frame. Throws a RangeError if `id` or `event` holds CR, LF or NUL. Callers refuse such
 * input by name first; this is the last guard against a forged frame.
 *
 * @example encodeFrame({ id: "7", data: "a\nb" }) // "id: 7\ndata: a\ndata: b\n\n"
 */
export function encodeFrame({ id, event, data, retry }: SseFrame): string {
  let frame = "";
  if (retry !== undefined) frame += `retry: ${retry}\n`;
  if (id !== undefined) frame += `id: ${oneLine("id", id)}\n`;
  if (event !== undefined) frame += `event: ${oneLine("event", event)}\n`;
  if (data !== undefined) {
    for (const line of data.split(LINE_BREAK)) frame += `data: ${line}\n`;
  }
  return `${frame}\n`;
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
