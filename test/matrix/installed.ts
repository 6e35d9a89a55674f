/** The servers and clients are a package of their own, installed when they are first driven. */
import { execFile } from "node:child_process";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const FOLDER = import.meta.dirname;

/** The path of a file in the matrix's own modules. */
export const moduleFile = (...path: string[]) => join(FOLDER, "node_modules", ...path);

/** Installs what the lock file names, unless that is what is there. */
export async function install(): Promise<void> {
  const wanted = await readFile(join(FOLDER, "package-lock.json"), "utf8");
  const found = await readFile(moduleFile(".installed-lock.json"), "utf8").catch(() => "");
  if (found === wanted) return;
  console.error("matrix: installing its servers and clients (npm ci in test/matrix, 300 MB)");
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  await promisify(execFile)("npm", args, { cwd: FOLDER });
  await copyFile(join(FOLDER, "package-lock.json"), moduleFile(".installed-lock.json"));
}

/** Name and version of each package that the matrix names, as they are installed. */
export async function versions(): Promise<Readonly<Record<string, string>>> {
  const manifest = JSON.parse(await readFile(join(FOLDER, "package.json"), "utf8")) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  return manifest.dependencies;
}
