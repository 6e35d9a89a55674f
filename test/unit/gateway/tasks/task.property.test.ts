/** Anything may happen to a task in any order: it agrees with a model that knows the rules alone. */
import fc from "fast-check";
import { expect, it } from "vitest";
import {
  begun,
  ended,
  isEnded,
  nameIn,
  stateOf,
  taskText,
  untoldText,
  withAnswers,
  withEventId,
  withMessage,
  withQuestions,
  type TaskState,
} from "../../../../src/gateway/tasks/task.ts";

type Step =
  | { readonly kind: "message"; readonly text: string }
  | { readonly kind: "event"; readonly id: string }
  | { readonly kind: "ask"; readonly names: readonly string[] }
  | { readonly kind: "answer"; readonly picks: readonly number[]; readonly stray: string }
  | { readonly kind: "end"; readonly status: "completed" | "failed" | "cancelled" };

const name = fc.constantFrom("a", "b", "1", "__proto__", "constructor", "1.a");
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("message" as const), text: fc.string() }),
  fc.record({ kind: fc.constant("event" as const), id: fc.string() }),
  fc.record({
    kind: fc.constant("ask" as const),
    names: fc.uniqueArray(name, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({
    kind: fc.constant("answer" as const),
    picks: fc.array(fc.nat(20), { maxLength: 4 }),
    stray: fc.string(),
  }),
  fc.record({
    kind: fc.constant("end" as const),
    status: fc.constantFrom("completed" as const, "failed" as const, "cancelled" as const),
  }),
);

/** The rules that must hold, without a word about how. */
class Model {
  status = "working";
  end = "";
  /** Every key that was ever asked, in order, with the upstream's name. */
  readonly keys: { key: string; name: string; open: boolean; answer?: string }[] = [];
  round: { key: string; name: string; open: boolean; answer?: string }[] = [];
}

function happen(state: TaskState, model: Model, one: Step, now: number): TaskState {
  const isOver = model.end !== "";
  switch (one.kind) {
    case "message":
      return withMessage(state, one.text, now);
    case "event":
      return withEventId(state, one.id);
    case "ask": {
      const requests = Object.fromEntries(one.names.map((asked) => [asked, `{"of":"${asked}"}`]));
      const next = withQuestions(state, { requests }, now);
      if (model.status !== "working" || isOver) return next;
      model.status = "input_required";
      const shown = Object.keys(next.questions ?? {});
      model.round = shown.map((key) => ({ key, name: nameIn(key), open: true }));
      expect(model.round.map(({ name }) => name).toSorted()).toEqual(one.names.toSorted());
      for (const { key } of model.round)
        expect(model.keys.map((old) => old.key)).not.toContain(key);
      model.keys.push(...model.round);
      return next;
    }
    case "answer": {
      const picked = one.picks.flatMap((n) => model.keys[n % Math.max(1, model.keys.length)] ?? []);
      const given = Object.fromEntries([
        [one.stray, "{}"],
        ...picked.map(({ key }) => [key, `{"at":${now}}`] as const),
      ]) as Record<string, string>;
      const { state: next, repeat } = withAnswers(state, given, now);
      const open = model.round.filter((asked) => asked.open);
      const meant = open.filter(({ key }) => Object.hasOwn(given, key));
      if (model.status !== "input_required" || isOver) {
        expect(repeat).toBeUndefined();
        return next;
      }
      for (const asked of meant) {
        asked.open = false;
        asked.answer = given[asked.key] ?? "";
      }
      const isComplete = meant.length > 0 && meant.length === open.length;
      expect(repeat !== undefined).toBe(isComplete);
      if (!repeat) return next;
      model.status = "working";
      // Each question of the round has the first answer that came for it.
      expect(repeat.answers).toEqual(
        Object.fromEntries(model.round.map(({ name, answer }) => [name, answer])),
      );
      return next;
    }
    case "end": {
      const end =
        one.status === "completed"
          ? { status: one.status, result: `{"at":${now}}` }
          : one.status === "failed"
            ? { status: one.status, error: `{"at":${now}}` }
            : { status: one.status };
      const next = ended(state, end, now);
      if (!isOver) {
        model.status = one.status;
        model.end = taskText({ taskId: "t", createdAt: 0, ttlMs: 1, pollIntervalMs: 1 }, next);
      }
      return next;
    }
  }
}

it("ends once and stays so, asks under ever new keys, and is sent on once for each round", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const facts = { taskId: "t", createdAt: 0, ttlMs: 1, pollIntervalMs: 1 };
      const model = new Model();
      let state = begun(0);
      for (const [n, one] of steps.entries()) {
        const next = happen(state, model, one, n + 1);
        // A task that is stored and read again is the same: that is all that a restart does to it.
        state = stateOf(taskText(facts, next), untoldText(next));
        expect(state).toEqual(isEnded(next) ? { ...next, rounds: 0 } : next);
        expect(state.status).toBe(model.status);
        expect(isEnded(state)).toBe(model.end !== "");
        const text = taskText(facts, state);
        if (model.end !== "") expect(text).toBe(model.end);
        const shown = JSON.parse(text) as { inputRequests?: object };
        const open = model.status === "input_required" ? model.round.filter((one) => one.open) : [];
        expect(Object.keys(shown.inputRequests ?? {}).toSorted()).toEqual(
          open.map(({ key }) => key).toSorted(),
        );
      }
    }),
    { numRuns: 500 },
  );
});
