/** Each example pins the versions that the tests run it with, and the package's own. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";

const PROJECT = join(import.meta.dirname, "../..");

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const read = (path: string) => JSON.parse(readFileSync(join(PROJECT, path), "utf8")) as Manifest;
const manifests = globSync("examples/*/package.json", { cwd: PROJECT });
const locked = (
  JSON.parse(readFileSync(join(PROJECT, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, { readonly version: string }>>;
  }
).packages;

describe("the examples", () => {
  it("are some", () => {
    expect(manifests.length).toBeGreaterThanOrEqual(3);
  });

  it.each(manifests)("%s names the versions that the project's lock has", (path) => {
    const { dependencies, devDependencies } = read(path);
    const named = { ...dependencies, ...devDependencies };
    const versionOf = (name: string) =>
      name === "holdfast" ? read("package.json").version : locked[`node_modules/${name}`]?.version;
    const known = Object.keys(named).map((name) => [name, versionOf(name)]);
    expect(named).toEqual(Object.fromEntries(known));
  });

  it.each(manifests.map(dirname))("%s has a whole wrangler.toml of its own", (folder) => {
    const toml = readFileSync(join(PROJECT, folder, "wrangler.toml"), "utf8");
    for (const key of ["name", "main", "compatibility_date"]) {
      expect(toml).toMatch(new RegExp(`^${key} = "`, "m"));
    }
  });
});
