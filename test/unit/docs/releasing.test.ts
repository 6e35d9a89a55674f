/** The release: its workflow's own steps, and the places that name the version. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";

const PROJECT = join(import.meta.dirname, "../../..");
const read = (path: string) => readFileSync(join(PROJECT, path), "utf8");
const workflow = read(".github/workflows/release.yml");
const packed = JSON.parse(read("package.json")) as { readonly version: string };

/** The commands of a step by its name. */
function commandsOf(step: string): string {
  const [, inLine, block = ""] =
    new RegExp(`- name: ${step}\\n +run: (?:\\|\\n((?: {10}.*\\n)+)|(.*)\\n)`).exec(workflow) ?? [];
  return inLine ?? block;
}

it("tests before it publishes, and proves where the package was built", () => {
  expect(workflow).toMatch(/tags: \["v\*"\]/);
  expect(workflow).toMatch(
    /publish:\n +needs: test\n[^]*id-token: write[^]*npm publish --provenance/,
  );
  expect(read(".github/workflows/ci.yml")).toContain("workflow_call:");
});

it("refuses a tag that is not the version", () => {
  const status = (tag: string) =>
    spawnSync("sh", ["-ec", commandsOf("Refuse a tag that is not the version")], {
      cwd: PROJECT,
      env: { ...process.env, GITHUB_REF_NAME: tag },
    }).status;
  expect([status(`v${packed.version}`), status("v99.0.0")]).toEqual([0, 1]);
});

it("names the repository that the tag is in", () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-release-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "package.json"), '{"name":"holdfast"}');
  execFileSync("sh", ["-ec", commandsOf("Say where the package comes from")], {
    cwd: folder,
    env: {
      ...process.env,
      GITHUB_SERVER_URL: "https://code.example",
      GITHUB_REPOSITORY: "someone/holdfast",
    },
  });
  expect(JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))).toEqual({
    name: "holdfast",
    repository: { type: "git", url: "git+https://code.example/someone/holdfast.git" },
    homepage: "https://code.example/someone/holdfast#readme",
    bugs: { url: "https://code.example/someone/holdfast/issues" },
  });
});

it("has one version, in every place that names it", () => {
  const lock = JSON.parse(read("package-lock.json")) as { readonly version: string };
  const pages = ["README.md", ...readdirSync(join(PROJECT, "docs")).map((page) => `docs/${page}`)];
  const files = pages.flatMap((page) => read(page).match(/holdfast-\d[\w.-]*\.tgz/g) ?? []);
  expect(lock.version).toBe(packed.version);
  expect(new Set(files)).toEqual(new Set([`holdfast-${packed.version}.tgz`]));
});
