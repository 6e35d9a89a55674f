/** Programs that one command needs are a package of their own in its folder, installed when it first runs. */
import { execFile } from "node:child_process";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** Installs what the folder's lock file names, unless that is what is there. `telling` is printed before. */
export async function installPackage(folder: string, telling: string): Promise<void> {
  const lockFile = join(folder, "package-lock.json");
  const stamp = join(folder, "node_modules", ".installed-lock.json");
  const wanted = await readFile(lockFile, "utf8");
  const found = await readFile(stamp, "utf8").catch(() => "");
  if (found === wanted) return;
  console.error(telling);
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  await promisify(execFile)("npm", args, { cwd: folder });
  await copyFile(lockFile, stamp);
}
