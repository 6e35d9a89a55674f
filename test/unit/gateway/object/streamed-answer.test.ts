/** How often an upstream's stream that breaks off is resumed, and after which pause. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import {
  MAX_UPSTREAM_RESUMES,
  MAX_UPSTREAM_RETRY_MS,
  UPSTREAM_RETRY_MS,
} from "../../../../src/core/limits.ts";
import { StreamedAnswer } from "../../../../src/gateway/object/streamed-answer.ts";
import { CallDeadline, SharedTimer } from "../../../../src/gateway/upstream/call-deadline.ts";
import { Reply } from "../../../../src/gateway/upstream/call.ts";

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => void vi.useRealTimers());

const NEWS = 'data: {"jsonrpc":"2.0","method":"notifications/progress"}\n\n';

/** A stream that says this, and ends. */
function streamOf(text: string): Reply {
  const response = new Response(text, { headers: { "content-type": "text/event-stream" } });
  return new Reply(response, new CallDeadline(1000, new SharedTimer()));
}

/**
 * Reads a stream that begins with `first`. `rest` has the text of each resumption.
 * Returns the times of the resumptions, how many messages came, and the end.
 */
async function read(
  first: string | undefined,
  rest: readonly string[],
  { maxResumes, isAtWork = true }: { maxResumes?: number; isAtWork?: boolean } = {},
) {
  const asked: [after: string, at: number][] = [];
  const left = [...rest];
  let messages = 0;
  let isLast = false;
  const abort = new AbortController();
  /** Nobody waits any more once the last stream has been asked for and something has come. */
  const leave = () => {
    if (isLast && messages > 0) abort.abort();
  };
  const parts = {
    limits: { bodyMaxBytes: 1000 },
    silenceMs: 1000,
    signal: abort.signal,
    resume: async (after: string) => {
      asked.push([after, Date.now()]);
      isLast = left.length === 1;
      leave();
      return streamOf(left.shift() ?? "");
    },
    brokeOff: () => undefined,
    ...(maxResumes !== undefined && { maxResumes }),
  };
  const reply = first === undefined ? undefined : streamOf(first);
  const answer = new StreamedAnswer(reply, parts, first === undefined ? "left" : undefined);
  const reading = (async () => {
    for await (const turn of answer.turns()) {
      messages += turn.length;
      leave();
      if (isAtWork && turn.length > 0) answer.isAtWork();
    }
  })().then(
    () => "ended",
    (failure: Error) => failure.message,
  );
  await vi.advanceTimersByTimeAsync(100 * MAX_UPSTREAM_RETRY_MS);
  return { asked, messages, end: await reading };
}

const nothing = (times: number) => Array.from({ length: times }, () => "");

it("resumes a stream that brings nothing up to its bound of times, and no once more", async () => {
  const last = await read("id: e1\n\n", [...nothing(MAX_UPSTREAM_RESUMES - 1), NEWS]);
  expect([last.asked.length, last.messages, last.end]).toEqual([MAX_UPSTREAM_RESUMES, 1, "ended"]);
  const beyond = await read("id: e1\n\n", [...nothing(MAX_UPSTREAM_RESUMES), NEWS]);
  expect([beyond.asked.length, beyond.messages]).toEqual([MAX_UPSTREAM_RESUMES, 0]);
  expect(beyond.end).not.toBe("ended");
});

it("counts anew from each message for the client, and not from others", async () => {
  const rest = [...nothing(40), NEWS, ...nothing(40), NEWS];
  expect(await read("id: e1\n\n", rest)).toMatchObject({ messages: 2, end: "ended" });
  const idle = await read("id: e1\n\n", rest, { isAtWork: false });
  expect([idle.asked.length, idle.messages]).toEqual([MAX_UPSTREAM_RESUMES, 1]);
});

it("has no such bound where something else bounds the call", async () => {
  const rest = [...nothing(3 * MAX_UPSTREAM_RESUMES), NEWS];
  const { asked, end } = await read("id: e1\n\n", rest, { maxResumes: Infinity });
  expect([asked.length, end]).toEqual([rest.length, "ended"]);
});

it.each([
  ["as it asks", `retry: ${MAX_UPSTREAM_RETRY_MS}\n`, MAX_UPSTREAM_RETRY_MS],
  ["no longer than its bound", `retry: ${MAX_UPSTREAM_RETRY_MS + 1}\n`, MAX_UPSTREAM_RETRY_MS],
  ["no longer than it asks", "retry: 1\n", 1],
  ["for a second where it asks for nothing", "", UPSTREAM_RETRY_MS],
])("waits %s before it resumes, each time after the newest id", async (_what, retry, ms) => {
  const { asked, end } = await read(`${retry}id: e1\n\n`, ["id: e2\n\n", NEWS]);
  expect([asked, end]).toEqual([
    [
      ["e1", ms],
      ["e2", 2 * ms],
    ],
    "ended",
  ]);
});

it("resumes one that was left at once, and after the next breaks waits", async () => {
  const { asked } = await read(undefined, ["id: e2\n\n", NEWS]);
  expect(asked).toEqual([
    ["left", 0],
    ["e2", UPSTREAM_RETRY_MS],
  ]);
});

it("is over where no event had an id", async () => {
  const { asked, messages, end } = await read(NEWS, []);
  expect([asked, messages]).toEqual([[], 1]);
  expect(end).not.toBe("ended");
});
