import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it } from "vitest";
import { mendAlarms } from "../../../scripts/alarms.ts";
import { createLogger } from "../../../src/logger.ts";

const NOW = Date.UTC(2026, 10, 29);

let stateDir: string;
let folder: string;
let lines: Record<string, unknown>[];
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), "holdfast-alarms-"));
  folder = join(stateDir, "objects", "SessionObject");
  mkdirSync(folder, { recursive: true });
  lines = [];
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const file = () => join(folder, "metadata.sqlite");
const idOf = (n: number) => n.toString(16).padStart(64, "0");
const ns = (ms: number) => BigInt(ms) * 1_000_000n;

const mend = (openFilesLimit?: number) =>
  mendAlarms(stateDir, {
    openFilesLimit,
    now: NOW,
    log: createLogger("info", (line) => {
      const { time: _time, ...fields } = JSON.parse(line) as Record<string, unknown>;
      lines.push(fields);
    }),
  });

function object(n: number, dueMs?: number): void {
  const database = new DatabaseSync(join(folder, `${idOf(n)}.sqlite`));
  if (dueMs !== undefined) {
    database.exec("CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB)");
    database.prepare("INSERT INTO _cf_METADATA VALUES (1, ?)").run(ns(dueMs));
  }
  database.close();
}

function alarmsAt(...dueMs: number[]): void {
  const database = new DatabaseSync(file());
  database.exec(
    "CREATE TABLE _cf_ALARM (actor_id TEXT PRIMARY KEY, scheduled_time INTEGER, actor_name TEXT) WITHOUT ROWID",
  );
  for (const [n, due] of dueMs.entries()) {
    database.prepare("INSERT INTO _cf_ALARM VALUES (?, ?, 'name')").run(idOf(n), ns(due));
  }
  database.close();
}

function tables(sql: string): void {
  const database = new DatabaseSync(file());
  database.exec(sql);
  database.close();
}

function alarms(): Record<string, number> {
  const database = new DatabaseSync(file(), { readBigInts: true });
  const rows = database.prepare("SELECT * FROM _cf_ALARM").all();
  database.close();
  return Object.fromEntries(
    rows.map((row) => [
      String(row["actor_id"]),
      Number(BigInt(String(row["scheduled_time"])) / 1_000_000n),
    ]),
  );
}

it.each([
  ["is no database", () => writeFileSync(file(), "garbage".repeat(1000))],
  [
    "is cut in half",
    () => (alarmsAt(NOW), writeFileSync(file(), "SQLite format 3\0".padEnd(2048))),
  ],
  ["has no table, as after a kill", () => tables("PRAGMA user_version = 1")],
  ["has another table of that name", () => tables("CREATE TABLE _cf_ALARM (other)")],
])("makes a database of alarms anew that %s, from the objects' own", (_what, damage) => {
  object(1, NOW + 5000);
  object(2, NOW - 5000);
  object(3);
  writeFileSync(join(folder, `${idOf(4)}.sqlite`), "garbage".repeat(1000));
  damage();
  mend();
  expect(alarms()).toEqual({ [idOf(1)]: NOW + 5000, [idOf(2)]: NOW - 5000 });
  expect(lines).toEqual([
    {
      level: "error",
      event: "storage.damaged",
      file: "SessionObject/metadata.sqlite",
      cause: expect.stringMatching(/^Error: /),
    },
    { level: "warn", event: "storage.mended", file: "SessionObject/metadata.sqlite", alarms: 2 },
    expect.objectContaining({ event: "storage.damaged", file: `SessionObject/${idOf(4)}.sqlite` }),
  ]);
  // The damaged files are kept, to be looked at.
  expect(readdirSync(folder).filter((name) => name.includes("damaged"))).toHaveLength(1);
});

it("makes one that is missing where there are objects, past the rest of a try that was killed", () => {
  object(1, NOW + 5000);
  writeFileSync(`${file()}.making`, "garbage".repeat(1000));
  // A write-ahead log of another database would be taken for its own.
  writeFileSync(`${file()}-wal`, "garbage");
  mend();
  expect(alarms()).toEqual({ [idOf(1)]: NOW + 5000 });
  expect(lines.map(({ event }) => event)).toEqual(["storage.damaged", "storage.mended"]);
  const names = ["metadata.sqlite", `metadata.sqlite.damaged-${NOW}-wal`, `${idOf(1)}.sqlite`];
  expect(readdirSync(folder).toSorted()).toEqual(names.toSorted());
});

it("leaves the damaged one in its place until the new one is whole", () => {
  object(1, NOW + 5000);
  writeFileSync(file(), "garbage".repeat(1000));
  // A folder cannot be removed or written like a file.
  mkdirSync(`${file()}.making`);
  expect(() => mend()).toThrow();
  expect(readFileSync(file(), "utf8")).toMatch(/^garbage/);
});

it("leaves a sound one as it is, and makes none where there are no objects", () => {
  mend(1000);
  expect(existsSync(file())).toBe(false);
  alarmsAt(NOW - 1000, NOW + 1000);
  mend(1000);
  expect(alarms()).toEqual({ [idOf(0)]: NOW - 1000, [idOf(1)]: NOW + 1000 });
  expect(lines).toEqual([]);
});

it("spreads alarms that are due if more files would be open than may be", () => {
  // The last id was due first.
  const due = Array.from({ length: 100 }, (_, n) => NOW - n);
  alarmsAt(...due, NOW + 1000);
  mend(512);
  const { [idOf(100)]: ahead, ...overdue } = alarms();
  expect(ahead).toBe(NOW + 1000);
  const times = Object.values(overdue).toSorted((a, b) => a - b);
  expect(times[0]).toBe(NOW);
  // 512 / 4 / 4 at a time, each awake for 12 s; in the order in which they were due.
  for (let n = 0; n + 32 < times.length; n++) {
    expect(Number(times[n + 32]) - Number(times[n])).toBeGreaterThanOrEqual(11_999);
  }
  expect([overdue[idOf(99)], overdue[idOf(0)]]).toEqual([times[0], times[99]]);
  expect(lines).toEqual([
    { level: "info", event: "alarms.spread", alarms: 100, overMs: expect.any(Number) },
  ]);
});

it("leaves them if as many files may be open", () => {
  const due = Array.from({ length: 100 }, (_, n) => NOW - 100 + n);
  alarmsAt(...due);
  mend(20_000);
  mend(undefined);
  expect(Object.values(alarms()).toSorted((a, b) => a - b)).toEqual(due);
});
