/**
 * The bundle of the previous release, built from the repository's history. For some minutes after a
 * deploy it runs beside this code.
 */
import { execFile, spawnSync } from "node:child_process";
import { copyFile, mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { buildBundle, PROJECT } from "../../scripts/bundle.ts";

/**
 * The commit of the last release. At a release, set it to the commit that was deployed (its tag, if
 * it has one): then the test compares what is deployed with what comes next.
 */
const PREVIOUS_RELEASE = "6ade14ded2622724bc7d9d46a70a6158a39df715";

const run = promisify(execFile);
const git = (...args: readonly string[]) => run("git", ["-C", PROJECT, ...args]);

/**
 * Whether its commit is in this clone. A shallow clone lacks it, and `git fetch --unshallow` brings it;
 * `.github/workflows/ci.yml` fetches all.
 */
export const HAS_PREVIOUS_RELEASE =
  spawnSync("git", ["-C", PROJECT, "cat-file", "-e", `${PREVIOUS_RELEASE}^{commit}`]).status === 0;

/**
 * The path of its module, under a name that no other module has. It is built once, with the packages
 * that are installed now. Rejects if the commit is not in this clone.
 */
export async function previousRelease(): Promise<string> {
  const folder = join(PROJECT, ".holdfast", "previous");
  const name = `worker-${PREVIOUS_RELEASE.slice(0, 12)}`;
  const built = join(folder, `${name}.js`);
  if (await exists(built)) return built;
  const source = join(folder, `${name}-source`);
  await rm(source, { recursive: true, force: true });
  await mkdir(source, { recursive: true });
  const archive = join(source, "source.tar");
  await git("archive", "--output", archive, PREVIOUS_RELEASE, "src", "wrangler.toml");
  await run("tar", ["-xf", archive, "-C", source]);
  const bundle = await buildBundle(join(folder, name), join(source, "wrangler.toml"));
  await copyFile(bundle.path, `${built}.copy`);
  await rename(`${built}.copy`, built);
  return built;
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
