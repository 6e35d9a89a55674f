import { expect, it } from "vitest";
import { Abort } from "../../../src/wire/abort.ts";

it("tells its listeners and the platform's signal once, also one that is asked for late", () => {
  const abort = new Abort();
  const called: string[] = [];
  const removed = () => called.push("removed");
  abort.addEventListener("abort", () => called.push("heard"));
  abort.addEventListener("abort", removed);
  abort.removeEventListener("abort", removed);
  const early = abort.platform;
  abort.abort();
  abort.abort();
  expect([called, abort.aborted, early.aborted]).toEqual([["heard"], true, true]);
  const late = new Abort();
  late.abort();
  expect(late.platform.aborted).toBe(true);
});

it("leaves the platform's controller to the next work once its own has ended", () => {
  const spare: AbortController[] = [];
  const [first, beside, next] = [new Abort(spare), new Abort(spare), new Abort(spare)];
  const signal = first.platform;
  expect(beside.platform).not.toBe(signal);
  first.end();
  expect(next.platform).toBe(signal);
  // It is the next one's now.
  first.abort();
  expect(signal.aborted).toBe(false);
  next.abort();
  expect(signal.aborted).toBe(true);
});

it("never leaves a controller that was aborted, and keeps few", () => {
  const spare: AbortController[] = [];
  const all = Array.from({ length: 100 }, () => new Abort(spare));
  for (const one of all) void one.platform;
  all[0]?.abort();
  for (const one of all) one.end();
  expect(spare.some(({ signal }) => signal.aborted)).toBe(false);
  expect(spare.length).toBeLessThan(10);
});
