import { afterEach, expect, it } from "vitest";
import { fillInOldNode } from "../../../scripts/old-node.ts";

const own = Object.getOwnPropertyDescriptor(URL, "parse");
afterEach(() => {
  if (own) Object.defineProperty(URL, "parse", own);
});

it("gives an old Node URL.parse, as a new one has it", () => {
  Reflect.deleteProperty(URL, "parse");
  expect(URL.parse).toBeUndefined();
  fillInOldNode();
  expect(URL.parse("https://a.example/b")?.pathname).toBe("/b");
  expect(URL.parse("c", "https://a.example/b/")?.href).toBe("https://a.example/b/c");
  expect(URL.parse("nowhere")).toBeNull();
});
