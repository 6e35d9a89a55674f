import { expect, it } from "vitest";
import { depthOf } from "../../../src/http/body.ts";

it.each([
  ["1", 0],
  ['"[[["', 0],
  ['"\\"[["', 0],
  ["[]", 1],
  ['{"a":[{"b":"]}"}]}', 3],
  ["[[],[[]]]", 3],
])("the depth of %s is %i", (text, depth) => {
  expect(depthOf(text)).toBe(depth);
});
