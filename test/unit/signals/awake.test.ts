import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it, onTestFinished, vi } from "vitest";
import { Awake, AWAKE_MS } from "../../../src/signals/awake.ts";

it("counts those that say that they are awake", () => {
  const awake = new Awake();
  const at = (used: number) => ({
    isAwake: (now: number) => now - used < AWAKE_MS,
    openExchanges: 2,
  });
  const kept = [at(0), at(5_000)];
  for (const one of kept) awake.add(one);
  expect([0, AWAKE_MS - 1, AWAKE_MS, AWAKE_MS + 5_000].map((now) => awake.count(now))).toEqual([
    2, 2, 1, 0,
  ]);
  expect(awake.openExchanges()).toBe(4);
});

it("counts nothing where the platform has no weak references, and throws nothing", () => {
  vi.stubGlobal("WeakRef", undefined);
  onTestFinished(() => void vi.unstubAllGlobals());
  const awake = new Awake();
  awake.add({ isAwake: () => true, openExchanges: 0 });
  expect(awake.count(0)).toBe(0);
});

it("forgets objects that are gone, in time", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const awake = new Awake();
  const add = (many: number): void => {
    for (let n = 0; n < many; n++) awake.add({ isAwake: () => true, openExchanges: 0 });
  };
  add(10_000);
  // A reference holds its target to the end of the turn that made it.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  add(10_000);
  expect(awake.size).toBeLessThan(15_000);
});
