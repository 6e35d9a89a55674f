import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { SharedDelay } from "../../../src/object/shared-delay.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("calls each after its own delay, and none that was called off", () => {
  const delay = new SharedDelay(100);
  const called: string[] = [];
  delay.after(() => called.push("a"));
  vi.advanceTimersByTime(60);
  const callOff = delay.after(() => called.push("b"));
  delay.after(() => called.push("c"));
  vi.advanceTimersByTime(39);
  expect(called).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(called).toEqual(["a"]);
  callOff();
  vi.advanceTimersByTime(59);
  expect(called).toEqual(["a"]);
  vi.advanceTimersByTime(1);
  expect(called).toEqual(["a", "c"]);
});

it("keeps one timer for all, and none for long when nothing waits", () => {
  const delay = new SharedDelay(100);
  for (let n = 0; n < 50; n++) delay.after(() => undefined)();
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(100);
  expect(vi.getTimerCount()).toBe(0);
  delay.after(() => undefined);
  expect(vi.getTimerCount()).toBe(1);
});

it("goes on with the others where one throws", () => {
  const delay = new SharedDelay(100);
  const called: string[] = [];
  delay.after(() => {
    throw new Error("broken");
  });
  delay.after(() => called.push("b"));
  expect(() => vi.advanceTimersByTime(100)).toThrow("broken");
  vi.advanceTimersByTime(100);
  expect(called).toEqual(["b"]);
});
