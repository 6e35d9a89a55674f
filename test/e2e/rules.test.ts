/** The project's own rules hold, and break when they are broken. */
import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { PROJECT } from "../../scripts/bundle.ts";

/** Lints one file that this makes at `path`, and answers what the linter says of it. */
async function lint(path: string, source: string): Promise<string> {
  const file = join(PROJECT, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, source);
  onTestFinished(() => rm(file));
  return new Promise((resolve) => {
    execFile(
      join(PROJECT, "node_modules/.bin/oxlint"),
      ["--deny-warnings", file],
      { cwd: PROJECT },
      (_failure, stdout) => resolve(stdout),
    );
  });
}

it.each([
  ["src/session/lint-probe.ts", "cloudflare:workers"],
  ["src/session/lint-probe.ts", "../config.ts"],
  ["src/http/lint-probe.ts", "cloudflare:workers"],
  ["src/http/lint-probe.ts", "../object/session-object.ts"],
  ["src/storage/lint-probe.ts", "../object/session-object.ts"],
  ["src/storage/lint-probe.ts", "cloudflare:workers"],
  ["src/object/lint-probe.ts", "../http/schemas.ts"],
  ["src/lint-probe.ts", "cloudflare:workers"],
  ["src/lint-probe.ts", "./worker.ts"],
])("%s must not import %s", async (file, target) => {
  expect(await lint(file, `export * from "${target}";\n`)).toContain("no-restricted-imports");
});

it.each([
  ["src/object/lint-probe.ts", "../session/id.ts"],
  ["src/object/lint-probe.ts", "cloudflare:workers"],
  ["src/http/lint-probe.ts", "../session/id.ts"],
  ["src/session/lint-probe.ts", "./id.ts"],
])("%s may import %s", async (file, target) => {
  expect(await lint(file, `export * from "${target}";\n`)).toContain("0 errors");
});
