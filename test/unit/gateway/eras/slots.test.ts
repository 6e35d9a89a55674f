import { expect, it } from "vitest";
import { MAX_POOLED_CLIENTS, MAX_SLOTS_TRIED_AGAIN } from "../../../../src/core/limits.ts";
import {
  isNumbered,
  placeIn,
  poolOf,
  SlotPool,
  slotsFor,
  stateIn,
} from "../../../../src/gateway/eras/slots.ts";

const NAME = "0123456789abcdef0123456789abcdef";
const TASK = "0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55";

it("a requestState leads back to its slot, and one of the first slot is as it ever was", () => {
  expect(stateIn("", NAME)).toBe(NAME);
  expect(stateIn(undefined, NAME)).toBe(NAME);
  for (const slot of ["", "1", "999", TASK]) {
    expect(placeIn(stateIn(slot, NAME))).toEqual({ slot, name: NAME });
  }
  for (const other of ["", "x", `${NAME}.`, `${NAME}.A`, `${NAME}.${"1".repeat(37)}`]) {
    expect(placeIn(other)).toEqual({ slot: "", name: other });
  }
});

it("a call tries the first slot, and then those by number; a task's then has its own", () => {
  const tried = [...slotsFor(undefined, undefined, new SlotPool())];
  expect([tried.slice(0, 3), tried.at(-1), new Set(tried).size]).toEqual([
    ["", "1", "2"],
    "999",
    1000,
  ]);
  expect([...slotsFor(undefined, TASK, new SlotPool())]).toEqual(["", TASK]);
  expect([...slotsFor(NAME, TASK, new SlotPool())]).toEqual([""]);
  expect([...slotsFor(`${NAME}.7`, undefined, new SlotPool())]).toEqual(["7"]);
});

it("the lowest slot that was given back is next", () => {
  const pool = new SlotPool();
  expect(Array.from({ length: 4 }, () => pool.next())).toEqual(["1", "2", "3", "4"]);
  for (const slot of ["3", "2", "2"]) pool.giveBack(slot);
  expect(Array.from({ length: 3 }, () => pool.again())).toEqual(["2", "3", undefined]);
});

it("the first slot and those of tasks are no numbers, nor what a client makes up", () => {
  const all = ["1", "99", "999", "", TASK, "0", "1000", "07", "1x"];
  expect(all.filter(isNumbered)).toEqual(["1", "99", "999"]);
});

it("a client's pool stays while it is used, and the longest unused one is forgotten", () => {
  const first = poolOf("first");
  const unused = poolOf("unused");
  for (let n = 0; n < MAX_POOLED_CLIENTS - 1; n++) {
    poolOf(`other ${n}`);
    expect(poolOf("first")).toBe(first);
  }
  expect(poolOf("unused")).not.toBe(unused);
});

/** The requests to objects that calls make which come together, and stay; `taken` are the slots that are taken before. */
function requestsOf(calls: number, pool: SlotPool, taken: Set<string>): number {
  let requests = 0;
  for (let n = 0; n < calls; n++) {
    for (const slot of slotsFor(undefined, undefined, pool)) {
      requests++;
      if (taken.has(slot)) continue;
      taken.add(slot);
      break;
    }
  }
  return requests;
}

it("of 500 calls at once each asks two objects, and those of another isolate are asked once in all", () => {
  const [pool, taken] = [new SlotPool(), new Set<string>()];
  expect(requestsOf(500, pool, taken)).toBe(2 * 500 - 1);
  // The answers of all are over, and each call waits for its client: each of the next ones finds a taken one first.
  for (const slot of taken) if (isNumbered(slot)) pool.giveBack(slot);
  expect(requestsOf(1, pool, taken)).toBe(1 + MAX_SLOTS_TRIED_AGAIN + 1);
  expect(requestsOf(99, pool, taken)).toBe(2 * 99 + 499 - MAX_SLOTS_TRIED_AGAIN);
  const other = new SlotPool();
  const before = taken.size;
  expect(requestsOf(100, other, taken)).toBe(2 * 100 + before - 1);
});

it("a call tries every slot before it is refused, also where some that were given back are taken", () => {
  const pool = new SlotPool();
  for (let n = 1; n <= 20; n++) pool.giveBack(String(n));
  expect(new Set(slotsFor(undefined, undefined, pool)).size).toBe(1000);
});
