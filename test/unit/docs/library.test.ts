/** docs/library.md against the tests that it names, and against ToolHive's exported names. */
import { globSync, readFileSync } from "node:fs";
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

/** The text under a heading of the page, up to the next one. */
function section(heading: string): string {
  const [, from = ""] = page.split(`\n${heading}\n`);
  return from.split(/^##/m)[0] ?? "";
}

/** The headings of the page, by the kinds of the list. */
const HEADINGS: Readonly<Record<string, string>> = {
  const: "### Constants",
  var: "### Errors",
  type: "### Types",
  func: "### Functions",
  method: "### Methods",
  field: "### Fields",
  "interface method": "### Methods of interfaces",
};

describe("ToolHive's names", () => {
  // "method Manager.AddWithID": a kind, then what it names.
  const [, ...lines] = read("test/fixtures/toolhive-names.txt").trimEnd().split("\n");
  const names = lines.map((line) => {
    const space = line.lastIndexOf(" ");
    return { kind: line.slice(0, space), name: line.slice(space + 1) };
  });
  const rowsOf = (kind: string) =>
    [...section(HEADINGS[kind] ?? "").matchAll(/^\| `([^`]+)` \| ([^|]*) \| [^|]*\|$/gm)].map(
      ([, name = "", here = ""]) => ({ name, here }),
    );

  it("are as many as the fixture says", () => {
    expect(lines).toHaveLength(109);
  });

  it.each(Object.keys(HEADINGS))("have a row each, and no other has one: %s", (kind) => {
    const expected = names.filter((name) => name.kind === kind).map(({ name }) => name);
    expect(rowsOf(kind).map(({ name }) => name)).toEqual(expected);
  });

  it.each(Object.keys(HEADINGS).flatMap(rowsOf))("$name is $here", ({ here }) => {
    const counterparts = [...here.matchAll(/`([\w.]+)`/g)].map(([, name = ""]) => name.split("."));
    expect(counterparts.length).toBeGreaterThan(0);
    for (const [name = "", member] of counterparts) {
      expect(exported).toContain(name);
      if (member !== undefined) expect(membersOf(name)).toContain(member);
    }
  });
});

const exported = ["index", "redis"].flatMap((entry) =>
  [...read(`src/entries/${entry}.ts`).matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(
    ([, list = ""]) => list.match(/\w+/g) ?? [],
  ),
);

const sources = globSync("src/library/**/*.ts", { cwd: PROJECT }).map(read);

/** The members of a class or an interface of the library, with those that it inherits. */
function membersOf(name: string): string[] {
  const declaration = new RegExp(
    `^export (?:class|interface) ${name}\\b(?: extends (\\w+))?[^{]*\\{\\n([^]*?)^\\}`,
    "m",
  );
  const [, base, body = ""] = sources.map((text) => declaration.exec(text)).find(Boolean) ?? [];
  const member = /^ {2}(?:static |readonly |override |async |get )*(\w+)\??[(:<]/gm;
  const own = [...body.matchAll(member)].map(([, found = ""]) => found);
  return base === undefined ? own : [...own, ...membersOf(base)];
}
