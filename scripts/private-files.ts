/** Keeps what is stored from other users of the machine. */
import { chmodSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** The permissions of everybody but the owner. */
const OTHERS = 0o077;

/** From now on this process, and those that it starts, make files that only their owner may read. */
export function makePrivateFiles(): void {
  process.umask(OTHERS);
}

/** Closes a folder that an earlier version left readable, and all that is in it. */
export function closeToOthers(folder: string): void {
  if ((statSync(folder).mode & OTHERS) === 0) return;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const mode = entry.isDirectory() ? 0o700 : 0o600;
    if (entry.isDirectory() || entry.isFile()) chmodSync(join(entry.parentPath, entry.name), mode);
  }
  // Last: a start that was ended before it was done begins anew.
  chmodSync(folder, 0o700);
}
