import { expect, it, vi } from "vitest";
import { hasTooManyValues, jsonProblem } from "../../../src/core/json-bounds.ts";
import * as shapes from "../../../src/wire/json-shape.ts";

const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
const list = (values: number) =>
  `[${Array<string>(values - 1)
    .fill("1")
    .join(",")}]`;

it.each([
  ["64 levels", nested(64), undefined],
  ["65 levels", nested(65), "is nested deeper than 64 levels"],
  ["100,000 values", list(100_000), undefined],
  ["100,001 values", list(100_001), "holds more than 100000 values"],
  ["as many commas in a string", JSON.stringify(",".repeat(200_000)), undefined],
  ["an image of 3 MB", JSON.stringify({ data: "A".repeat(3_000_000) }), undefined],
])("%s: %#", (_what, text, problem) => {
  expect(jsonProblem(text)).toBe(problem);
});

it.each([
  ["100 elements", list(101), undefined],
  ["101 elements", list(102), "is a batch of more than 100 messages"],
  ["101 elements of nothing", `[${"0,".repeat(100)}0]`, "is a batch of more than 100 messages"],
  ["101 members", JSON.stringify({ ...Array<number>(101).fill(0) }), undefined],
])("%s where a batch has 100 at most", (_what, text, problem) => {
  expect(jsonProblem(text, 100)).toBe(problem);
});

it("of an upstream's message the values are counted, where there can be as many", () => {
  expect(hasTooManyValues(list(100_000))).toBe(false);
  expect(hasTooManyValues(list(100_001))).toBe(true);
  expect(hasTooManyValues(nested(1000))).toBe(false);
});

it("a short text is not even read", () => {
  const read = vi.spyOn(shapes, "shapeOf");
  expect(jsonProblem('{"jsonrpc":"2.0","id":1,"method":"ping"}', 100)).toBeUndefined();
  expect(read).not.toHaveBeenCalled();
});
