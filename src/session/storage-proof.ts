/** Proves that an object can store, for objects that belong to no session. */
import { AlarmClock } from "../alarm-clock.ts";

const KEY = "stored";

/**
 * Bytes that take more room on the disk than the end of a session does. An end frees pages, and SQLite writes
 * none of those: with the files that an object opens it takes some tens of KiB.
 */
const MORE_BYTES = 512 * 1024;
/** The most bytes that the platform makes at random in one go. */
const RANDOM_BYTES = 65_536;
const HOUR_MS = 3_600_000;

/** Stores a row. */
export async function proveStorage(storage: DurableObjectStorage): Promise<void> {
  storage.kv.put(KEY, Date.now());
  await storage.sync();
}

/** Stores more than the end of a session does, an alarm too, and deletes it again. */
export async function proveRoom(storage: DurableObjectStorage): Promise<void> {
  const alarm = new AlarmClock(storage);
  // At random, so that no file system makes it smaller.
  const bytes = new Uint8Array(MORE_BYTES);
  for (let at = 0; at < bytes.length; at += RANDOM_BYTES) {
    crypto.getRandomValues(bytes.subarray(at, at + RANDOM_BYTES));
  }
  storage.kv.put(KEY, bytes);
  alarm.wakeBy(Date.now() + HOUR_MS);
  await storage.sync();
  alarm.clear();
  void storage.deleteAll();
  await storage.sync();
}
