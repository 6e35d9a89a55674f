/** The folders in which workerd stores objects, one for each class, and the files in them. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Where the storage of all objects lies within STATE_DIR. */
export const objectsIn = (stateDir: string): string => join(stateDir, "objects");

/** workerd's list for one class: the object of each file, and when its alarm is due. It is no object's own file. */
export const ALARMS_FILE = "metadata.sqlite";

/** Endings of the files that SQLite keeps beside a database while it is open, and after a crash. */
export const BESIDE = ["-wal", "-shm"] as const;

/** The folder of each class; none before the first start. */
export function objectFolders(stateDir: string): string[] {
  const objects = objectsIn(stateDir);
  if (!existsSync(objects)) return [];
  return readdirSync(objects, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(objects, name));
}

/** Whether a file of that name is an object's database: it is named by the object's id. */
export function isObjectFile(name: string): boolean {
  return /^[0-9a-f]{64}\.sqlite$/.test(name);
}
