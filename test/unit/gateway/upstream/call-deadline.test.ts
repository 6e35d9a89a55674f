import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { CallDeadline, SharedTimer } from "../../../../src/gateway/upstream/call-deadline.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  // While the clock is the test's own: a spy puts back the timer that it found.
  vi.restoreAllMocks();
  vi.useRealTimers();
});

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

it("sets no timer for longer than five minutes: one keeps its object in memory for fifteen", () => {
  const set = vi.spyOn(globalThis, "setTimeout");
  const timer = new SharedTimer();
  const called: string[] = [];
  timer.after(3_600_000, () => called.push("a"));
  vi.advanceTimersByTime(3_599_999);
  expect(called).toEqual([]);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(1);
  expect([called, vi.getTimerCount()]).toEqual([["a"], 0]);
  expect(Math.max(...set.mock.calls.map(([, ms = 0]) => ms))).toBe(300_000);
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

it("has one that waits already wait from now instead", () => {
  const timer = new SharedTimer();
  const called: string[] = [];
  const callback = () => called.push("a");
  timer.after(600, callback);
  vi.advanceTimersByTime(500);
  const callOff = timer.after(600, callback);
  vi.advanceTimersByTime(599);
  expect(called).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(called).toEqual(["a"]);
  callOff();
  vi.advanceTimersByTime(1000);
  expect(called).toEqual(["a"]);
});

/** Whether a deadline has lapsed, and why. Its signal must say the same. */
async function stateOf(deadline: CallDeadline): Promise<string> {
  const pending = Promise.resolve("waits");
  const why = deadline.lapsed.catch(({ message }: Error) => message);
  const state = await Promise.race([why, pending.then((state) => Promise.resolve(state))]);
  expect([deadline.signal.aborted, deadline.timedOut]).toEqual([
    state !== "waits",
    state === "timed out",
  ]);
  return state;
}

it("lapses when its time is up, counted from when it was last given more", async () => {
  const deadline = new CallDeadline(1000, new SharedTimer());
  vi.advanceTimersByTime(900);
  deadline.give(5000);
  vi.advanceTimersByTime(4999);
  expect(await stateOf(deadline)).toBe("waits");
  vi.advanceTimersByTime(1);
  expect(await stateOf(deadline)).toBe("timed out");
  deadline.give(1000);
  expect(vi.getTimerCount()).toBe(0);
});

it("may be given less time than it had", async () => {
  const deadline = new CallDeadline(60_000, new SharedTimer());
  vi.advanceTimersByTime(1000);
  deadline.give(20);
  vi.advanceTimersByTime(20);
  expect(await stateOf(deadline)).toBe("timed out");
});

it("lapses when the caller gives up, also before it begins or once it has no time", async () => {
  const abort = new AbortController();
  const timed = new CallDeadline(1000, new SharedTimer(), abort.signal);
  const released = new CallDeadline(1000, new SharedTimer(), abort.signal);
  released.release();
  vi.advanceTimersByTime(999);
  abort.abort();
  expect(await stateOf(timed)).toBe("given up");
  expect(await stateOf(released)).toBe("given up");
  expect(await stateOf(new CallDeadline(1000, new SharedTimer(), abort.signal))).toBe("given up");
});

it("does not lapse once it has ended", async () => {
  const abort = new AbortController();
  const deadline = new CallDeadline(1000, new SharedTimer(), abort.signal);
  deadline.end();
  abort.abort();
  vi.advanceTimersByTime(2000);
  expect(await stateOf(deadline)).toBe("waits");
});
