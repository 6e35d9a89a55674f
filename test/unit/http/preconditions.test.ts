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

it.each(['"', " ", ",", '",', 'W/"', "a"])(
  "reads a header of many %j in a time that grows as its length",
  (part) => {
    /** Milliseconds for a header of about this many characters. */
    const timed = (length: number) => {
      const began = performance.now();
      for (const [head, tail] of [
        ["", ""],
        ['"a",', "x"],
        ['"', '" x'],
      ] as const) {
        try {
          parseIfMatch(head + part.repeat(length / part.length) + tail);
        } catch {
          // The test measures the time, and either outcome is right.
        }
      }
      return performance.now() - began;
    };
    const best = { short: Infinity, long: Infinity };
    // In turns, and the best of many: other work of the machine only adds.
    for (let turn = 0; turn < 20; turn++) {
      best.short = Math.min(best.short, timed(1024));
      best.long = Math.min(best.long, timed(32_768));
    }
    // The length is 32 times as much, and V8 may interpret one of them, which is ten times as slow. A search
    // that starts again at each character takes a thousand times as long.
    expect(best.long / best.short).toBeLessThan(500);
  },
);
