import { expect, it } from "vitest";
import { validate } from "../../../src/http/route.ts";
import { newSession, sessionPatch } from "../../../src/http/v1/schemas.ts";

const keys = (count: number, value: unknown) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, value]));

it("counts the keys of metadata before it looks at any of them", () => {
  // Each of them is wrong, and the first would be named.
  const metadata = keys(98_000, 1);
  for (const schema of [newSession, sessionPatch]) {
    expect(() => validate(schema, { metadata })).toThrow(
      "metadata: has 98000 keys, at most 256 are allowed",
    );
  }
});

it("takes a patch that removes as many keys as there can be and adds as many", () => {
  const metadata = { ...keys(512, null), k0: "new" };
  expect(validate(sessionPatch, { metadata })).toEqual({ metadata });
});
