/** A batch of a client of the revisions with sessions: the stateless era has none, so each request is sent alone. */
import { FrameStream } from "../../wire/sse-frame.ts";
import { messagesIn, rpcError, type RequestId } from "../json-rpc.ts";
import { FAILURES } from "../upstream/failure.ts";
import type { Answer } from "../upstream/upstream.ts";
import { heardOf, textsOf } from "./heard.ts";

interface Sent {
  readonly id: RequestId;
  /** Undefined: the request could not be sent, or its answer not be read. */
  readonly answer: Answer | undefined;
  /** Whether the answer refuses the request as a whole, so that nothing of it was executed. */
  readonly isRefusal: boolean;
  readonly cause?: unknown;
}

/** The requests of batches that are under way: each can be cancelled alone. */
export class Batches {
  readonly #aborts = new Map<RequestId, AbortController>();

  cancel(id: RequestId): void {
    this.#aborts.get(id)?.abort();
  }

  /**
   * Sends each request by `send`, and answers with a stream of all their messages. If the server refuses all of
   * them, such as for their credential, the first refusal is the answer. Throws where none could be sent.
   */
  async answer(
    ids: readonly RequestId[],
    send: (n: number, signal: AbortSignal) => Promise<Answer>,
    maxBytes: number,
  ): Promise<Answer> {
    const sent = ids.map((id, n) => this.#send(id, n, send, maxBytes));
    // A slow answer holds up no other.
    const isTaken = await Promise.any(sent.map(taken)).catch(() => false);
    const [first] = sent;
    if (first && !isTaken) {
      for (const id of ids) this.#aborts.delete(id);
      const { answer, cause } = await first;
      if (answer === undefined) throw cause;
      return answer;
    }
    const stream = new FrameStream(() => {
      for (const id of ids) this.cancel(id);
    });
    const read = async (one: Promise<Sent>): Promise<void> => {
      const { id, answer } = await one;
      try {
        if (answer === undefined) throw new Error("there is no answer");
        for await (const text of textsOf(answer, maxBytes)) stream.send(text);
      } catch {
        stream.send(rpcError(FAILURES.closed.code, FAILURES.closed.message, id));
      } finally {
        this.#aborts.delete(id);
      }
    };
    void Promise.all(sent.map(read))
      .then(() => stream.close())
      // The stream's reader has left.
      .catch(() => undefined);
    return stream.response;
  }

  async #send(
    id: RequestId,
    n: number,
    send: (n: number, signal: AbortSignal) => Promise<Answer>,
    maxBytes: number,
  ): Promise<Sent> {
    const abort = new AbortController();
    this.#aborts.set(id, abort);
    try {
      const answer = await send(n, abort.signal);
      if (typeof answer === "string" || answer.ok) return { id, answer, isRefusal: false };
      const { text, response } = await heardOf(answer, maxBytes);
      const names = messagesIn(text ?? "").some(
        ({ message }) => message.kind === "response" && message.id === id,
      );
      const isForAll = [401, 403, 429, 503].includes(answer.status);
      return { id, answer: response(), isRefusal: isForAll || !names };
    } catch (cause) {
      return { id, answer: undefined, isRefusal: true, cause };
    }
  }
}

/** Rejects where the request was refused. */
async function taken(sent: Promise<Sent>): Promise<true> {
  const { isRefusal, cause } = await sent;
  if (isRefusal) throw new Error("refused", { cause });
  return true;
}
