import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { SharedTimer } from "../../../../src/gateway/upstream/call-deadline.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("calls each after its own delay, and none that was called off", () => {
  const timer = new SharedTimer();
  const called: string[] = [];
  timer.after(100, () => called.push("a"));
  vi.advanceTimersByTime(60);
  const callOff = timer.after(100, () => called.push("b"));
  timer.after(100, () => called.push("c"));
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
  const timer = new SharedTimer();
  for (let n = 0; n < 50; n++) timer.after(100, () => undefined)();
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(100);
  expect(vi.getTimerCount()).toBe(0);
  timer.after(100, () => undefined);
  expect(vi.getTimerCount()).toBe(1);
});

it("has a long one take no longer than it waits for, and end with it", () => {
  const timer = new SharedTimer();
  const called: string[] = [];
  timer.after(60_000, () => called.push("a"));
  const callOff = timer.after(90_000, () => called.push("b"));
  vi.advanceTimersByTime(59_999);
  expect(called).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(called).toEqual(["a"]);
  expect(vi.getTimerCount()).toBe(1);
  callOff();
  expect(vi.getTimerCount()).toBe(0);
});

it("calls a short one in time that comes while a long one waits", () => {
  const timer = new SharedTimer();
  const called: string[] = [];
  timer.after(60_000, () => called.push("long"));
  vi.advanceTimersByTime(1000);
  timer.after(20, () => called.push("short"));
  vi.advanceTimersByTime(20);
  expect(called).toEqual(["short"]);
  vi.advanceTimersByTime(58_980);
  expect(called).toEqual(["short", "long"]);
});

it("goes on with the others where one throws", () => {
  const timer = new SharedTimer();
  const called: string[] = [];
  timer.after(100, () => {
    throw new Error("broken");
  });
  timer.after(100, () => called.push("b"));
  expect(() => vi.advanceTimersByTime(100)).toThrow("broken");
  vi.advanceTimersByTime(100);
  expect(called).toEqual(["b"]);
});
