import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const PROJECT = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(PROJECT, path), "utf8");
const rows = [...read("docs/parity.md").matchAll(/\| `(test\/\S+)` \| (.+) \|/g)];

describe("docs/parity.md", () => {
  it("names tests", () => {
    expect(rows.length).toBeGreaterThan(30);
  });

  it.each(rows.map(([, file = "", name = ""]) => ({ file, name })))(
    "names one that exists: $name",
    ({ file, name }) => {
      expect(read(file)).toContain(`"${name}`);
    },
  );
});
