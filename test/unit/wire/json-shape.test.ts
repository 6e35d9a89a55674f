import fc from "fast-check";
import { expect, it } from "vitest";
import { shapeOf } from "../../../src/wire/json-shape.ts";

it.each([
  ["1", 0],
  ['"[[["', 0],
  ['"\\"[["', 0],
  ['"\\\\"', 0],
  ["[]", 1],
  ['{"a":[{"b":"]}"}]}', 3],
  ["[[],[[]]]", 3],
  ['["\\\\",[["\\\\\\"]"]]]', 3],
])("the depth of %s is %i", (text, depth) => {
  expect(shapeOf(text).depth).toBe(depth);
});

it.each([
  ["[1,2,3]", 3],
  [' \n[1,[2,3],{"a":4,"b":5},",,"]', 4],
  ['{"a":[1,2]}', 0],
  ['"[1,2]"', 0],
])("%s has %i elements", (text, elements) => {
  expect(shapeOf(text).elements).toBe(elements);
});

/** Values as a parsed value has them: itself, its elements and the values of its members. */
function valuesIn(value: unknown): { values: number; empty: number } {
  if (typeof value !== "object" || value === null) return { values: 1, empty: 0 };
  const inner = Object.values(value).map(valuesIn);
  return {
    values: inner.reduce((sum, one) => sum + one.values, 1),
    empty: inner.reduce((sum, one) => sum + one.empty, inner.length === 0 ? 1 : 0),
  };
}

it("counts every value of any JSON, and an empty array or object as one more", () => {
  const indents = fc.constantFrom(undefined, 2);
  fc.assert(
    fc.property(fc.jsonValue(), indents, (value, indent) => {
      const { values, empty } = valuesIn(value);
      expect(shapeOf(JSON.stringify(value, null, indent)).values).toBe(values + empty);
    }),
  );
});

it("reads what is no JSON to its end", () => {
  for (const text of ["", '"', '"\\', "[", "]]", ',"', "{".repeat(1000)]) shapeOf(text);
  expect(shapeOf('["a').depth).toBe(1);
});
