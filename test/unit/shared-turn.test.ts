import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { SharedTurn } from "../../src/group-commit.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("does what came within its time in one turn, in order, and what comes later in another", async () => {
  const turn = new SharedTurn(5);
  const done: string[] = [];
  const first = turn.do(() => done.push("a"));
  vi.advanceTimersByTime(4);
  const second = turn.do(() => done.push("b"));
  expect(done).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(done).toEqual(["a", "b"]);
  expect(await Promise.all([first, second])).toEqual([1, 2]);
  const third = turn.do(() => done.push("c"));
  vi.advanceTimersByTime(5);
  expect(await third).toBe(3);
});

it("tells a failure to its own caller alone", async () => {
  const turn = new SharedTurn(5);
  const failing = turn.do(() => {
    throw new Error("full");
  });
  const other = turn.do(() => "done");
  const outcomes = Promise.allSettled([failing, other]);
  vi.advanceTimersByTime(5);
  const [failed, fine] = await outcomes;
  expect(failed).toMatchObject({ status: "rejected", reason: new Error("full") });
  expect(fine).toEqual({ status: "fulfilled", value: "done" });
});
