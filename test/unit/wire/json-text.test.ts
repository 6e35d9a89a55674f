import fc from "fast-check";
import { expect, it } from "vitest";
import {
  elementTexts,
  membersOf,
  memberText,
  withMember,
  withoutMember,
} from "../../../src/wire/json-text.ts";

const space = fc.stringMatching(/^[ \t\n\r]{0,2}$/);

/** A JSON text with white space wherever JSON allows it. */
const { text: jsonText } = fc.letrec<{ text: string }>((tie) => ({
  text: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(
      fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
      fc.constantFrom('"\\ud800"', '"]},{"', '"\\\\"', '"\\\\\\""', "1.0", "1E-7", "-0"),
      fc.integer().map(String),
      fc.constantFrom("true", "false", "null", "12345678901234567890", "[]", "{}"),
    ),
    fc
      .tuple(space, fc.array(fc.tuple(space, tie("text"), space), { maxLength: 4 }))
      .map(([pad, all]) => `[${all.length > 0 ? all.map((one) => one.join("")).join(",") : pad}]`),
    fc
      .array(fc.tuple(space, fc.string(), space, tie("text"), space), { maxLength: 4 })
      .map(
        (all) =>
          `{${all.map(([a, key, b, value, c]) => `${a}${JSON.stringify(key)}${b}:${c}${value}${a}`).join(",")}}`,
      ),
  ),
}));

it("takes an array apart into the texts of its elements", () => {
  fc.assert(
    fc.property(
      space,
      fc.array(fc.tuple(space, jsonText, space)),
      space,
      (before, parts, after) => {
        const text = `${before}[${parts.map((part) => part.join("")).join(",")}]${after}`;
        expect(elementTexts(text)).toEqual(parts.map(([, element]) => element));
      },
    ),
  );
});

it("finds a member as JSON.parse does, and puts another value in its place", () => {
  const key = fc.constantFrom("id", "id ", "a", "\\u0069d", "params", "");
  fc.assert(
    fc.property(fc.array(fc.tuple(space, key, space, jsonText)), jsonText, (members, other) => {
      const inside = members.map(([a, name, b, value]) => `${a}"${name}"${b}:${b}${value}${a}`);
      const text = `{${inside.join(",")}}`;
      const parsed = JSON.parse(text) as Record<string, unknown>;
      const found = memberText(text, "id");
      expect(found === undefined ? undefined : JSON.parse(found)).toEqual(parsed["id"]);
      const changed = JSON.parse(withMember(text, "id", other)) as unknown;
      expect(changed).toEqual({ ...parsed, id: JSON.parse(other) as unknown });
    }),
  );
});

it.each<[text: string, id: string | undefined]>([
  ['{"id":1,"id":2.0}', "2.0"],
  ['{"\\u0069d": 9007199254740993}', "9007199254740993"],
  ['{"params":{"id":1},"x":"\\"id\\":2"}', undefined],
  [' {\n"id" :\t"7\\"" }', '"7\\""'],
  ['{"id":null}', "null"],
  ["[1]", undefined],
  ["17", undefined],
  ["{}", undefined],
])("the id in %s", (text, id) => {
  expect(memberText(text, "id")).toBe(id);
});

it("changes no other byte", () => {
  expect(withMember('{ "a": 1.0, "id" : 7 , "b":1E2}', "id", '"x"')).toBe(
    '{ "a": 1.0, "id" : "x" , "b":1E2}',
  );
  expect(withMember('{"a": 1.0}', "id", "7")).toBe('{"id":7,"a": 1.0}');
  expect(withMember("{ }", "id", "7")).toBe('{"id":7 }');
});

it.each(["", "{}", "null", '"[1]"'])("%j has no elements", (text) => {
  expect(elementTexts(text)).toEqual([]);
});

it("ends whatever the text is", () => {
  const odd = fc.stringMatching(/^[[\]{}",:\\ a1]{0,12}$/);
  fc.assert(
    fc.property(odd, (text) => {
      for (const one of [text, `[${text}`, `{${text}`, `{"id":${text}`]) {
        elementTexts(one);
        memberText(one, "id");
        withMember(one, "id", "1");
      }
    }),
  );
});

it("takes every member of a name out of an object, and leaves the others as they were written", () => {
  const name = fc.constantFrom("a", "b", "c");
  const member = fc.tuple(space, name, space, jsonText, space);
  fc.assert(
    fc.property(fc.array(member, { maxLength: 5 }), name, (members, gone) => {
      const textOf = (all: typeof members) =>
        `{${all.map(([a, key, b, value, c]) => `${a}"${key}"${b}:${c}${value}${a}`).join(",")}}`;
      const rest = withoutMember(textOf(members), gone);
      const left = members.filter(([, key]) => key !== gone);
      expect(JSON.parse(rest)).toEqual(JSON.parse(textOf(left)));
      for (const [, , , value] of left) expect(rest).toContain(value);
    }),
  );
});

it("takes a member out of an object with much white space without trying each place twice", () => {
  const blank = " ".repeat(1_000_000);
  expect(withoutMember(`{"a":1${blank},${blank}"b":2}`, "b")).toBe('{"a":1}');
});

it.each([
  ["[]", undefined],
  ["1", undefined],
  [undefined, undefined],
  ["{}", {}],
  [' {"a" : 1.0 ,"\\u0062":"}", "__proto__":{}} ', { a: "1.0", b: '"}"', ["__proto__"]: "{}" }],
])("the members of %s", (text, members) => {
  const found = membersOf(text);
  expect(found && Object.entries(found)).toEqual(members && Object.entries(members));
});

it("as many members as a body may have are read and left out in one pass", () => {
  const names = Array.from({ length: 100_000 }, (_, n) => `"${n}":[]`);
  expect(Object.keys(membersOf(`{${names.join(",")}}`) ?? {})).toHaveLength(100_000);
  const same = Array.from({ length: 100_000 }, () => '"a":[]');
  expect(withoutMember(`{${same.join(",")},"b":1}`, "a")).toBe('{"b":1}');
});
