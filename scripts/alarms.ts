/**
 * workerd keeps the times of all alarms of a class in one database, `metadata.sqlite`. It does not
 * start if that is damaged; if that is missing it makes an empty one, and then no object that sleeps
 * wakes again. The database holds nothing that the objects do not store too, so it can be made again.
 * Before workerd starts, the holder of the folder's lock calls this.
 */
import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { describeFailure, type Logger } from "../src/logger.ts";
import { ALARMS_FILE, BESIDE, isObjectFile, objectFolders } from "./object-folders.ts";
import { openDatabase } from "./sqlite.ts";

/** As workerd makes it. Times are nanoseconds since the epoch. */
const TABLE = `CREATE TABLE _cf_ALARM (
  actor_id TEXT PRIMARY KEY,
  scheduled_time INTEGER,
  actor_name TEXT
) WITHOUT ROWID`;

const HAS_TABLE = "SELECT 1 FROM sqlite_schema WHERE name = '_cf_ALARM'";

/** Where an object stores its own alarm. */
const OWN_ALARM = "SELECT value AS due FROM _cf_METADATA WHERE key = 1";

const NS_PER_MS = 1_000_000n;

/** Files that an object has open while its alarm runs, and for some seconds after. */
const FILES_PER_ALARM = 4;
/** Milliseconds for which an object stays in memory after its alarm. */
const AWAKE_MS = 12_000;

interface AlarmOptions {
  /** How many files workerd may have open; undefined: no limit. */
  readonly openFilesLimit: number | undefined;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Rebuilds databases of alarms that are damaged or missing, and spreads alarms that would all fire at the start. */
export function mendAlarms(stateDir: string, options: AlarmOptions): void {
  for (const folder of objectFolders(stateDir)) {
    const file = join(folder, ALARMS_FILE);
    const damage = existsSync(file) ? damageOf(file) : MISSING;
    const isEmpty = damage === MISSING && !readdirSync(folder).some(isObjectFile);
    if (damage !== undefined && !isEmpty) makeAnew(folder, damage, options);
    if (!existsSync(file)) continue;
    try {
      spreadOverdue(file, options);
    } catch (failure) {
      // For example on a full disk. Then the alarms fire at once.
      options.log.warn("alarms.not_spread", { cause: describeFailure(failure) });
    }
  }
}

const MISSING = "the alarms are missing";

/** The damage of the database in words; undefined if it has none. */
function damageOf(file: string): string | undefined {
  try {
    return within(file, (database) => {
      const [verdict] = database.prepare("PRAGMA quick_check(1)").all();
      const said = String(verdict?.["quick_check"]);
      if (said !== "ok") return said;
      if (!database.prepare(HAS_TABLE).get()) return MISSING;
      database.prepare("SELECT actor_id, scheduled_time FROM _cf_ALARM LIMIT 1").get();
      return undefined;
    });
  } catch (failure) {
    return describeFailure(failure);
  }
}

/**
 * Makes the database from the alarms that the objects store, and moves the damaged one aside. If this
 * is killed at any point, the next start finds the database whole, damaged or missing.
 */
function makeAnew(folder: string, damage: string, { log, now }: AlarmOptions): void {
  const file = join(folder, ALARMS_FILE);
  const making = `${file}.making`;
  for (const suffix of ["", "-journal"]) rmSync(making + suffix, { force: true });
  const unreadable: string[] = [];
  const alarms = within(making, (database) => {
    database.exec(`BEGIN; ${TABLE}`);
    const insert = database.prepare("INSERT INTO _cf_ALARM VALUES (?, ?, NULL)");
    let count = 0;
    for (const name of readdirSync(folder).filter(isObjectFile)) {
      try {
        const due = alarmIn(join(folder, name));
        if (due === undefined) continue;
        insert.run(basename(name, ".sqlite"), due);
        count++;
      } catch {
        unreadable.push(name);
      }
    }
    database.exec("COMMIT");
    return count;
  });
  for (const suffix of ["", ...BESIDE]) {
    if (existsSync(file + suffix)) renameSync(file + suffix, `${file}.damaged-${now}${suffix}`);
  }
  renameSync(making, file);
  const where = join(basename(folder), ALARMS_FILE);
  log.error("storage.damaged", { file: where, cause: `Error: ${damage}` });
  log.warn("storage.mended", { file: where, alarms });
  for (const name of unreadable) {
    const cause = "Error: cannot be read";
    log.error("storage.damaged", { file: join(basename(folder), name), cause });
  }
}

function alarmIn(file: string): bigint | undefined {
  return within(file, (database) => {
    const has = "SELECT 1 FROM sqlite_schema WHERE name = '_cf_METADATA'";
    if (!database.prepare(has).get()) return undefined;
    const due = database.prepare(OWN_ALARM).get()?.["due"];
    return typeof due === "bigint" ? due : undefined;
  });
}

/**
 * At its start workerd fires every alarm that is due, each in an object that has files open. If that
 * would be too many files, this spreads the alarms over time. An object does what is due when its
 * alarm fires or when it is used, whichever comes first.
 */
function spreadOverdue(file: string, { openFilesLimit, log, now }: AlarmOptions): void {
  if (openFilesLimit === undefined) return;
  const atOnce = Math.floor(openFilesLimit / 4 / FILES_PER_ALARM);
  within(file, (database) => {
    if (!database.prepare(HAS_TABLE).get()) return;
    const overdue = database
      .prepare(
        "SELECT actor_id AS id FROM _cf_ALARM WHERE scheduled_time <= ? ORDER BY scheduled_time",
      )
      .all(BigInt(now) * NS_PER_MS);
    if (overdue.length <= atOnce) return;
    const update = database.prepare("UPDATE _cf_ALARM SET scheduled_time = ? WHERE actor_id = ?");
    database.exec("BEGIN");
    for (const [n, { id }] of overdue.entries()) {
      const due = BigInt(Math.floor(now + (n * AWAKE_MS) / atOnce)) * NS_PER_MS;
      update.run(due, String(id));
    }
    database.exec("COMMIT");
    const overMs = Math.floor((overdue.length * AWAKE_MS) / atOnce);
    log.info("alarms.spread", { alarms: overdue.length, overMs });
  });
}

function within<T>(file: string, work: (database: DatabaseSync) => T): T {
  const database = openDatabase(file, { readBigInts: true });
  try {
    return work(database);
  } finally {
    database.close();
  }
}
