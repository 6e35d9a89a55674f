/** The answer to a tool call while it is no task: JSON, or a stream once the upstream has more to say. */
import { encodeFrame, MESSAGE_EVENT } from "../../wire/sse-frame.ts";
import type { Failure } from "../contract.ts";
import type { TaskAnswer } from "./contract.ts";

const encoder = new TextEncoder();

export class QuickAnswer {
  readonly #resolvers = Promise.withResolvers<TaskAnswer>();
  readonly #bufferBytes: number;
  readonly #left: () => void;
  #controller: ReadableByteStreamController | undefined;
  #isOver = false;

  /** `bufferBytes` may wait for a slow client. `left` is called when the client leaves, or is slower than that. */
  constructor(bufferBytes: number, left: () => void) {
    this.#bufferBytes = bufferBytes;
    this.#left = left;
  }

  get answer(): Promise<TaskAnswer> {
    return this.#resolvers.promise;
  }

  /** A message before the answer. */
  send(text: string): void {
    if (this.#isOver) return;
    const controller = (this.#controller ??= this.#open());
    controller.enqueue(encoder.encode(encodeFrame({ event: MESSAGE_EVENT, data: text })));
    if ((controller.desiredSize ?? 0) >= -this.#bufferBytes) return;
    this.#broken();
    this.#left();
  }

  /** The JSON-RPC response. */
  end(text: string): void {
    if (this.#isOver) return;
    if (!this.#controller) {
      return this.whole({
        status: 200,
        headers: { "content-type": "application/json" },
        body: text,
      });
    }
    this.send(text);
    if (this.#isOver) return;
    this.#isOver = true;
    this.#controller.close();
  }

  /** The upstream's answer as it is. */
  whole(answer: Omit<TaskAnswer & { readonly kind: "whole" }, "kind">): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#resolvers.resolve({ kind: "whole", ...answer });
  }

  /** There is no answer. A stream that has begun breaks off. */
  fail(failure: Failure): void {
    if (this.#isOver) return;
    if (this.#controller) return this.#broken();
    this.#isOver = true;
    this.#resolvers.resolve({ kind: "failed", failure });
  }

  #broken(): void {
    this.#isOver = true;
    this.#controller?.error(new Error("the upstream broke off"));
  }

  #open(): ReadableByteStreamController {
    let opened: ReadableByteStreamController | undefined;
    // Only a stream of bytes goes over RPC.
    const body = new ReadableStream({
      type: "bytes",
      start: (controller: ReadableByteStreamController) => {
        opened = controller;
      },
      cancel: () => {
        this.#isOver = true;
        this.#left();
      },
    });
    this.#resolvers.resolve({ kind: "stream", body });
    // `start` is called before the constructor returns.
    if (!opened) throw new TypeError("the stream has no controller");
    return opened;
  }
}
