/** The bundle's place is shared: the service may be started from it while it is built anew. */
import { mkdir, mkdtemp, open, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { buildBundle } from "../../../scripts/bundle.ts";

it("leaves what was built before whole for who reads it, and nothing beside the new", async () => {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-bundle-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const config = join(dir, "wrangler.toml");
  await writeFile(
    config,
    'name = "small"\nmain = "worker.ts"\ncompatibility_date = "2026-01-01"\n',
  );
  await writeFile(join(dir, "worker.ts"), "export default { fetch: () => new Response('new') };\n");
  const outdir = join(dir, "bundle");
  const { path } = await buildBundle(outdir, config);
  const built = await readFile(path, "utf8");
  expect(built).toContain("new Response");

  // Left by a build that a signal ended.
  const left = join(dir, "bundle-building-old");
  await mkdir(left);
  await utimes(left, 0, 0);
  await writeFile(path, "before");
  const reader = await open(path);
  onTestFinished(() => reader.close());
  await buildBundle(outdir, config);
  expect(await reader.readFile("utf8")).toBe("before");
  expect(await readFile(path, "utf8")).toBe(built);
  expect(await readdir(outdir)).toEqual(["worker.js", "worker.js.map"]);
  expect((await readdir(dir)).filter((name) => name.startsWith("bundle"))).toEqual(["bundle"]);
});
