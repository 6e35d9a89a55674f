/** Folders that are removed when they have served, or when this process ends. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folders = new Set<string>();
process.once("exit", () => folders.forEach(remove));

export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-matrix-"));
  folders.add(folder);
  return folder;
}

export function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}
