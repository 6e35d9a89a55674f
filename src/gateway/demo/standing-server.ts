/**
 * Keeps one server of the SDK connected, and has it answer many calls at a time. The SDK's own
 * handler makes a server and a stream for each request, which is most of the cost of a quick call.
 *
 * Only a tool call may come here. A message that changes the server's state (initialize, a log
 * level) would change it for every client.
 */
import type {
  JSONRPCMessage,
  JSONRPCRequest,
  McpServer,
  Transport,
} from "@modelcontextprotocol/server";
import { FrameStream } from "../../wire/sse-frame.ts";
import type { Answer } from "../upstream/upstream.ts";

interface Call {
  /** The client's id. Other clients may use the same one. */
  readonly id: JSONRPCRequest["id"];
  readonly answer: (answer: Answer) => void;
  /** Set once there is another message than the result. */
  stream?: FrameStream;
}

export class StandingServer {
  readonly #transport: Transport = {
    start: () => Promise.resolve(),
    close: () => Promise.resolve(),
    send: (message, options) => Promise.resolve(this.#send(message, options?.relatedRequestId)),
  };
  readonly #connected: Promise<void>;
  /** The calls under way, by the ids that the server sees. */
  readonly #calls = new Map<unknown, Call>();
  #lastId = 0;

  constructor(server: McpServer) {
    this.#connected = server.connect(this.#transport);
  }

  /** Answers with JSON, or with a stream if there are more messages than the result. Aborting cancels the call. */
  async call(request: JSONRPCRequest, signal: AbortSignal | null | undefined): Promise<Answer> {
    await this.#connected;
    signal?.throwIfAborted();
    const id = ++this.#lastId;
    return new Promise((answer) => {
      this.#calls.set(id, { id: request.id, answer });
      signal?.addEventListener("abort", () => this.#cancel(id), { once: true });
      this.#transport.onmessage?.({ ...request, id });
    });
  }

  #cancel(id: number): void {
    if (!this.#calls.delete(id)) return;
    const params = { requestId: id };
    this.#transport.onmessage?.({ jsonrpc: "2.0", method: "notifications/cancelled", params });
  }

  #send(message: JSONRPCMessage, related: JSONRPCRequest["id"] | undefined): void {
    if ("method" in message) {
      const call = this.#calls.get(related);
      if (call) this.#streamOf(call, Number(related)).send(JSON.stringify(message));
      return;
    }
    const call = this.#calls.get(message.id);
    if (!call) return;
    this.#calls.delete(message.id);
    const answer = JSON.stringify({ ...message, id: call.id });
    if (!call.stream) return call.answer(answer);
    call.stream.send(answer);
    call.stream.close();
  }

  #streamOf(call: Call, id: number): FrameStream {
    if (call.stream) return call.stream;
    call.stream = new FrameStream(() => this.#cancel(id));
    call.answer(call.stream.response);
    return call.stream;
  }
}
