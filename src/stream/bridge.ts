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
 *   interval while something waits, and for longer than a slow link takes to show that it is read.
 *   Such a reader comes back with `Last-Event-ID` and loses nothing.
 * - The platform does not show either when a reader has taken something. `delivery.ts` infers it from
 *   later writes; if no event follows, the bridge writes a comment for it.
 */
import type { StreamSocket } from "../core/host.ts";
import { PIECE_BYTES, SLOW_LINK_BYTES_PER_S, UNSEEN_BYTES } from "../core/limits.ts";
import { countStream, readersCut } from "../signals/metrics.ts";
import { concat } from "../wire/bytes.ts";
import { KEEPALIVE_FRAME } from "../wire/sse-frame.ts";
import { Delivery } from "./delivery.ts";
import {
  BEHIND,
  MORE,
  PROBE,
  READER_GONE,
  readReport,
  REPORT,
  TAKEN,
  WITNESS,
} from "./protocol.ts";

type CutReason = "slow" | "stalled";

export interface BridgeOptions {
  /** Milliseconds between keep-alive comments. */
  readonly keepaliveMs: number;
  /** Bytes that may wait for the reader; the frame that passes them is its last. */
  readonly bufferBytes: number;
  /** The response waits for this: until then its reader can take nothing. */
  readonly until?: Promise<unknown> | undefined;
  /** Called with the reason when a reader is cut; for the log. */
  readonly onCut?: (reason: CutReason) => void;
  /** Called with the object's control words that the bridge does not handle itself. */
  readonly onWord?: (word: string) => void;
  /** Called once when the stream has ended, from either side. */
  readonly onEnd?: () => void;
}

const keepalive = new TextEncoder().encode(KEEPALIVE_FRAME);
const decoder = new TextDecoder();
const LINE_FEED = 10;

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

/** An id's line and the end of its frame fit several times over. */
const ID_TAIL_BYTES = 80;

/** Bytes that wait, with the id of the event that ends in them. */
interface Waiting {
  readonly bytes: Uint8Array;
  readonly id: string | undefined;
}

class BridgedReader {
  readonly #socket: StreamSocket;
  readonly #options: BridgeOptions;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #keepaliveTimer: ReturnType<typeof setInterval> | undefined;
  #commentTimer: ReturnType<typeof setTimeout> | undefined;
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  /** Bytes handed to the runtime that the reader's connection has not taken yet. */
  #inFlightBytes = 0;
  /** Bytes handed to the runtime in all. */
  #handedBytes = 0;
  /** Lets `pull` go on. Set while it waits: the connection has taken everything and wants more. */
  #wakePull: (() => void) | undefined;
  #hasTakenSinceTick = true;
  /** When the connection last took something, in milliseconds since the epoch. */
  #tookAt = Date.now();
  /** The response has not been returned yet (`BridgeOptions.until`). */
  #isUnanswered = false;
  /** The object has another page. */
  #isBehind = false;
  readonly #delivery = new Delivery();
  /** The object hears of what this reader takes. */
  #isWitness = false;
  /** No more frames come; what is queued is still handed over. */
  #isClosed = false;
  #isFinished = false;
  readonly #uncount = countStream();

  constructor(socket: StreamSocket, options: BridgeOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    this.#keepaliveTimer = setInterval(() => this.#tick(), this.#options.keepaliveMs);
    this.#isUnanswered = this.#options.until !== undefined;
    void this.#options.until?.finally(() => (this.#isUnanswered = false));
    const onClose = (): void => {
      this.#end();
      this.#closeSocket();
      this.#wakePull?.();
    };
    this.#socket.addEventListener("close", onClose);
    this.#socket.addEventListener("error", onClose);
    this.#socket.addEventListener("message", ({ data }) => this.#receive(data));
    this.#socket.binaryType = "arraybuffer";
    this.#socket.accept?.();
  }

  /** Called when the connection has taken what it was given and wants more. */
  async pull(): Promise<void> {
    this.#wentThrough();
    while (this.#queue.length === 0) {
      if (this.#isFinished) return;
      if (this.#isClosed) {
        this.finish();
        this.#controller?.close();
        return;
      }
      this.#drained();
      await new Promise<void>((resolve) => (this.#wakePull = resolve));
      this.#wakePull = undefined;
    }
    const { bytes, id } = this.#nextPiece();
    this.#inFlightBytes = bytes.byteLength;
    this.#handedBytes += bytes.byteLength;
    this.#delivery.begins(id, bytes.byteLength, Date.now());
    this.#controller?.enqueue(bytes);
  }

  /** Ends the bridge, and drops its queue: the reader has gone, or has been sent the last byte. */
  finish(): void {
    this.#end();
    this.#isFinished = true;
    this.#uncount();
    clearInterval(this.#keepaliveTimer);
    clearTimeout(this.#commentTimer);
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#closeSocket();
  }

  #end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.onEnd?.();
  }

  #receive(data: unknown): void {
    if (this.#isFinished) return;
    if (data instanceof ArrayBuffer) this.#push(new Uint8Array(data));
    else if (typeof data === "string") this.#receiveWord(data);
  }

  #receiveWord(word: string): void {
    if (word === BEHIND) {
      this.#isBehind = true;
      this.#wakePull?.();
    } else if (word === WITNESS) {
      this.#isWitness = true;
      if (this.#delivery.taken !== undefined) this.#say(TAKEN + this.#delivery.taken);
    } else if (word.startsWith(REPORT)) {
      const [id, through] = readReport(word);
      const taken = this.#delivery.ask(id, through);
      if (taken !== undefined) this.#say(TAKEN + taken);
      else if (this.#wakePull) this.#scheduleComment();
    } else if (word === PROBE) {
      this.#delivery.probe(Date.now());
      this.#comment();
    } else this.#options.onWord?.(word);
  }

  #push(bytes: Uint8Array): void {
    const waiting = this.#queuedBytes + this.#inFlightBytes;
    if (waiting > this.#options.bufferBytes) return this.#cut("slow");
    this.#queue.push({ bytes, id: idAtEndOf(bytes) });
    this.#queuedBytes += bytes.byteLength;
    this.#wakePull?.();
  }

  /** Writes a comment, unless other bytes are on their way: they prove the same. */
  #comment(): void {
    if (this.#wakePull && !this.#isClosed) this.#push(keepalive);
  }

  /** Takes from the queue what is handed over next. */
  #nextPiece(): Waiting {
    const parts: Uint8Array[] = [];
    let room = PIECE_BYTES;
    let lastId: string | undefined;
    while (room > 0) {
      const [next] = this.#queue;
      if (!next) break;
      const { bytes, id } = next;
      const part = bytes.subarray(0, endsBetweenLineFeeds(bytes, room) ? room + 1 : room);
      parts.push(part);
      room -= part.byteLength;
      if (part.byteLength < bytes.byteLength) {
        this.#queue[0] = { bytes: bytes.subarray(part.byteLength), id };
      } else {
        this.#queue.shift();
        lastId = id ?? lastId;
      }
    }
    this.#queuedBytes -= PIECE_BYTES - room;
    return { bytes: concat(parts), id: lastId };
  }

  /** The connection has taken what was in flight. */
  #wentThrough(): void {
    this.#inFlightBytes = 0;
    this.#hasTakenSinceTick = true;
    this.#tookAt = Date.now();
    const proof = this.#delivery.wentThrough(this.#tookAt);
    if (proof && (proof.asked || this.#isWitness)) this.#say(TAKEN + proof.id);
  }

  /** The connection has taken everything. */
  #drained(): void {
    if (this.#isBehind) {
      this.#isBehind = false;
      this.#say(MORE);
    }
    this.#scheduleComment();
  }

  #scheduleComment(): void {
    clearTimeout(this.#commentTimer);
    const due = this.#delivery.commentDue;
    if (due === undefined) return;
    this.#commentTimer = setTimeout(() => {
      this.#delivery.commented();
      this.#comment();
    }, due - Date.now());
  }

  #tick(): void {
    if (this.#isUnanswered) return;
    if (this.#wakePull && !this.#isClosed) this.#push(keepalive);
    else if (this.#hasTakenSinceTick) this.#hasTakenSinceTick = false;
    else if (Date.now() >= this.#tookAt + this.#unseenMs) this.#cut("stalled");
  }

  /**
   * Milliseconds for which a reader on a slow link may seem to take nothing although it reads: the
   * systems on the way let it read what they hold before they take more.
   */
  get #unseenMs(): number {
    const unseen = Math.min(1.5 * this.#handedBytes, UNSEEN_BYTES);
    return (unseen * 1000) / SLOW_LINK_BYTES_PER_S;
  }

  #cut(reason: CutReason): void {
    if (this.#isFinished) return;
    this.finish();
    readersCut.add(1, reason);
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
      this.#socket.close(READER_GONE, this.#delivery.taken ?? "");
    } catch {
      // Closed already, from the other side.
    }
  }
}

/**
 * Whether this many bytes end between the two line feeds that end a frame. Some clients take an id at
 * the first of them and an event at the second, so a reader that is cut there would lose the event.
 */
function endsBetweenLineFeeds(bytes: Uint8Array, length: number): boolean {
  return bytes[length - 1] === LINE_FEED && bytes[length] === LINE_FEED;
}

/** The id of the event that ends a message. An event's id is the last line of its frame. */
function idAtEndOf(message: Uint8Array): string | undefined {
  const tail = decoder.decode(message.subarray(-ID_TAIL_BYTES));
  return /\nid: (\S+)\n\n$/.exec(tail)?.[1];
}
