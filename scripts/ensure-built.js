/**
 * npm runs this before `npm run serve`: builds if there is no build, or an older one than the sources.
 * Plain JavaScript for any Node: without the development dependencies it can only say what to do.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const BUILT = join(project, "dist", "serve", "worker.json");
const FILES = ["package.json", "package-lock.json", "wrangler.toml", "tsconfig.build.json"];
const FOLDERS = ["src", "scripts"];
/** The packages that the build needs, and `npm ci --omit=dev` leaves out. */
const TOOLS = ["esbuild", "typescript", "wrangler", "node"];

const paths = [
  ...FILES,
  ...FOLDERS.flatMap((folder) =>
    readdirSync(join(project, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.([jt]sx?|css|html|svg)$/.test(name))
      .map((name) => join(folder, name)),
  ),
];
const timeOf = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const isBuilt = existsSync(BUILT);
const isNew = isBuilt && paths.every((path) => timeOf(join(project, path)) <= timeOf(BUILT));

if (!isNew) {
  const hasTools = TOOLS.every((tool) => existsSync(join(project, "node_modules", tool)));
  if (hasTools) {
    const script = join(project, "scripts", "build.ts");
    process.exitCode = spawnSync(process.execPath, [script], { stdio: "inherit" }).status ?? 1;
  } else if (!isBuilt) {
    console.error(
      "holdfast: a build needs the development dependencies: run `npm ci && npm run build`, then serve",
    );
    process.exitCode = 1;
  }
}
