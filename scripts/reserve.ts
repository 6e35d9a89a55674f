/**
 * Keeps some room on the disk for deletes. To delete takes room, since SQLite writes what it
 * changes beside the database first. So a file of up to 4 MiB is kept, and removed when the disk is
 * full. As long as it is gone, the Worker takes no request that stores more (`src/http/disk-room.ts`).
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../src/logger.ts";

/** Bytes of the file at most, and as a share of the disk. */
const MOST_BYTES = 4 * 1024 * 1024;
const SHARE = 1 / 16;
/** The disk counts as full when less than this share of the file's size is free. */
const FULL = 1 / 4;
/** The disk has room again when so many times the file's size is free. */
const ROOM = 4;
/** Milliseconds between two checks of the disk. */
const LOOK_MS = 250;

/** The folder in STATE_DIR that the Worker looks into. */
export const RESERVE_FOLDER = "reserve";
const RESERVE_FILE = "room";

interface Disk {
  readonly bytes: number;
  readonly freeBytes: number;
}

interface ReserveOptions {
  readonly log: Logger;
  /** The disk of a folder. */
  readonly diskOf?: (folder: string) => Disk;
}

/** Keeps the reserve as long as this process runs. Returns two functions: one checks the disk now, one ends the checks. */
export function keepReserve(stateDir: string, { log, diskOf = statDisk }: ReserveOptions) {
  const folder = join(stateDir, RESERVE_FOLDER);
  const file = join(folder, RESERVE_FILE);
  let wasFull = false;
  const look = (): void => {
    // A full disk may refuse any of it. The next look may do better.
    try {
      mkdirSync(folder, { recursive: true });
      follow(file, diskOf(folder));
    } catch {}
    const isFull = !existsSync(file);
    if (isFull && !wasFull) log.error("disk.full");
    else if (wasFull && !isFull) log.info("disk.has_room");
    wasFull = isFull;
  };
  look();
  const timer = setInterval(look, LOOK_MS).unref();
  return { look, stop: () => clearInterval(timer) };
}

/** Makes or removes the reserve, depending on the free room. */
function follow(file: string, { bytes, freeBytes }: Disk): void {
  const size = Math.floor(Math.min(MOST_BYTES, bytes * SHARE));
  if (!existsSync(file)) {
    if (freeBytes >= ROOM * size) fill(file, size);
    // A making that failed, or was killed, must not keep the room from deletes.
    else rmSync(makingOf(file), { force: true });
  } else if (freeBytes < FULL * size) rmSync(file);
}

/** Makes the file, which appears whole. Its bytes are random, so that no file system makes them smaller. */
function fill(file: string, size: number): void {
  writeFileSync(makingOf(file), randomBytes(size));
  renameSync(makingOf(file), file);
}

const makingOf = (file: string): string => `${file}.making`;

function statDisk(folder: string): Disk {
  const { blocks, bavail, bsize } = statfsSync(folder);
  return { bytes: blocks * bsize, freeBytes: bavail * bsize };
}
