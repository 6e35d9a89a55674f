/**
 * The bridge between a session's object and one reader: frames come from the
 * object over a socket and leave as the body of an SSE response. The object may
 * sleep while the bridge holds the connection.
 *
 * - A reader's absence is noticed only when something is written to it, so an idle
 *   stream gets a comment every `keepaliveMs`. (Measured on workerd: never
 *   without a write, at the next one with it.)
 * - A socket gives its sender no back-pressure, so what is queued for a slow
 *   reader is bounded. A reader past the bound, or one that has taken nothing for
 *   a whole keep-alive interval while something waits, is cut; it comes
 *   back with `Last-Event-ID` and loses nothing.
 */
import type { StreamSocket } from "../session/host.ts";
import { KEEPALIVE_FRAME } from "../session/sse-frame.ts";
import { BEHIND, MORE, READER_GONE } from "../session/stream-protocol.ts";

export interface BridgeOptions {
  /** Milliseconds between keep-alive comments. */
  readonly keepaliveMs: number;
  /** Bytes that may wait for the reader, besides a single frame. */
  readonly bufferBytes: number;
  /** Told why a reader was cut; for the log. */
  readonly onCut?: (reason: "slow" | "stalled") => void;
}

const encoder = new TextEncoder();
const keepalive = encoder.encode(KEEPALIVE_FRAME);

/** The body of an SSE response that carries what the socket brings. */
export function bridge(socket: StreamSocket, options: BridgeOptions): ReadableStream<Uint8Array> {
  let queue: Uint8Array[] = [];
  let queuedBytes = 0;
  /** Bytes handed to the runtime that the reader's connection has not taken yet. */
  let inFlightBytes = 0;
  let behind = false;
  let ended = false;
  /** Set while the reader's connection is ready for more. */
  let wanted: (() => void) | undefined;
  let takenSinceTick = true;
  let controller: ReadableStreamDefaultController<Uint8Array>;

  const push = (frame: Uint8Array): void => {
    const waiting = queuedBytes + inFlightBytes;
    if (waiting > 0 && waiting + frame.byteLength > options.bufferBytes) return cut("slow");
    queue.push(frame);
    queuedBytes += frame.byteLength;
    wanted?.();
  };

  const tick = (): void => {
    if (wanted) push(keepalive);
    else if (takenSinceTick) takenSinceTick = false;
    else cut("stalled");
  };
  const timer = setInterval(tick, options.keepaliveMs);

  const stop = (): void => {
    ended = true;
    clearInterval(timer);
  };

  const leave = (): void => {
    stop();
    try {
      socket.close(READER_GONE);
    } catch {
      // Closed already, from the other side.
    }
  };

  const cut = (reason: "slow" | "stalled"): void => {
    if (ended) return;
    queue = [];
    queuedBytes = 0;
    leave();
    options.onCut?.(reason);
    controller.error(new Error("reader too slow"));
  };

  /** Hands over all that is queued as one chunk. */
  const flush = (): void => {
    inFlightBytes = queuedBytes;
    controller.enqueue(queue.length === 1 ? queue[0]! : concat(queue, queuedBytes));
    queue = [];
    queuedBytes = 0;
  };

  socket.addEventListener("message", ({ data }) => {
    if (ended) return;
    if (data instanceof ArrayBuffer) push(new Uint8Array(data));
    else if (data === BEHIND) {
      behind = true;
      wanted?.();
    }
  });
  const onClose = (): void => {
    if (ended) return;
    leave();
    wanted?.();
  };
  socket.addEventListener("close", onClose);
  socket.addEventListener("error", onClose);

  return new ReadableStream<Uint8Array>(
    {
      start(own) {
        controller = own;
        socket.binaryType = "arraybuffer";
        socket.accept?.();
      },
      // Called when the connection has taken what it was given and wants more.
      async pull() {
        inFlightBytes = 0;
        takenSinceTick = true;
        while (queue.length === 0) {
          if (ended) return controller.close();
          if (behind) {
            behind = false;
            socket.send(MORE);
          }
          await new Promise<void>((resolve) => {
            wanted = resolve;
          });
          wanted = undefined;
        }
        flush();
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
}

function concat(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}
