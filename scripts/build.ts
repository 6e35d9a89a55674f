/**
 * `npm run build`: writes into dist/ all that the package ships and does not have as source: the
 * library's modules (ESM) and types, the command in `command`, and what `holdfast serve` runs in
 * `serve`. A build that fails leaves the one before.
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { CONFIG_FILE, PAGES_FOLDER, WORKER_FILE } from "./artifact.ts";
import { buildBundle, PROJECT } from "./bundle.ts";
import { buildConsole } from "./console.ts";
import { readWorkerConfig } from "./worker-config.ts";

mkdirSync(join(PROJECT, ".holdfast"), { recursive: true });
const building = mkdtempSync(join(PROJECT, ".holdfast", "dist-building-"));
try {
  buildLibrary();
  await buildCommand();
  await buildArtifact();
  // A temporary folder is closed to other users; whoever runs the service reads this one.
  chmodSync(building, 0o755);
  const dist = join(PROJECT, "dist");
  const old = `${building}-old`;
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(building, dist);
  rmSync(old, { recursive: true, force: true });
} finally {
  rmSync(building, { recursive: true, force: true });
}

function buildLibrary(): void {
  const tsc = join(PROJECT, "node_modules", ".bin", "tsc");
  execFileSync(tsc, ["-p", "tsconfig.build.json", "--outDir", building], {
    cwd: PROJECT,
    stdio: "inherit",
  });
  // tsc rewrites the extensions of imports in modules but not in types, where only
  // some versions and settings of a user's TypeScript would find `./x.ts`.
  for (const file of globSync("**/*.d.ts", { cwd: building })) {
    const path = join(building, file);
    const types = readFileSync(path, "utf8");
    writeFileSync(path, types.replace(/(from |import\()"(\.{1,2}\/[^"]+)\.ts"/g, '$1"$2.js"'));
  }
  // The maps lead an editor to the sources, from where dist/ will be.
  for (const file of globSync("**/*.d.ts.map", { cwd: building })) {
    const path = join(building, file);
    const map = JSON.parse(readFileSync(path, "utf8")) as { sources: string[] };
    const sources = map.sources.map((source) =>
      source.replace(/^(?:\.\.\/)+src\//, `${upFrom(file)}src/`),
    );
    writeFileSync(path, JSON.stringify({ ...map, sources }));
  }
}

/** The way from a file in dist/ up to the project. */
function upFrom(file: string): string {
  return "../".repeat(file.split("/").length);
}

/** One file for what every verb loads, and others that `serve` and `token` load besides: a start reads few files. */
async function buildCommand(): Promise<void> {
  await build({
    entryPoints: [join(PROJECT, "scripts/command/main.ts")],
    outdir: join(building, "command"),
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20.10",
    // ioredis is CommonJS, which a module of this format cannot hold. Only `import` loads it.
    external: ["ioredis"],
    logLevel: "warning",
  });
}

async function buildArtifact(): Promise<void> {
  const { path } = await buildBundle(join(building, "serve"));
  rmSync(`${path}.map`);
  if (!path.endsWith(WORKER_FILE)) throw new Error(`the bundle is ${path}, not ${WORKER_FILE}`);
  writeFileSync(join(building, "serve", CONFIG_FILE), JSON.stringify(readWorkerConfig(), null, 2));
  await buildConsole(join(building, "serve", PAGES_FOLDER));
}
