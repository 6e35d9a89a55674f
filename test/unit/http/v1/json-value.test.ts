import { expect, it } from "vitest";
import { jsonValue, pathToInfinity } from "../../../../src/http/v1/json-value.ts";

it.each([
  ["1e400", []],
  ["-1e400", []],
  ["[1, 2, 1e309]", [2]],
  ['{"a": {"b": [null, {"c": 2e308}]}}', ["a", "b", 1, "c"]],
  ['{"__proto__": 1e400}', ["__proto__"]],
  [`1${"0".repeat(309)}`, []],
])("finds what JSON.parse cannot hold of %s", (text, path) => {
  expect(pathToInfinity(JSON.parse(text))).toEqual(path);
});

it.each([
  "null",
  "true",
  '"1e400"',
  '{"1e400": 0}',
  "[]",
  "1.7976931348623157e308",
  "-1.7976931348623157e308",
  "1e-400",
  "9007199254740993",
  '{"a": [0, -0.5, {"b": "c"}]}',
])("takes %s", (text) => {
  const value: unknown = JSON.parse(text);
  expect(pathToInfinity(value)).toBeUndefined();
  expect(jsonValue().parse(value)).toBe(value);
});
