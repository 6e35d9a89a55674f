/**
 * Node's own SQLite. Node before 22.13 has none, or hides it behind a flag; `holdfast serve` runs there
 * too, and does without what needs it.
 */
import type { DatabaseSync as Database } from "node:sqlite";

const { emitWarning } = process;
// Some versions warn at the import that it is an experiment. An operator can do nothing about it.
process.emitWarning = () => {};
const found = await import("node:sqlite").catch(() => undefined);
process.emitWarning = emitWarning;

/** Whether this Node has SQLite. */
export const hasSqlite = found !== undefined;

/** Opens a database. Throws an Error if this Node has no SQLite: ask `hasSqlite` first. */
export function openDatabase(
  path: string,
  options: { readonly timeout?: number; readonly readBigInts?: boolean } = {},
): Database {
  if (found === undefined) throw new Error(`Node ${process.versions.node} has no SQLite`);
  return new found.DatabaseSync(path, options);
}
