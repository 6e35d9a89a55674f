/**
 * Lets one process at a time use a folder of storage. Each process keeps its objects in memory, so
 * two on one folder would undo each other's acknowledged writes. workerd does not check.
 *
 * The lock is SQLite's: the system releases it when its holder ends, even by `kill -9`.
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
