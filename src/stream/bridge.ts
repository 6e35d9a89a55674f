/**
 * The bridge between a session's object and one reader: frames come from the object over a
 * socket and leave as the body of an SSE response. The object may sleep while the bridge holds
 * the connection.
 *
 * - The platform notices that a reader has gone only when something is written to it (measured on
 *   workerd: never without a write, at the next one with it). So an idle stream gets a comment
 *   every `keepaliveMs`.
 * - A socket gives its sender no back-pressure, so the bridge bounds what waits for a slow
 *   reader. It cuts a reader past the bound, and one that takes nothing for a whole keep-alive
 *   interval while something waits. Such a reader comes back with `Last-Event-ID` and loses nothing.
 */
import type { StreamSocket } from "../core/host.ts";
import { CONFIRM_AFTER_MS } from "../core/limits.ts";
import { concat } from "../wire/bytes.ts";
import { KEEPALIVE_FRAME } from "../wire/sse-frame.ts";
import { BEHIND, CONFIRM, MORE, READER_GONE, TAKEN } from "./protocol.ts";

type CutReason = "slow" | "stalled";

export interface BridgeOptions {
  /** Milliseconds between keep-alive comments. */
  readonly keepaliveMs: number;
  /** Bytes that may wait for the reader; the frame that passes them is its last. */
  readonly bufferBytes: number;
  /** Called with the reason when a reader is cut; for the log. */
  readonly onCut?: (reason: CutReason) => void;
  /** Called with words from the object that are not the bridge's own. */
  readonly onWord?: (word: string) => void;
  /** Called once when the stream has ended, from either side. */
  readonly onEnd?: () => void;
}

const keepalive = new TextEncoder().encode(KEEPALIVE_FRAME);

/** The body of an SSE response that carries the frames of the socket. */
export function bridge(socket: StreamSocket, options: BridgeOptions): ReadableStream<Uint8Array> {
  const reader = new BridgedReader(socket, options);
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => reader.start(controller),
      pull: () => reader.pull(),
      cancel: () => reader.finish(),
    },
    // The stream takes nothing from the queue before the connection wants it.
    { highWaterMark: 0 },
  );
}

class BridgedReader {
  readonly #socket: StreamSocket;
  readonly #options: BridgeOptions;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #confirmTimer: ReturnType<typeof setTimeout> | undefined;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  /** Bytes handed to the runtime that the reader's connection has not taken yet. */
  #inFlightBytes = 0;
  /** Set while the connection has taken everything and wants more. */
  #wanted: (() => void) | undefined;
  #tookSinceTick = true;
  /** The object has another page. */
  #behind = false;
  /** `sent`: the object asks whether the reader lives on. `probing`: a comment is on its way to try. */
  #confirm: "idle" | "sent" | "probing" = "idle";
  /** No more frames come; what is queued is still handed over. */
  #closed = false;
  #finished = false;

  constructor(socket: StreamSocket, options: BridgeOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    this.#timer = setInterval(() => this.#tick(), this.#options.keepaliveMs);
    const onClose = (): void => {
      this.#end();
      this.#closeSocket();
      this.#wanted?.();
    };
    this.#socket.addEventListener("close", onClose);
    this.#socket.addEventListener("error", onClose);
    this.#socket.addEventListener("message", ({ data }) => this.#receive(data));
    this.#socket.binaryType = "arraybuffer";
    this.#socket.accept?.();
  }

  /** Called when the connection has taken what it was given and wants more. */
  async pull(): Promise<void> {
    this.#inFlightBytes = 0;
    this.#tookSinceTick = true;
    while (this.#queue.length === 0) {
      if (this.#finished) return;
      if (this.#closed) {
        this.finish();
        this.#controller?.close();
        return;
      }
      this.#drained();
      await new Promise<void>((resolve) => (this.#wanted = resolve));
      this.#wanted = undefined;
    }
    this.#inFlightBytes = this.#queuedBytes;
    this.#controller?.enqueue(concat(this.#queue));
    this.#clearQueue();
  }

  /** The reader has gone, or has had its last byte: nothing of it is left. */
  finish(): void {
    this.#end();
    this.#finished = true;
    clearInterval(this.#timer);
    clearTimeout(this.#confirmTimer);
    this.#clearQueue();
    this.#closeSocket();
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.onEnd?.();
  }

  #receive(data: unknown): void {
    if (this.#finished) return;
    if (data instanceof ArrayBuffer) this.#push(new Uint8Array(data));
    else if (data === BEHIND) this.#behind = true;
    else if (data === CONFIRM) this.#confirm = "sent";
    else if (typeof data === "string") this.#options.onWord?.(data);
    this.#wanted?.();
  }

  #push(frame: Uint8Array): void {
    const waiting = this.#queuedBytes + this.#inFlightBytes;
    if (waiting > this.#options.bufferBytes) return this.#cut("slow");
    this.#queue.push(frame);
    this.#queuedBytes += frame.byteLength;
    this.#wanted?.();
  }

  #clearQueue(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  /** The connection has taken everything. */
  #drained(): void {
    if (this.#behind) {
      this.#behind = false;
      this.#say(MORE);
    } else if (this.#confirm === "probing") {
      this.#confirm = "idle";
      this.#say(TAKEN);
    } else if (this.#confirm === "sent") {
      clearTimeout(this.#confirmTimer);
      this.#confirmTimer = setTimeout(() => {
        this.#confirm = "probing";
        this.#push(keepalive);
      }, CONFIRM_AFTER_MS);
    }
  }

  #tick(): void {
    if (this.#wanted && !this.#closed) this.#push(keepalive);
    else if (this.#tookSinceTick) this.#tookSinceTick = false;
    else this.#cut("stalled");
  }

  #cut(reason: CutReason): void {
    if (this.#finished) return;
    this.finish();
    this.#options.onCut?.(reason);
    // An error, not an end: the connection must not wait until the reader takes what is in flight.
    this.#controller?.error(new Error(`reader cut: ${reason}`));
  }

  #say(word: string): void {
    try {
      this.#socket.send(word);
    } catch {
      // The object's side has closed; its close event follows.
    }
  }

  #closeSocket(): void {
    try {
      this.#socket.close(READER_GONE);
    } catch {
      // Closed already, from the other side.
    }
  }
}
