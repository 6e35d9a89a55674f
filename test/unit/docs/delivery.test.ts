/** docs/delivery.md against the tests that it names as proofs. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const PROJECT = join(import.meta.dirname, "../../..");
const read = (path: string) => readFileSync(join(PROJECT, path), "utf8");
const page = read("docs/delivery.md");
const proofs = page.slice(page.indexOf("## The proofs"));

/** `test/….test.ts` "a name", (a remark) "another": each name with its file. */
const named = [...proofs.matchAll(/`(test\/[\w./-]+)`((?:,? (?:"[^"]+"|\([^()]+\)))+)/g)].flatMap(
  ([, file = "", names = ""]) =>
    [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => ({ file, name })),
);

describe("the tests that docs/delivery.md names", () => {
  it("are many", () => {
    expect(named.length).toBeGreaterThan(80);
  });

  it("are all looked at", () => {
    const quoted = [...proofs.matchAll(/"[^"\n]+"/g)];
    expect(named).toHaveLength(quoted.length);
  });

  it.each(named)("$file: $name", ({ file, name }) => {
    const source = read(file);
    expect(source.includes(`"${name}`) || source.includes(`\`${name}`)).toBe(true);
  });
});
