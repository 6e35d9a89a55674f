import { expect, it } from "vitest";
import { placeIn, slotsFor, stateIn } from "../../../../src/gateway/eras/slots.ts";

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
  expect([...slotsFor(undefined, undefined, 3)]).toEqual(["", "1", "2"]);
  expect([...slotsFor(undefined, TASK, 3)]).toEqual(["", TASK]);
  expect([...slotsFor(NAME, TASK, 3)]).toEqual([""]);
  expect([...slotsFor(`${NAME}.7`, undefined, 3)]).toEqual(["7"]);
});
