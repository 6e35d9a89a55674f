/**
 * The answer to one POST of a client of the stateless revision. It is JSON if it is complete soon, else a stream
 * of events. Nothing of it is stored: such a client cannot come back for it.
 */
import { succeed, type Outcome } from "../../core/errors.ts";
import { encodeFrame, KEEPALIVE_FRAME, MESSAGE_EVENT } from "../../wire/sse-frame.ts";
import type { EraRequest, ExchangeAnswer, Failure } from "../contract.ts";
import { statusOfResponse } from "../eras/modern-answer.ts";
import { rpcError } from "../json-rpc.ts";
import { AT_SERVER } from "../tasks/task.ts";
import type { KeptHeaders } from "../upstream/meaning.ts";

interface LegParts {
  readonly request: EraRequest;
  /** Milliseconds between comments: only a failed write shows that the client has left. */
  readonly keepaliveMs: number;
  /** Bytes that may wait for the client before the upstream is read on. */
  readonly bufferBytes: number;
  /** Bytes of one message of the upstream. */
  readonly maxBytes: number;
  /** The client has closed the stream, or does not read it: it has cancelled the request. */
  readonly onLeft: () => void;
}

/** Milliseconds for which a client may take nothing of much that waits for it. */
const UNREAD_MS = 60_000;

const encoder = new TextEncoder();
const keepalive = encoder.encode(KEEPALIVE_FRAME);
/** Tells the task's object that the server can be asked for the rest. */
const atServer = encoder.encode(encodeFrame({ data: "", id: AT_SERVER }));

export class EraLeg {
  readonly request: EraRequest;
  readonly answer: Promise<Outcome<ExchangeAnswer>>;
  readonly #resolve: (answer: Outcome<ExchangeAnswer>) => void;
  readonly #keepaliveMs: number;
  readonly #bufferBytes: number;
  readonly #maxBytes: number;
  readonly #onLeft: () => void;
  #controller: ReadableByteStreamController | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Set while somebody waits until the client has taken everything. */
  #taken: PromiseWithResolvers<void> | undefined;
  #watched: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;
  /** The rest of the call can be had from its server after a restart of everything. */
  #isAtServer = false;

  constructor({ request, keepaliveMs, bufferBytes, maxBytes, onLeft }: LegParts) {
    this.request = request;
    this.#keepaliveMs = keepaliveMs;
    this.#bufferBytes = bufferBytes;
    this.#maxBytes = maxBytes;
    this.#onLeft = onLeft;
    const { promise, resolve } = Promise.withResolvers<Outcome<ExchangeAnswer>>();
    this.answer = promise;
    this.#resolve = resolve;
  }

  /** Whether the POST is not answered yet. */
  get isWaiting(): boolean {
    return !this.#isOver && !this.#controller;
  }

  /** Undefined unless too much waits for the client. Resolves when it has taken everything, or has left. */
  get drained(): Promise<void> | undefined {
    if (this.#isOver || this.#waitingBytes <= this.#bufferBytes) return undefined;
    if (!this.#taken) {
      this.#taken = Promise.withResolvers();
      this.#watch(this.#waitingBytes);
    }
    return this.#taken.promise;
  }

  get #waitingBytes(): number {
    return -(this.#controller?.desiredSize ?? 0);
  }

  /** Answers by a stream, unless the POST is answered. */
  open(): void {
    if (!this.isWaiting) return;
    // Only a stream of bytes crosses RPC.
    const body = new ReadableStream({
      type: "bytes",
      start: (controller: ReadableByteStreamController) => void (this.#controller = controller),
      pull: () => this.#resume(),
      cancel: () => this.#left(),
    }) as ReadableStream<Uint8Array>;
    this.#timer = setInterval(() => {
      // No comment while bytes wait for the client: to write those shows as well whether it has left.
      if ((this.#controller?.desiredSize ?? -1) >= 0) this.#controller?.enqueue(keepalive.slice());
    }, this.#keepaliveMs);
    this.#resolve(succeed({ kind: "flow", body }));
    if (this.#isAtServer) this.#controller?.enqueue(atServer.slice());
  }

  /** The server can be asked for the rest of the call. A task is told; another client could not come back for it. */
  atServer(): void {
    if (this.#isAtServer || !this.request.task) return;
    this.#isAtServer = true;
    if (!this.#isOver) this.#controller?.enqueue(atServer.slice());
  }

  /** Sends a message before the last one. */
  send(text: string): void {
    this.open();
    if (this.#isOver) return;
    this.#enqueue(text);
    // The exchange awaits `drained` before it reads on in the call's own stream. Other senders do not wait.
    if (this.#waitingBytes > 2 * (this.#bufferBytes + this.#maxBytes)) this.#cut();
  }

  /** Answers with the last message. */

  finish(text: string, status = statusOfResponse(text), headers?: KeptHeaders): void {
    if (this.#isOver) return;
    const controller = this.#controller;
    this.#end();
    if (!controller) {
      const kept = headers && { headers };
      return this.#resolve(succeed({ kind: "json", status, body: text, ...kept }));
    }
    this.#enqueue(text);
    controller.close();
  }

  fail(failure: Failure): void {
    if (!this.isWaiting) {
      return this.finish(rpcError(failure.code, failure.message, this.request.id));
    }
    this.#end();
    this.#resolve(succeed({ kind: "failed", failure }));
  }

  #enqueue(text: string): void {
    this.#controller?.enqueue(encoder.encode(encodeFrame({ event: MESSAGE_EVENT, data: text })));
  }

  #left(): void {
    if (this.#isOver) return;
    this.#end();
    this.#onLeft();
  }

  /** Cuts a client that takes nothing of what waits for it. */
  #watch(waiting: number): void {
    this.#watched = setTimeout(() => {
      if (this.#waitingBytes >= waiting) this.#cut();
      else this.#watch(this.#waitingBytes);
    }, UNREAD_MS);
  }

  #cut(): void {
    this.#controller?.error(new Error("the client reads too slowly"));
    this.#left();
  }

  #resume(): void {
    clearTimeout(this.#watched);
    this.#taken?.resolve();
    this.#taken = undefined;
  }

  #end(): void {
    this.#isOver = true;
    this.#resume();
    clearInterval(this.#timer);
  }
}
