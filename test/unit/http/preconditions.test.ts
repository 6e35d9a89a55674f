import { expect, it } from "vitest";
import { isNamed, parseIfMatch, parseIfNoneMatch } from "../../../src/http/preconditions.ts";

it.each([
  [undefined, undefined],
  ["*", "*"],
  [" * ", "*"],
  ['"a"', ["a"]],
  ['""', [""]],
  ['"a", "b"', ["a", "b"]],
  ['"a","b"\t,\t"c"', ["a", "b", "c"]],
  ['"x,y"', ["x,y"]],
  ['"x,y", "z"', ["x,y", "z"]],
  ['","', [","]],
  [', "tag"', ["tag"]],
  [',, "a" ,,"b", ', ["a", "b"]],
  ['W/"a"', []],
  ['W/"x,y", "b"', ["b"]],
  ['"ä!#~"', ["ä!#~"]],
])("%j is read as %j", (header, tags) => {
  expect(parseIfMatch(header)).toEqual(tags);
});

it.each([
  "",
  " ",
  ",",
  " , ,",
  "x",
  '"',
  '"a',
  'a"',
  '"a" "b"',
  '"a"b',
  'w/"a"',
  'W/ "a"',
  '*, "a"',
  '"a", *',
  '"a b"',
  '"a\tb"',
  '"a\x7f"',
  '"a", "b',
])("%j is refused by name", (header) => {
  for (const [name, parse] of [
    ["If-Match", parseIfMatch],
    ["If-None-Match", parseIfNoneMatch],
  ] as const) {
    expect(() => parse(header)).toThrow(
      expect.objectContaining({
        code: "invalid_request",
        message: `${name}: must be * or a list of entity tags`,
      }),
    );
  }
});

it("If-None-Match takes weak tags as strong ones", () => {
  expect(parseIfNoneMatch('W/"a", "b"')).toEqual(["a", "b"]);
  expect([parseIfNoneMatch("*"), parseIfNoneMatch(undefined)]).toEqual(["*", undefined]);
});

it.each([
  ["*", true],
  [[], false],
  [["epoch.1.0-0.later"], false],
  [["other", "epoch.1.0-0.k"], true],
  [["epoch.2.0-0.k"], false],
  [["epoch.1.1-0.k"], false],
  [["epoch.1.0-0a.k"], false],
  [["epoch.1"], false],
  [["epoch"], false],
  [[""], false],
] as const)("a read's condition %j names epoch.1.0-0.k: %j", (condition, named) => {
  expect(isNamed("epoch.1.0-0.k", condition)).toBe(named);
});

it("a tag of content alone, as an object of before gives, names only itself", () => {
  expect([isNamed("epoch.1", ["epoch.1"]), isNamed("epoch.2", ["epoch.1"])]).toEqual([true, false]);
});

it("reads the longest header at once", () => {
  const began = performance.now();
  for (const part of ['"', " ", ",", '",', 'W/"', "a"]) {
    for (const [head, tail] of [
      ["", ""],
      ['"a",', "x"],
      ['"', '" x'],
    ] as const) {
      try {
        parseIfMatch(head + part.repeat(32_768 / part.length) + tail);
      } catch {
        // The test measures the time, and either outcome is right.
      }
    }
  }
  expect(performance.now() - began).toBeLessThan(1000);
});
