/**
 * One process at a time owns a folder of storage: each keeps its objects in memory, so of two
 * that share a folder each would undo what the other has acknowledged. workerd does not look.
 *
 * The lock is SQLite's, which the system lets go of when its holder ends, however it ends.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** SQLite's `SQLITE_BUSY`. */
const BUSY = 5;

/** Holds the folder, made where it is missing, until this process ends. Throws where another holds it, or it cannot be used. */
export function holdStateDir(stateDir: string): void {
  try {
    mkdirSync(stateDir, { recursive: true });
    const lock = new DatabaseSync(join(stateDir, "lock"), { timeout: 0 });
    lock.exec("BEGIN EXCLUSIVE");
    held.add(lock);
  } catch (cause) {
    const { errcode, message } = cause as { errcode?: number; message: string };
    const why = errcode === BUSY ? "is in use by another process" : `cannot be used: ${message}`;
    throw new Error(`STATE_DIR=${stateDir} ${why}`, { cause });
  }
}

/** A database that nothing refers to would be closed, and its lock with it. */
const held = new Set<DatabaseSync>();
