import { expect, it } from "vitest";
import { changesNumbers } from "../../../scripts/command/json-numbers.ts";

it.each([
  "0",
  "-0.0",
  "1.0",
  "1e3",
  "1E+2",
  "0.10",
  "100",
  "1.5e-7",
  "1e21",
  "123456789012345680000",
  "9007199254740992",
  '{"a":"9007199254740993 \\" 1e999","b":[0.1,-2.50]}',
])("a double holds %s", (json) => {
  expect(changesNumbers(json)).toBe(false);
});

it.each([
  "9007199254740993",
  "[1,12345678901234567890.5]",
  "1e999",
  "1e-400",
  '{"1":0.1234567890123456789}',
])("a double does not hold %s", (json) => {
  expect(changesNumbers(json)).toBe(true);
});
