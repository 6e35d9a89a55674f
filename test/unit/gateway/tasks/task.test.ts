import { describe, expect, it } from "vitest";
import {
  begun,
  createdText,
  ended,
  isEnded,
  taskText,
  withAnswers,
  withEventId,
  withMessage,
  withQuestions,
  type TaskFacts,
  type TaskState,
} from "../../../../src/gateway/tasks/task.ts";

const FACTS: TaskFacts = { taskId: "t", createdAt: 0, ttlMs: 9000, pollIntervalMs: 10 };
const SHOWN = {
  taskId: "t",
  createdAt: "1970-01-01T00:00:00.000Z",
  ttlMs: 9000,
  pollIntervalMs: 10,
};
const working = begun(1);
const asked = withQuestions(
  working,
  { requests: { a: '{"method":"x"}', b: '{"method":"y"}' }, requestState: '"s"' },
  2,
);
const half = withAnswers(asked, { "1.a": '{"n":1.0}' }, 3).state;
const done = ended(working, { status: "completed", result: '{"n":1.0}' }, 4);
const failed = ended(working, { status: "failed", error: '{"code":1}', message: "why" }, 4);
const cancelled = ended(half, { status: "cancelled" }, 4);

const show = (state: TaskState) => JSON.parse(taskText(FACTS, state)) as Record<string, unknown>;

describe("what a task becomes", () => {
  /** From a state, by what happens, to what a client sees; undefined: nothing changes. */
  const table: readonly (readonly [
    from: string,
    state: TaskState,
    what: string,
    next: (state: TaskState) => TaskState,
    seen: object | undefined,
  ])[] = [
    [
      "working",
      working,
      "a message",
      (s) => withMessage(s, "m", 5),
      { status: "working", statusMessage: "m" },
    ],
    [
      "working",
      withMessage(working, "m", 5),
      "the same message",
      (s) => withMessage(s, "m", 6),
      undefined,
    ],
    ["asked", asked, "a message", (s) => withMessage(s, "m", 5), undefined],
    ["ended", done, "a message", (s) => withMessage(s, "m", 5), undefined],
    [
      "working",
      working,
      "questions",
      () => asked,
      {
        status: "input_required",
        inputRequests: { "1.a": { method: "x" }, "1.b": { method: "y" } },
      },
    ],
    [
      "asked",
      asked,
      "more questions",
      (s) => withQuestions(s, { requests: { c: "{}" } }, 5),
      undefined,
    ],
    [
      "ended",
      cancelled,
      "questions",
      (s) => withQuestions(s, { requests: { c: "{}" } }, 5),
      undefined,
    ],
    [
      "asked",
      asked,
      "one answer",
      () => half,
      { status: "input_required", inputRequests: { "1.b": { method: "y" } } },
    ],
    [
      "asked",
      asked,
      "an answer to nothing",
      (s) => withAnswers(s, { a: "{}", "2.a": "{}" }, 5).state,
      undefined,
    ],
    ["half", half, "an answer twice", (s) => withAnswers(s, { "1.a": "{}" }, 5).state, undefined],
    [
      "half",
      half,
      "the last answer",
      (s) => withAnswers(s, { "1.b": "{}" }, 5).state,
      { status: "working" },
    ],
    ["working", working, "an answer", (s) => withAnswers(s, { "1.a": "{}" }, 5).state, undefined],
    ["ended", done, "an answer", (s) => withAnswers(s, { "1.a": "{}" }, 5).state, undefined],
    ["working", working, "a result", () => done, { status: "completed", result: { n: 1 } }],
    [
      "working",
      working,
      "an error",
      () => failed,
      { status: "failed", statusMessage: "why", error: { code: 1 } },
    ],
    ["half", half, "a cancellation", () => cancelled, { status: "cancelled" }],
    ["ended", done, "a cancellation", (s) => ended(s, { status: "cancelled" }, 5), undefined],
    [
      "ended",
      cancelled,
      "a result",
      (s) => ended(s, { status: "completed", result: "{}" }, 5),
      undefined,
    ],
  ];

  it.each(table)("%s %o, after %s", (_from, state, _what, next, seen) => {
    const after = next(state);
    if (!seen) return expect(after).toBe(state);
    const lastUpdatedAt = new Date(after.updatedAt).toISOString();
    expect(show(after)).toEqual({ ...SHOWN, lastUpdatedAt, ...seen });
  });

  it("hands the answers on with the last of them, as they were written, with the upstream's state", () => {
    expect(withAnswers(asked, { "1.a": "{}" }, 3).repeat).toBeUndefined();
    expect(withAnswers(half, { "1.b": '{"m":2.0}' }, 3).repeat).toEqual({
      answers: { a: '{"n":1.0}', b: '{"m":2.0}' },
      requestState: '"s"',
    });
  });

  it("names no question of a later round as one before", () => {
    const { state } = withAnswers(half, { "1.b": "{}" }, 3);
    const again = withQuestions(state, { requests: { a: "{}" } }, 4);
    expect(Object.keys(again.questions ?? {})).toEqual(["2.a"]);
  });

  it("remembers where the upstream's stream is, as long as it is at work", () => {
    const later = withEventId(working, "e1");
    expect(later.lastEventId).toBe("e1");
    expect(withEventId(later, "e1")).toBe(later);
    expect(withEventId(later, undefined)).toBe(later);
    expect(withEventId(done, "e2")).toBe(done);
    expect(withQuestions(later, { requests: { a: "{}" } }, 4)).not.toHaveProperty("lastEventId");
  });
});

describe("how a task is shown", () => {
  it("keeps the upstream's letters", () => {
    expect(taskText(FACTS, done)).toContain('"result":{"n":1.0}');
  });

  it("without what belongs to its status, where that is too large", () => {
    expect(JSON.parse(taskText(FACTS, done, false))).not.toHaveProperty("result");
  });

  it("to the client whose call it was", () => {
    expect(JSON.parse(createdText(FACTS, working))).toEqual({
      ...SHOWN,
      resultType: "task",
      status: "working",
      lastUpdatedAt: "1970-01-01T00:00:00.001Z",
    });
  });

  it("is ended or not", () => {
    const states = [working, asked, half, done, failed, cancelled];
    expect(states.map(isEnded)).toEqual([false, false, false, true, true, true]);
  });
});
