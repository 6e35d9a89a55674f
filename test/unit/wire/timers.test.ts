import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { sleep, within } from "../../../src/wire/timers.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("sleeps for its time, or until it is aborted, and leaves no timer behind", async () => {
  const abort = new AbortController();
  const done: string[] = [];
  const waiting = Promise.all([
    sleep(100, abort.signal).then(() => done.push("short")),
    sleep(60_000, abort.signal).then(() => done.push("aborted")),
  ]);
  await vi.advanceTimersByTimeAsync(100);
  expect(done).toEqual(["short"]);
  abort.abort();
  await waiting;
  await sleep(60_000, abort.signal);
  expect(done).toEqual(["short", "aborted"]);
  expect(vi.getTimerCount()).toBe(0);
});

it("settles as the work does within its time, and else as the late answer does", async () => {
  const never = new Promise<string>(() => undefined);
  expect(await within(Promise.resolve("done"), 100, () => "late")).toBe("done");
  await expect(within(Promise.reject(new Error("broken")), 100, () => "late")).rejects.toThrow(
    "broken",
  );
  expect(vi.getTimerCount()).toBe(0);
  const settled = within(never, 100, () => "late");
  await vi.advanceTimersByTimeAsync(100);
  expect(await settled).toBe("late");
});
