/** Keeps what is stored from other users of the machine. */
import { chmodSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** The permissions of everybody but the owner. */
const OTHERS = 0o077;

/**
 * Makes the folder where it is missing, and has this process and those that it starts make files
 * that only their owner may read. What an earlier version left readable is closed.
 */
export function keepPrivate(folder: string): void {
  process.umask(OTHERS);
  mkdirSync(folder, { recursive: true });
  if ((statSync(folder).mode & OTHERS) === 0) return;
  const within = readdirSync(folder, { recursive: true, withFileTypes: true });
  for (const entry of within) {
    const mode = entry.isDirectory() ? 0o700 : 0o600;
    if (entry.isDirectory() || entry.isFile()) chmodSync(join(entry.parentPath, entry.name), mode);
  }
  // Last: a start that was ended before it was done begins anew.
  chmodSync(folder, 0o700);
}
