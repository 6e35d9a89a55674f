/** Keeps what is stored from other users of the machine, and starts on nothing that is another user's. */
import { accessSync, chmodSync, constants, existsSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { ALARMS_FILE, objectFolders, objectsIn } from "./object-folders.ts";
import { RESERVE_FOLDER } from "./reserve.ts";

/** The permissions of everybody but the owner. */
const OTHERS = 0o077;

/** Objects of one class whose files are looked at: 20,000 take a tenth of a second. */
const MOST_LOOKED_AT = 20_000;

/** From now on this process, and those that it starts, make files that only their owner may read. */
export function makePrivateFiles(): void {
  process.umask(OTHERS);
}

/**
 * Closes a folder that an earlier version, or whoever made it, left readable, and all of the service's in
 * it. Throws an error of one line if the folder is another user's.
 */
export function closeToOthers(stateDir: string): void {
  if ((statSync(stateDir).mode & OTHERS) === 0) return;
  try {
    for (const own of ownIn(stateDir)) {
      close(own);
      if (!statSync(own).isDirectory()) continue;
      for (const name of readdirSync(own, { recursive: true, encoding: "utf8" })) {
        close(join(own, name));
      }
    }
    // Last: a start that was ended before it was done begins anew.
    close(stateDir);
  } catch (cause) {
    throw unusable(stateDir, "others can read it, and this user cannot change that", cause);
  }
}

function close(path: string): void {
  const stats = statSync(path);
  if (stats.isDirectory() || stats.isFile()) chmodSync(path, stats.isDirectory() ? 0o700 : 0o600);
}

/**
 * Throws an error of one line if this user may not read and write what is stored, as after a backup that
 * root restored. SQLite does not tell such a file from a damaged one, and nothing that is whole may be
 * mended. Of each class it looks at `mostLookedAt` files at least, if there are as many.
 */
export function requireOwnFiles(stateDir: string, mostLookedAt = MOST_LOOKED_AT): void {
  for (const own of ownIn(stateDir)) requireAccess(stateDir, own);
  for (const folder of objectFolders(stateDir)) {
    requireAccess(stateDir, folder);
    const alarms = join(folder, ALARMS_FILE);
    if (existsSync(alarms)) requireAccess(stateDir, alarms);
    for (const name of readdirSync(folder).slice(0, mostLookedAt)) {
      requireAccess(stateDir, join(folder, name));
    }
  }
}

function requireAccess(stateDir: string, path: string): void {
  try {
    const { R_OK, W_OK, X_OK } = constants;
    accessSync(path, statSync(path).isDirectory() ? R_OK | W_OK | X_OK : R_OK | W_OK);
  } catch (cause) {
    // The workerd of a service that was killed just now may have ended, and taken it along.
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return;
    const place = relative(stateDir, path);
    throw unusable(stateDir, `this user cannot read and write ${place} in it`, cause);
  }
}

/** The files and folders of the service. A volume may hold others, such as root's `lost+found`. */
function ownIn(stateDir: string): string[] {
  const names = ["lock", "workerd.capnp", RESERVE_FOLDER];
  const paths = [...names.map((name) => join(stateDir, name)), objectsIn(stateDir)];
  return paths.filter((path) => existsSync(path));
}

function unusable(stateDir: string, why: string, cause: unknown): Error {
  const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
  return new Error(`STATE_DIR=${stateDir} cannot be used: ${why} (${code})`, { cause });
}
