/** The servers and clients are a package of their own, installed when they are first driven. */
import { execFile } from "node:child_process";
import { copyFile, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const FOLDER = import.meta.dirname;
const STAMP = join(FOLDER, "node_modules", ".installed-lock.json");

const { resolve } = createRequire(import.meta.url);

/** The path of a file of a package: of the matrix's own modules, or the project's where those are not installed. */
export const moduleFile = (name: string, path: string) =>
  join(dirname(resolve(`${name}/package.json`)), path);

/** Installs what the lock file names, unless that is what is there. */
export async function install(): Promise<void> {
  const wanted = await readFile(join(FOLDER, "package-lock.json"), "utf8");
  const found = await readFile(STAMP, "utf8").catch(() => "");
  if (found === wanted) return;
  console.error("matrix: installing its servers and clients (npm ci in test/matrix, 300 MB)");
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  await promisify(execFile)("npm", args, { cwd: FOLDER });
  await copyFile(join(FOLDER, "package-lock.json"), STAMP);
}

/** Name and version of each package that the matrix names, as they are installed. */
export async function versions(): Promise<Readonly<Record<string, string>>> {
  const manifest = JSON.parse(await readFile(join(FOLDER, "package.json"), "utf8")) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  return manifest.dependencies;
}
