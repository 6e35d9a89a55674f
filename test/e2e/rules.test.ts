/** The linter and the types refuse code that breaks a rule of the project. */
import { execFile } from "node:child_process";
import { mkdir, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { beforeAll, expect, it, onTestFinished } from "vitest";
import { PROJECT } from "../../scripts/bundle.ts";

/** Writes files, and returns what removes them. */
async function write(files: Readonly<Record<string, string>>): Promise<() => Promise<void>> {
  const paths = Object.keys(files).map((path) => join(PROJECT, path));
  for (const [path, source] of Object.entries(files)) {
    await mkdir(dirname(join(PROJECT, path)), { recursive: true });
    await writeFile(join(PROJECT, path), source);
  }
  return async () => {
    for (const path of paths) await rm(path, { force: true });
    // Removes a folder that was made for them, and none with other files in it.
    for (const folder of new Set(paths.map(dirname))) await rmdir(folder).catch(() => undefined);
  };
}

/** Runs one of the project's tools, and returns its output. */
function run(tool: "oxlint" | "tsc", ...args: readonly string[]): Promise<string> {
  const command = join(PROJECT, "node_modules/.bin", tool);
  return new Promise((resolve) => {
    execFile(command, args, { cwd: PROJECT }, (_failure, stdout) => resolve(stdout));
  });
}

/** Files that are linted together before the first test: a run takes long, and a file in it no time. */
const probes: Record<string, string> = {};
/** The rules that the linter says each of them breaks, as `eslint(no-restricted-imports)`. */
const broken = new Map<string, string[]>();

/** Adds a file to `folder`, under a name of its own, and returns its path. */
function probe(folder: string, source: string): string {
  const path = `${folder}/lint-probe-${Object.keys(probes).length}.ts`;
  probes[path] = source;
  return path;
}

interface Diagnostics {
  readonly diagnostics: readonly { readonly filename: string; readonly code: string }[];
  readonly number_of_files: number;
}

const rulesBrokenBy = (path: string) => broken.get(path) ?? [];

beforeAll(async () => {
  const paths = Object.keys(probes);
  const remove = await write(probes);
  try {
    const said = await run("oxlint", "--deny-warnings", "--format", "json", ...paths);
    const { diagnostics, number_of_files } = JSON.parse(said) as Diagnostics;
    expect(number_of_files).toBe(paths.length);
    for (const { filename, code } of diagnostics) {
      broken.set(filename, [...rulesBrokenBy(filename), code]);
    }
    expect(paths).toEqual(expect.arrayContaining([...broken.keys()]));
  } finally {
    await remove();
  }
});

/** A row of a folder and what a file there imports, with the file. */
const importing = ([folder, target]: readonly [string, string]) =>
  [folder, target, probe(folder, `export * from "${target}";\n`)] as const;

it.each(
  (
    [
      ["src/wire", "../core/id.ts"],
      // Types of core they may import, code they may not.
      ["src/client", "../core/api.ts"],
      ["src/react", "../core/content.ts"],
      ["src/core", "cloudflare:workers"],
      ["src/core", "../config/service.ts"],
      ["src/core", "../signals/metrics.ts"],
      ["src/signals", "../stream/bridge.ts"],
      ["src/config", "../http/problem.ts"],
      ["src/library", "../session/session-object.ts"],
      ["src/library", "cloudflare:workers"],
      ["src/stream", "../gateway/contract.ts"],
      ["src/auth", "../http/problem.ts"],
      ["src/directory", "../session/record.ts"],
      ["src/http", "cloudflare:workers"],
      ["src/http", "../session/session-object.ts"],
      ["src/http", "./v1/schemas.ts"],
      ["src/gateway", "../http/v1/schemas.ts"],
      ["src/session", "../http/problem.ts"],
      ["src", "cloudflare:workers"],
      // A file or a folder that no rule names yet is no way around the rooms.
      ["src", "./session/record.ts"],
      ["src/newroom", "../session/record.ts"],
      ["src/wire", "../group-commit.ts"],
      ["src/core", "../group-commit.ts"],
      ["src/core", "../logger.ts"],
      ["src/config", "../alarm-clock.ts"],
      ["src/library", "../logger.ts"],
      ["src/stream", "../group-commit.ts"],
      ["src/auth", "../alarm-clock.ts"],
      ["src/http", "../group-commit.ts"],
      ["src/http", "../directory/client.ts"],
      ["src/gateway", "../auth/access.ts"],
      ["src/http/v1", "../../alarm-clock.ts"],
      ["src/gateway", "../alarm-clock.ts"],
      ["src/entries", "../app.ts"],
      ["src/entries", "../worker.ts"],
      ["src/entries", "cloudflare:workers"],
    ] as const
  ).map(importing),
)("%s must not import %s", (_folder, _target, path) => {
  expect(rulesBrokenBy(path)).toContain("eslint(no-restricted-imports)");
});

it.each(
  (
    [
      ["src/session", "../core/id.ts"],
      ["src/http", "../core/id.ts"],
      ["src/http/v1", "../problem.ts"],
      ["src/gateway", "../http/problem.ts"],
      ["src/core", "./id.ts"],
      ["src/config", "../logger.ts"],
      ["src/directory", "../group-commit.ts"],
      ["src/session", "../alarm-clock.ts"],
      ["src/entries", "../session/session-object.ts"],
    ] as const
  ).map(importing),
)("%s may import %s", (_folder, _target, path) => {
  expect(rulesBrokenBy(path)).toEqual([]);
});

it.each([
  ["values", `import { b } from "./lint-probe-b.ts";\nexport const a = () => b;\n`],
  ["types", `import type { b } from "./lint-probe-b.ts";\nexport const a = (x: typeof b) => x;\n`],
])("files must not import each other in a circle, of %s", async (_what, source) => {
  const remove = await write({
    "src/core/lint-probe.ts": source,
    "src/core/lint-probe-b.ts": `import { a } from "./lint-probe.ts";\nexport const b = [a];\n`,
  });
  onTestFinished(remove);
  expect(await run("oxlint", "--deny-warnings", "src/core")).toContain("no-cycle");
});

const ROUTE = `{
  method: "get",
  path: "/v1/probe",
  operationId: "probe",
  tag: "service",
  summary: "A route that says everything but who may call it",
  description: "It answers an empty object.",
  answers: {},
  errors: [],
  handle: ({ c }) => c.json({}),
}`;

it("a route must say its scope: the linter and the types refuse it", async () => {
  const path = "src/http/v1/lint-probe.ts";
  // The whole project takes the compiler ten times as long.
  const project = "lint-probe.tsconfig.json";
  const remove = await write({
    [path]: `import { route } from "../route.ts";\n\nexport const probe = route(${ROUTE});\n`,
    [project]: JSON.stringify({ extends: "./tsconfig.json", include: [], files: [path] }),
  });
  onTestFinished(remove);
  expect(await run("oxlint", "--deny-warnings", path)).toContain("route-has-scope");
  const said = await run("tsc", "-p", project);
  expect(said).toContain("Property 'scope' is missing");
  // The types refuse it, and nothing else is wrong with it.
  const errors = said.split("\n").filter((line) => line.includes("error TS"));
  expect(errors).toEqual([expect.stringContaining(path)]);
});

const handler = `(c) => c.text("")`;

it.each(
  [
    `import type { Hono } from "hono";\nexport const f = (app: Hono) => app.get("/", ${handler});\n`,
    `import type { Hono as H } from "hono";\nexport const f = (x: H) => x.on("GET", "/", ${handler});\n`,
    `import type { Hono } from "hono";\nexport const f = (app: Hono) => app["all"]("/", ${handler});\n`,
    `import type { Hono } from "hono";\nexport const f = (app: Hono) => app.use(${handler});\n`,
    `import { Hono } from "hono";\nexport const app = new Hono();\n`,
    `import * as h from "hono";\nexport const made = new h.Hono();\n`,
    `declare const made: { get(path: string, f: unknown): void };\nmade.get("/", ${handler});\n`,
  ].map(
    (source) =>
      [
        source,
        ["src/http/v1", "src/gateway", "src"].map((folder) => probe(folder, source)),
      ] as const,
  ),
)("nothing is mounted past the guard: %s", (_source, paths) => {
  for (const path of paths) {
    expect([path, rulesBrokenBy(path)]).toEqual([
      path,
      expect.arrayContaining(["holdfast(no-mount)"]),
    ]);
  }
});

const routeWithScope = (scope: string) =>
  probe(
    "src/http/v1",
    `export const route = { operationId: "probe", path: "/", scope: ${scope} };\n`,
  );

const withoutScope = routeWithScope("undefined");
it("a route whose scope is undefined has none", () => {
  expect(rulesBrokenBy(withoutScope)).toContain("holdfast(route-has-scope)");
});

const withScope = routeWithScope('"mcp"');
it("a route that says its scope is let be", () => {
  expect(rulesBrokenBy(withScope)).toEqual([]);
});
