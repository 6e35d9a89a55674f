/** Builds the production bundle, the same that `wrangler deploy` uploads. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const PROJECT = dirname(dirname(fileURLToPath(import.meta.url)));

export interface Bundle {
  /** Path of the Worker's one module. */
  readonly path: string;
  /** Its size as wrangler prints it: `Total Upload: … / gzip: …`. */
  readonly size: string;
}

/**
 * Bundles the Worker of a wrangler configuration; the service's own unless another is given.
 * The finished module replaces the old one in one step, so a service that starts meanwhile gets the
 * old one. (workerd starts from an empty module too, and then answers each request with 500.)
 */
export async function buildBundle(
  outdir = join(PROJECT, ".holdfast", "bundle"),
  config = join(PROJECT, "wrangler.toml"),
): Promise<Bundle> {
  await mkdir(outdir, { recursive: true });
  await sweep(outdir);
  // A folder beside it, because the source map names sources by relative paths.
  const building = await mkdtemp(`${outdir}-building-`);
  try {
    const { stdout } = await promisify(execFile)(
      join(PROJECT, "node_modules", ".bin", "wrangler"),
      ["deploy", "--dry-run", "--config", config, "--outdir", building],
      { cwd: PROJECT, env: { ...process.env, WRANGLER_SEND_METRICS: "false" } },
    );
    for (const name of ["worker.js.map", "worker.js"]) {
      await rename(join(building, name), join(outdir, name));
    }
    const size = /Total Upload: .*/.exec(stdout)?.[0] ?? "Total Upload: unknown";
    return { path: join(outdir, "worker.js"), size };
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

/** Milliseconds after which an unfinished build counts as ended: no build takes so long. */
const GIVEN_UP_MS = 10 * 60_000;

/** Removes the folders of builds that a signal ended. */
async function sweep(outdir: string): Promise<void> {
  const parent = dirname(outdir);
  const left = (await readdir(parent)).filter((name) =>
    name.startsWith(`${basename(outdir)}-building-`),
  );
  for (const name of left) {
    const path = join(parent, name);
    // Another build may remove its own meanwhile.
    const made = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => Infinity,
    );
    if (Date.now() - made > GIVEN_UP_MS) await rm(path, { recursive: true, force: true });
  }
}
