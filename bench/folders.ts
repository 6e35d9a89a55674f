/** Folders for what servers store. Each is deleted at the latest when this process ends, by a signal too if that makes it exit. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folders = new Set<string>();
process.once("exit", () => folders.forEach(removeFolder));

/** Makes an empty folder and answers its path. Synchronous, so that no signal comes between making and noting it. */
export function makeFolder(name: string, parent = tmpdir()): string {
  const path = mkdtempSync(join(parent, `bench-${name}-`));
  folders.add(path);
  return path;
}

/** Tries again for half a second where a server that has just been killed still makes files. */
export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 30 });
  folders.delete(path);
}
