/**
 * Lets one process at a time use a folder of storage. Each process keeps its objects in memory, so
 * two on one folder would undo each other's acknowledged writes. workerd does not check.
 *
 * The lock is SQLite's, or that of the command `flock` where Node has no SQLite. The system releases
 * either when its holder ends, even by `kill -9`. The two kinds do not see each other, so each holder
 * looks for one of the other kind once it has its own.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { hasSqlite, openDatabase } from "./sqlite.ts";

/** SQLite's `SQLITE_BUSY`. */
const BUSY = 5;
/** The status with which `flock` says that another process holds the lock. */
const HELD_ELSEWHERE = 75;

type LockKind = "SQLite" | "flock";

/** Each kind as the system's list of locks names it. */
const LISTED_AS: Readonly<Record<LockKind, string>> = { SQLite: "POSIX", flock: "FLOCK" };

/**
 * Holds the folder, made where it is missing, until this process ends. Rejects where another holds it,
 * or it cannot be used. `kind` is for tests.
 */
export async function holdStateDir(
  stateDir: string,
  kind: LockKind = hasSqlite ? "SQLite" : "flock",
): Promise<void> {
  const file = join(stateDir, "lock");
  let isHeld: boolean;
  try {
    makeFolder(stateDir);
    isHeld = kind === "SQLite" ? lockBySqlite(file) : await lockByFlock(file);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`STATE_DIR=${stateDir} cannot be used: ${why}`, { cause });
  }
  if (isHeld && !isLocked(file, kind === "SQLite" ? "flock" : "SQLite")) return;
  throw new Error(`STATE_DIR=${stateDir} is in use by another process`);
}

/** Makes a folder and those above it. (Node's own way never returns below /proc.) */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeFolder(parent);
  mkdirSync(path);
}

/** A database that nothing refers to would be closed, and its lock with it. */
const held = new Set<DatabaseSync>();

function lockBySqlite(file: string): boolean {
  const lock = openDatabase(file, { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch (failure) {
    if ((failure as { errcode?: number }).errcode === BUSY) return false;
    throw failure;
  }
  held.add(lock);
  return true;
}

/** `flock` holds the lock until its input, which is a pipe from here, closes. */
async function lockByFlock(file: string): Promise<boolean> {
  const args = ["-n", "-E", String(HELD_ELSEWHERE), file, "sh", "-c", "echo held; exec cat"];
  const holder = spawn("flock", args, { stdio: ["pipe", "pipe", "pipe"], detached: true });
  let said = "";
  holder.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const outcome = await Promise.race([
    once(holder, "error").then(() => "absent" as const),
    once(holder.stdout, "data").then(() => "held" as const),
    once(holder, "close").then(([code]: unknown[]) => code),
  ]);
  if (outcome === "absent") {
    const version = process.versions.node;
    throw new Error(`with Node ${version} it takes the command flock, or else Node 22.13 or newer`);
  }
  if (outcome === HELD_ELSEWHERE) return false;
  if (outcome !== "held") throw new Error(said.trim() || `flock ended with ${String(outcome)}`);
  holder.unref();
  for (const stream of [holder.stdin, holder.stdout, holder.stderr]) {
    (stream as unknown as { unref(): void }).unref();
  }
  return true;
}

/** Whether the system lists a lock of that kind on a file. Only Linux has the list. */
function isLocked(file: string, kind: LockKind): boolean {
  const list = "/proc/locks";
  if (!existsSync(list)) return false;
  const { dev, ino } = statSync(file, { bigint: true });
  // glibc's encoding: 12 bits of the major number, 20 of the minor one, between each other.
  const [major, minor] = [(dev >> 8n) & 0xfffn, (dev & 0xffn) | ((dev >> 12n) & 0xfff00n)];
  const hex = (part: bigint) => part.toString(16).padStart(2, "0");
  const place = `${hex(major)}:${hex(minor)}:${ino}`;
  // "1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF"
  return readFileSync(list, "utf8")
    .split("\n")
    .map((line) => line.replace("-> ", "").trim().split(/\s+/))
    .some((words) => words[1] === LISTED_AS[kind] && words[5] === place);
}
