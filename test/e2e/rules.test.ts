/** The linter and the types refuse code that breaks a rule of the project. */
import { execFile } from "node:child_process";
import { mkdir, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { PROJECT } from "../../scripts/bundle.ts";

/** Writes files, and removes them at the end of the test. */
async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, source] of Object.entries(files)) {
    const file = join(PROJECT, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, source);
    onTestFinished(async () => {
      await rm(file);
      // Removes the folder that was made for it, and none with other files in it.
      await rmdir(dirname(file)).catch(() => undefined);
    });
  }
}

/** Runs one of the project's tools, and returns its output. */
function run(tool: "oxlint" | "tsc", ...args: readonly string[]): Promise<string> {
  const command = join(PROJECT, "node_modules/.bin", tool);
  return new Promise((resolve) => {
    execFile(command, args, { cwd: PROJECT }, (_failure, stdout) => resolve(stdout));
  });
}

/** Makes a file at `path` for the length of a test, lints it, and returns the linter's output. */
async function lint(path: string, source: string): Promise<string> {
  await write({ [path]: source });
  return run("oxlint", "--deny-warnings", path);
}

it.each([
  ["src/wire/lint-probe.ts", "../core/id.ts"],
  ["src/core/lint-probe.ts", "cloudflare:workers"],
  ["src/core/lint-probe.ts", "../config/service.ts"],
  ["src/config/lint-probe.ts", "../http/problem.ts"],
  ["src/library/lint-probe.ts", "../session/session-object.ts"],
  ["src/library/lint-probe.ts", "cloudflare:workers"],
  ["src/stream/lint-probe.ts", "../gateway/contract.ts"],
  ["src/auth/lint-probe.ts", "../http/problem.ts"],
  ["src/directory/lint-probe.ts", "../session/record.ts"],
  ["src/http/lint-probe.ts", "cloudflare:workers"],
  ["src/http/lint-probe.ts", "../session/session-object.ts"],
  ["src/http/lint-probe.ts", "./v1/schemas.ts"],
  ["src/gateway/lint-probe.ts", "../http/v1/schemas.ts"],
  ["src/session/lint-probe.ts", "../http/problem.ts"],
  ["src/lint-probe.ts", "cloudflare:workers"],
  // A file or a folder that no rule names yet is no way around the rooms.
  ["src/lint-probe.ts", "./session/record.ts"],
  ["src/newroom/lint-probe.ts", "../session/record.ts"],
  ["src/wire/lint-probe.ts", "../group-commit.ts"],
  ["src/core/lint-probe.ts", "../group-commit.ts"],
  ["src/core/lint-probe.ts", "../logger.ts"],
  ["src/config/lint-probe.ts", "../alarm-clock.ts"],
  ["src/library/lint-probe.ts", "../logger.ts"],
  ["src/stream/lint-probe.ts", "../group-commit.ts"],
  ["src/auth/lint-probe.ts", "../alarm-clock.ts"],
  ["src/http/lint-probe.ts", "../group-commit.ts"],
  ["src/http/lint-probe.ts", "../directory/client.ts"],
  ["src/gateway/lint-probe.ts", "../auth/access.ts"],
  ["src/http/v1/lint-probe.ts", "../../alarm-clock.ts"],
  ["src/gateway/lint-probe.ts", "../alarm-clock.ts"],
  ["src/entries/lint-probe.ts", "../app.ts"],
  ["src/entries/lint-probe.ts", "../worker.ts"],
  ["src/entries/lint-probe.ts", "cloudflare:workers"],
])("%s must not import %s", async (file, target) => {
  expect(await lint(file, `export * from "${target}";\n`)).toContain("no-restricted-imports");
});

it.each([
  ["src/session/lint-probe.ts", "../core/id.ts"],
  ["src/http/lint-probe.ts", "../core/id.ts"],
  ["src/http/v1/lint-probe.ts", "../problem.ts"],
  ["src/gateway/lint-probe.ts", "../http/problem.ts"],
  ["src/core/lint-probe.ts", "./id.ts"],
  ["src/config/lint-probe.ts", "../logger.ts"],
  ["src/directory/lint-probe.ts", "../group-commit.ts"],
  ["src/session/lint-probe.ts", "../alarm-clock.ts"],
  ["src/entries/lint-probe.ts", "../session/session-object.ts"],
])("%s may import %s", async (file, target) => {
  expect(await lint(file, `export * from "${target}";\n`)).toContain("0 errors");
});

it.each([
  ["values", `import { b } from "./lint-probe-b.ts";\nexport const a = () => b;\n`],
  ["types", `import type { b } from "./lint-probe-b.ts";\nexport const a = (x: typeof b) => x;\n`],
])("files must not import each other in a circle, of %s", async (_what, source) => {
  await write({
    "src/core/lint-probe.ts": source,
    "src/core/lint-probe-b.ts": `import { a } from "./lint-probe.ts";\nexport const b = [a];\n`,
  });
  expect(await run("oxlint", "--deny-warnings", "src/core")).toContain("no-cycle");
});

const ROUTE = `{
  method: "get",
  path: "/v1/probe",
  operationId: "probe",
  summary: "A route that says everything but who may call it",
  answers: {},
  errors: [],
  handle: ({ c }) => c.json({}),
}`;

it("a route must say its scope: the linter and the types refuse it", async () => {
  const probe = "src/http/v1/lint-probe.ts";
  await write({
    [probe]: `import { route } from "../route.ts";\n\nexport const probe = route(${ROUTE});\n`,
  });
  expect(await run("oxlint", "--deny-warnings", probe)).toContain("route-has-scope");
  const said = await run("tsc");
  expect(said).toContain("Property 'scope' is missing");
  // The types refuse it, and nothing else is wrong with it.
  const errors = said.split("\n").filter((line) => line.includes("error TS"));
  expect(errors).toEqual([expect.stringContaining(probe)]);
});

const handler = `(c) => c.text("")`;

it.each([
  `import type { Hono } from "hono";\nexport const f = (app: Hono) => app.get("/", ${handler});\n`,
  `import type { Hono as H } from "hono";\nexport const f = (x: H) => x.on("GET", "/", ${handler});\n`,
  `import type { Hono } from "hono";\nexport const f = (app: Hono) => app["all"]("/", ${handler});\n`,
  `import type { Hono } from "hono";\nexport const f = (app: Hono) => app.use(${handler});\n`,
  `import { Hono } from "hono";\nexport const app = new Hono();\n`,
  `import * as h from "hono";\nexport const made = new h.Hono();\n`,
  `declare const made: { get(path: string, f: unknown): void };\nmade.get("/", ${handler});\n`,
])("nothing is mounted past the guard: %s", async (source) => {
  for (const path of [
    "src/http/v1/lint-probe.ts",
    "src/gateway/lint-probe.ts",
    "src/lint-probe.ts",
  ])
    expect([path, await lint(path, source)]).toEqual([path, expect.stringContaining("no-mount")]);
});

it("a route whose scope is undefined has none", async () => {
  const source = `export const route = { operationId: "probe", path: "/", scope: undefined };\n`;
  expect(await lint("src/http/v1/lint-probe.ts", source)).toContain("route-has-scope");
});

it("a route that says its scope is let be", async () => {
  const source = `export const route = { operationId: "probe", path: "/", scope: "mcp" };\n`;
  expect(await lint("src/http/v1/lint-probe.ts", source)).toContain("0 errors");
});
