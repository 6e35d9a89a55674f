import { beforeEach, expect, it } from "vitest";
import { COUNTED_MS, MOST_KINDS, Repeats } from "../../../src/signals/repeats.ts";

let lines: [string, number | undefined][];
let repeats: Repeats<string>;

beforeEach(() => {
  lines = [];
  repeats = new Repeats((fields, repeated) => lines.push([fields, repeated]));
});

it("writes the first of a kind at once, and counts the others", () => {
  for (let n = 0; n < 1000; n++) repeats.take("a", "a", n);
  repeats.take("b", "b", 1000);
  expect(lines).toEqual([
    ["a", undefined],
    ["b", undefined],
  ]);
  repeats.settle(COUNTED_MS - 1);
  expect(lines).toHaveLength(2);
  repeats.settle(COUNTED_MS);
  expect(lines.slice(2)).toEqual([["a", 999]]);
});

it("writes at once again when the time is over", () => {
  repeats.take("a", "a", 0);
  repeats.take("a", "a", 1);
  repeats.take("a", "a", COUNTED_MS);
  expect(lines).toEqual([
    ["a", undefined],
    ["a", 1],
    ["a", undefined],
  ]);
});

it("says nothing more of a kind that came once, and is empty then", () => {
  repeats.take("a", "a", 0);
  expect(repeats.isEmpty).toBe(false);
  repeats.settle(COUNTED_MS);
  expect(lines).toHaveLength(1);
  expect(repeats.isEmpty).toBe(true);
});

it("keeps a bounded number of kinds, and loses no count", () => {
  repeats.take("first", "first", 0);
  repeats.take("first", "first", 0);
  for (let n = 0; n < MOST_KINDS; n++) repeats.take(String(n), String(n), 0);
  expect(lines).toContainEqual(["first", 1]);
});

it("goes on after the clock was set back", () => {
  repeats.take("a", "a", 10 * COUNTED_MS);
  repeats.take("a", "a", 10 * COUNTED_MS);
  repeats.take("a", "a", 0);
  expect(lines.map(([, repeated]) => repeated)).toEqual([undefined, 1, undefined]);
});
