/**
 * Removes the files of objects that hold nothing. workerd makes a file of 4 KiB for any object
 * that is asked anything, and leaves it when the object deletes all that it stored.
 *
 * Only the holder of the folder's lock may sweep. While workerd runs, it may have such a file open
 * and be about to write. So it is stopped for the moment in which files are removed (SIGSTOP), and
 * those that it has open stay. A lock on the file would not do: workerd may have opened it and not
 * locked it yet, and would go on in a file without a name.
 */
import {
  closeSync,
  existsSync,
  opendirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { setImmediate, setTimeout as after } from "node:timers/promises";
import { BESIDE, isObjectFile, objectFolders } from "./object-folders.ts";
import { hasSqlite, openDatabase } from "./sqlite.ts";

/** Bytes of a database without a table: its first page. */
const EMPTY_BYTES = 4096;
/** Files of a batch. */
const BATCH = 200;
/** Milliseconds for which workerd is stopped while files are removed. It runs again before the next files are removed. */
const STANDING_MS = 20;
const PAUSE_MS = 100;
/** Milliseconds within which workerd must have stopped: it stops when each of its threads is scheduled. */
const STOP_MS = 1000;
/** Least age of a file in milliseconds: a new object is about to write to its file. */
const SETTLED_MS = 60_000;

/**
 * Sweeps while workerd does not run, for `ms` milliseconds at most: its start waits for it. Returns
 * how many objects' files it removed.
 */
export async function sweepAtRest(stateDir: string, ms = Infinity): Promise<number> {
  let removed = 0;
  const until = Date.now() + ms;
  for await (const files of emptyFiles(stateDir, (file) => isEmpty(file, true), until)) {
    for (const file of files) remove(file);
    removed += files.length;
  }
  return removed;
}

/** Sweeps while workerd runs as this process. Removes nothing where the system does not say what that has open. */
export async function sweepRunning(
  stateDir: string,
  pid: number,
  now = Date.now(),
): Promise<number> {
  if (!existsSync(`/proc/${pid}/fd`)) return 0;
  const isDue = (file: string) => statSync(file).mtimeMs < now - SETTLED_MS && isEmpty(file, false);
  let removed = 0;
  for await (const files of emptyFiles(stateDir, isDue)) {
    for (let rest = files; rest.length > 0;) {
      const { looked, gone } = whileStopped(pid, (open) => removeClosed(rest, open));
      if (looked === 0) break;
      removed += gone;
      rest = rest.slice(looked);
      await after(PAUSE_MS);
    }
  }
  return removed;
}

interface Round {
  /** Files that were looked at, and how many of them are gone. */
  readonly looked: number;
  readonly gone: number;
}

/** Removes the first of these files, but for those that are open, as far as `STANDING_MS` go. */
function removeClosed(files: readonly string[], open: ReadonlySet<string>): Round {
  const until = Date.now() + STANDING_MS;
  let looked = 0;
  let gone = 0;
  for (const file of files) {
    if (looked > 0 && Date.now() > until) break;
    looked++;
    if (open.has(file) || !attempt(() => isEmpty(file, false))) continue;
    remove(file);
    gone++;
  }
  return { looked, gone };
}

/** The files that `isMeant` is true of, in batches, as far as they are found by then. A file may go at any time. */
async function* emptyFiles(
  stateDir: string,
  isMeant: (file: string) => boolean,
  until = Infinity,
): AsyncGenerator<string[]> {
  for (const folder of objectFolders(realpathSync(stateDir))) {
    let batch: string[] = [];
    let looked = 0;
    const entries = opendirSync(folder);
    for await (const { name } of entries) {
      // Much else may wait for this process.
      if (++looked % BATCH === 0) await setImmediate();
      if (Date.now() > until) break;
      const file = join(folder, name);
      if (!isObjectFile(name) || !attempt(() => isMeant(file))) continue;
      batch.push(file);
      if (batch.length < BATCH) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  }
}

/**
 * Whether a database holds no table. After a crash its last writes may lie in the file beside it:
 * SQLite itself has to look, and may do so (`mayOpen`) while workerd does not run.
 */
function isEmpty(file: string, mayOpen: boolean): boolean {
  const wal = statSync(`${file}-wal`, { throwIfNoEntry: false });
  if (wal && wal.size > 0) return mayOpen && hasSqlite && hasNoTable(file);
  const { size } = statSync(file);
  if (size === 0) return true;
  return size === EMPTY_BYTES && firstPageIsEmpty(file);
}

function hasNoTable(file: string): boolean {
  const database = openDatabase(file);
  try {
    return database.prepare("SELECT 1 FROM sqlite_schema").get() === undefined;
  } finally {
    database.close();
  }
}

/** SQLite's file format, 1.3 and 1.6: the first page has the header, and is the leaf of the schema's table. */
function firstPageIsEmpty(file: string): boolean {
  const page = Buffer.alloc(105);
  const fd = openSync(file, "r");
  try {
    readSync(fd, page, 0, page.length, 0);
  } finally {
    closeSync(fd);
  }
  const isDatabase = page.toString("latin1", 0, 16) === "SQLite format 3\0";
  const isLeaf = page.readUInt8(100) === 0x0d;
  return isDatabase && isLeaf && page.readUInt16BE(103) === 0;
}

function remove(file: string): void {
  for (const suffix of [...BESIDE, ""]) attempt(() => unlinkSync(file + suffix));
}

/** Calls `work` with the files that the process has open, while it is stopped. Does nothing if it does not stop in time. */
function whileStopped(pid: number, work: (open: ReadonlySet<string>) => Round): Round {
  process.kill(pid, "SIGSTOP");
  try {
    return stands(pid) ? work(filesOf(pid)) : { looked: 0, gone: 0 };
  } finally {
    process.kill(pid, "SIGCONT");
  }
}

/** Waits up to `STOP_MS` for every thread of the process to stop. Returns whether they did. */
function stands(pid: number): boolean {
  const until = Date.now() + STOP_MS;
  const threads = () => readdirSync(`/proc/${pid}/task`);
  const runs = (thread: string) => {
    const stat = attempt(() => readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8")) ?? "";
    // The state comes after the name, which stands in brackets and may hold any character.
    return stat !== "" && !stat.slice(stat.lastIndexOf(")")).startsWith(") T");
  };
  const look = new Int32Array(new SharedArrayBuffer(4));
  while (threads().some(runs)) {
    if (Date.now() > until) return false;
    Atomics.wait(look, 0, 0, 1);
  }
  return true;
}

function filesOf(pid: number): Set<string> {
  const folder = `/proc/${pid}/fd`;
  const links = readdirSync(folder).map((fd) => attempt(() => readlinkSync(join(folder, fd))));
  return new Set(links.filter((link) => link !== undefined));
}

/** The result of `look`; undefined if it throws, because the file or process may be gone. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
