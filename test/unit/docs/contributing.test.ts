/** CONTRIBUTING.md against the code: the names that it gives with a file, the arrows between rooms, the lists of files. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const PROJECT = join(import.meta.dirname, "../../..");
const page = readFileSync(join(PROJECT, "CONTRIBUTING.md"), "utf8");

/**
 * The code in a folder. Another test writes files into src for the linter, and removes them, at the
 * same time (`test/e2e/rules.test.ts`).
 */
const codeIn = (folder: string) =>
  readdirSync(join(PROJECT, folder), { recursive: true, encoding: "utf8" }).filter(
    (name) => /\.[jt]sx?$/.test(name) && !name.includes("lint-probe"),
  );

/** "`post`, `#recover` in `src/….ts`": each name with its file. "`Class.method`" is two names. */
const named = [...page.matchAll(/((?:`[^`\n]+`(?:, )?)+) in `([\w./-]+\.ts)`/g)].flatMap(
  ([, names = "", path = ""]) =>
    [...names.matchAll(/`([^`]+)`/g)]
      .flatMap(([, name = ""]) => name.split("."))
      .map((name) => ({ name, path })),
);

describe("the names in CONTRIBUTING.md", () => {
  it("are many", () => {
    expect(named.length).toBeGreaterThan(60);
  });

  it.each(named)("$name is in $path", ({ name, path }) => {
    const source = readFileSync(join(PROJECT, path), "utf8");
    expect(source.split(/[^\w#$]+/)).toContain(name);
  });
});

describe("the rooms in CONTRIBUTING.md", () => {
  const arrows = [...page.matchAll(/^ {2}(\w+)\S* --> (\w+)/gm)].map(([, from, to]) => [from, to]);
  const reach = (from: string): ReadonlySet<string> =>
    new Set(arrows.flatMap(([one, to = ""]) => (one === from ? [to, ...reach(to)] : [])));
  const folders = readdirSync(join(PROJECT, "src"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);

  it.each(folders)("%s is drawn, and imports along the arrows", (room) => {
    expect(arrows.flat()).toContain(room);
    const imported = codeIn(join("src", room))
      .flatMap((file) => [
        ...readFileSync(join(PROJECT, "src", room, file), "utf8").matchAll(
          /from "(?:\.\.\/)+([a-z]+)\//g,
        ),
      ])
      .map(([, to = ""]) => to)
      .filter((to) => folders.includes(to) && to !== room);
    const reached = reach(room);
    expect(imported.filter((to) => !reached.has(to))).toEqual([]);
  });

  it.each(arrows)("the arrow from %s to %s is an import", (from, to) => {
    const [file, room] = [`${from}.ts`, join("src", from ?? "")];
    const top = readdirSync(join(PROJECT, "src"));
    const sources = top.includes(file)
      ? [join("src", file)]
      : codeIn(room).map((name) => join(room, name));
    const text = sources.map((path) => readFileSync(join(PROJECT, path), "utf8")).join("\n");
    expect(text).toMatch(new RegExp(`from "\\.{1,2}/(?:\\.\\./)*${to}[/.]`));
  });
});

describe("the lists of files", () => {
  it.each([
    ["CONTRIBUTING.md", "scripts", ""],
    ["docs/mcp.md", "src/gateway", "src/gateway/"],
    ["docs/directory.md", "src/directory", "src/directory/"],
  ])("%s names every file of %s", (list, folder, prefix) => {
    const text = readFileSync(join(PROJECT, list), "utf8");
    expect(codeIn(folder).filter((name) => !text.includes(`\`${prefix}${name}\``))).toEqual([]);
  });
});
