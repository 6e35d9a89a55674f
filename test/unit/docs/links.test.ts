/** The targets of the project's pages exist: files, headings, and the paths that they name as code. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";

const PROJECT = join(import.meta.dirname, "../../..");
/** Folders whose pages are the project's own; what is installed below some of them is not. */
const FOLDERS = [
  ".",
  ".github",
  "docs",
  "bench",
  "bench/results",
  ...readdirSync(join(PROJECT, "examples"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `examples/${name}`),
  "template",
  "test/soak",
];
const pages = FOLDERS.filter((folder) => existsSync(join(PROJECT, folder))).flatMap((folder) =>
  readdirSync(join(PROJECT, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name)),
);

const FENCE = /^```[^]*?^```$/gm;
const proseOf = (page: string) => readFileSync(join(PROJECT, page), "utf8").replaceAll(FENCE, "");

/** Headings as GitHub makes anchors of them. */
function anchorsOf(page: string): string[] {
  return [...proseOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** The targets of relative links that lead nowhere. */
function deadLinks(page: string): string[] {
  const targets = [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? page : join(dirname(page), path);
      if (!existsSync(join(PROJECT, file))) return true;
      return anchor !== undefined && !anchorsOf(file).includes(anchor);
    });
}

/** Paths in backticks, from the project's root. */
function deadPaths(page: string): string[] {
  const code = [...proseOf(page).matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span);
  return code
    .filter((span) => /^(src|test|docs|bench|scripts|\.ci|\.github)\/[\w./-]*$/.test(span))
    .filter((path) => !existsSync(join(PROJECT, path)));
}

describe.each(pages)("%s", (page) => {
  it("has no link that leads nowhere", () => {
    expect(deadLinks(page)).toEqual([]);
  });

  it("names no path that is not there", () => {
    expect(deadPaths(page)).toEqual([]);
  });

  it("has no comment in a command: zsh hands one that is pasted to the program", () => {
    const text = readFileSync(join(PROJECT, page), "utf8");
    const commands = [...text.matchAll(/^```sh\n([^]*?)^```/gm)].map(([, block = ""]) => block);
    expect(commands.filter((block) => /(^|\s)#/m.test(block))).toEqual([]);
  });
});

it("looks at the pages that a reader starts from", () => {
  expect(pages).toEqual(expect.arrayContaining(["README.md", "CONTRIBUTING.md", "docs/mcp.md"]));
});
