/** Stands in for a model: the AI SDK's mock, which answers with one word every 80 ms. Put yours in its place. */
import { simulateReadableStream, type LanguageModel } from "ai";
import { MockLanguageModelV4 } from "ai/test";

type Prompt = Parameters<MockLanguageModelV4["doStream"]>[0]["prompt"];

const MILLISECONDS_A_WORD = 80;

export function answerTo(prompt: string): string {
  return `You asked: ${prompt}

This answer comes through useChat. The Worker publishes each chunk of it to a Holdfast session, \
whether or not a page is there to read. Reload this page: the chat resumes, and the words that came \
before are back at once. Cut the network: the page goes on where it was. Open the address in a \
second tab: both show the same words. Press the stop button: the answer ends in both, the model \
stops, and what it has said stays in the chat.`;
}

export function model(): LanguageModel {
  return new MockLanguageModelV4({
    doStream: async ({ prompt }) => {
      const words = answerTo(questionIn(prompt)).split(/(?<= )/);
      return {
        stream: simulateReadableStream({
          chunkDelayInMs: MILLISECONDS_A_WORD,
          chunks: [
            { type: "stream-start", warnings: [] },
            { type: "text-start", id: "answer" },
            ...words.map((delta) => ({ type: "text-delta" as const, id: "answer", delta })),
            { type: "text-end", id: "answer" },
            {
              type: "finish",
              finishReason: { unified: "stop", raw: undefined },
              usage: {
                inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
                outputTokens: { total: words.length, text: words.length, reasoning: 0 },
              },
            },
          ],
        }),
      };
    },
  });
}

/** The text of the last message, which the user wrote. */
function questionIn(prompt: Prompt): string {
  const last = prompt.at(-1);
  if (last?.role !== "user") return "";
  return last.content.map((part) => (part.type === "text" ? part.text : "")).join("");
}
