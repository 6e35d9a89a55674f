/** docs/library.md against the tests that it names, and against ToolHive's exported names. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const PROJECT = join(import.meta.dirname, "../../..");
const read = (path: string) => readFileSync(join(PROJECT, path), "utf8");
const page = read("docs/library.md");

const parity = [...page.matchAll(/\| `(test\/\S+)` \| (.+) \|/g)];

describe("the tests that docs/library.md names", () => {
  it("are many", () => {
    expect(parity.length).toBeGreaterThan(30);
  });

  it.each(parity.map(([, file = "", name = ""]) => ({ file, name })))(
    "exist: $name",
    ({ file, name }) => {
      expect(read(file)).toContain(`"${name}`);
    },
  );
});

describe("ToolHive's names", () => {
  const section = page.slice(page.indexOf("## ToolHive's names"));
  const left = [...section.matchAll(/^\| ([^|]+) \|/gm)].map(([, cell = ""]) => cell);
  const spans = left.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code));
  const named = new Set(spans.flatMap((code) => code?.match(/\w+/g) ?? []));
  // "method Manager.AddWithID": a kind, then what it names.
  const [, ...lines] = read("test/fixtures/toolhive-names.txt").trimEnd().split("\n");
  const names = lines.flatMap((line) => line.slice(line.lastIndexOf(" ") + 1).split("."));

  it("are as many as the fixture says", () => {
    expect(lines).toHaveLength(109);
  });

  it("have a row each", () => {
    expect([...new Set(names)].filter((name) => !named.has(name))).toEqual([]);
  });
});
