/** Brings a chat's answers from Holdfast sessions to `useChat`, in place of the AI SDK's DefaultChatTransport. */
import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import { HoldfastClient } from "holdfast/client";

type Transport = ChatTransport<UIMessage>;

export class HoldfastChatTransport implements Transport {
  /** A stream that is resumed begins with the answer's first chunk. */
  readonly resumeStreamIsReplay = true;
  readonly #client = new HoldfastClient({ url: "/live" });
  #answer: string | undefined;

  /** `answer`: the session of the answer that was being written when the page was loaded. */
  constructor(answer: string | undefined) {
    this.#answer = answer;
  }

  async sendMessages({ chatId, messages, abortSignal }: Parameters<Transport["sendMessages"]>[0]) {
    const response = await fetch(`/api/chats/${chatId}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ message: messages.at(-1) }),
    });
    if (!response.ok) throw new Error(await response.text());
    const { answer } = (await response.json()) as { answer: string };
    this.#answer = answer;
    return this.#follow(answer, abortSignal);
  }

  async reconnectToStream({ abortSignal }: Parameters<Transport["reconnectToStream"]>[0]) {
    return this.#answer === undefined ? null : this.#follow(this.#answer, abortSignal);
  }

  /** The client outlasts bad networks and resumes, so the stream ends with the answer alone. */
  #follow(answer: string, signal: AbortSignal | undefined): ReadableStream<UIMessageChunk> {
    const items = this.#client.follow(answer, { from: "earliest", signal });
    return new ReadableStream({
      async pull(controller) {
        const { value: item } = await items.next();
        if (item?.type === "event") controller.enqueue(item.json<UIMessageChunk>());
        else if (item?.type === "gap") controller.error(new Error("A part of the answer is gone."));
        else controller.close();
      },
      async cancel() {
        await items.return();
      },
    });
  }
}
