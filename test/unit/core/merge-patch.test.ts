import { describe, expect, it } from "vitest";
import { mergePatch, type Json } from "../../../src/core/content.ts";

describe("mergePatch", () => {
  // The test cases of RFC 7396, appendix A.
  it.each<[Json, Json, Json]>([
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ a: "foo" }, "bar", "bar"],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])("%j patched by %j is %j", (target, patch, result) => {
    expect(mergePatch(target, patch)).toEqual(result);
  });

  it("treats __proto__ as a key like any other and changes no argument", () => {
    const target = JSON.parse('{"__proto__":{"a":1}}') as Json;
    const patch = JSON.parse('{"__proto__":{"b":2}}') as Json;
    expect(JSON.stringify(mergePatch(target, patch))).toBe('{"__proto__":{"a":1,"b":2}}');
    expect(JSON.stringify(target)).toBe('{"__proto__":{"a":1}}');
    expect(({} as { b?: number }).b).toBeUndefined();
  });
});
