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
])("%s must not import %s", async (file, target) => {
  expect(await lint(file, `export * from "${target}";\n`)).toContain("no-restricted-imports");
});

it.each([
  ["src/session/lint-probe.ts", "../core/id.ts"],
  ["src/http/lint-probe.ts", "../core/id.ts"],
  ["src/http/v1/lint-probe.ts", "../problem.ts"],
  ["src/gateway/lint-probe.ts", "../http/problem.ts"],
  ["src/core/lint-probe.ts", "./id.ts"],
])("%s may import %s", async (file, target) => {
  expect(await lint(file, `export * from "${target}";\n`)).toContain("0 errors");
});
