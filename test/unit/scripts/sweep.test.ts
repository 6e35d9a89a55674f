/** Folders as workerd leaves them, with SQLite's own files. That workerd goes on is shown over real HTTP. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it, onTestFinished } from "vitest";
import { sweepAtRest, sweepRunning } from "../../../scripts/sweep.ts";

let stateDir: string;
let folder: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), "holdfast-sweep-"));
  folder = join(stateDir, "objects", "SessionObject");
  mkdirSync(folder, { recursive: true });
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

let made = 0;
const nextFile = () => join(folder, `${(made++).toString(16).padStart(64, "0")}.sqlite`);

/** An object's database, with so many rows; with none it has had some, as after `deleteAll`. */
function objectWith(rows: number): string {
  const file = nextFile();
  const database = new DatabaseSync(file);
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE _cf_KV (key TEXT, value BLOB)");
  for (let n = 0; n < rows; n++) database.exec(`INSERT INTO _cf_KV VALUES ('${n}', 'x')`);
  if (rows === 0) database.exec("DROP TABLE _cf_KV; VACUUM");
  database.close();
  return file;
}

/** A crash left what was written last in the file beside the database, which itself holds nothing. */
function crashedWith(rows: number): string {
  const file = nextFile();
  const database = new DatabaseSync(file);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; VACUUM");
  database.exec("PRAGMA wal_checkpoint(TRUNCATE); CREATE TABLE _cf_KV (key TEXT, value BLOB)");
  for (let n = 0; n < rows; n++) database.exec(`INSERT INTO _cf_KV VALUES ('${n}', 'x')`);
  if (rows === 0) database.exec("DROP TABLE _cf_KV");
  const copy = nextFile();
  for (const suffix of ["", "-wal"]) copyFileSync(file + suffix, copy + suffix);
  database.close();
  rmSync(file);
  return copy;
}

it("removes what holds nothing, and keeps what holds one row", async () => {
  const kept = [objectWith(1), objectWith(300), crashedWith(1)];
  const gone = [objectWith(0), objectWith(0), crashedWith(0)];
  const none = nextFile();
  writeFileSync(none, "");
  expect(await sweepAtRest(stateDir)).toBe(gone.length + 1);
  expect([...gone, none].filter(existsSync)).toEqual([]);
  for (const file of kept) {
    const database = new DatabaseSync(file);
    expect(database.prepare("SELECT count(*) AS n FROM _cf_KV").get()?.["n"]).toBeGreaterThan(0);
    database.close();
  }
});

it("keeps a database of one page with something in its schema", async () => {
  const file = nextFile();
  const database = new DatabaseSync(file);
  database.exec("CREATE VIEW something AS SELECT 1");
  database.close();
  expect(statSync(file).size).toBe(4096);
  expect(await sweepAtRest(stateDir)).toBe(0);
  expect(existsSync(file)).toBe(true);
});

it("leaves what is no object's file, and what it cannot read", async () => {
  const alarms = join(folder, "metadata.sqlite");
  copyFileSync(objectWith(0), alarms);
  const damaged = nextFile();
  writeFileSync(damaged, "x".repeat(4096));
  await sweepAtRest(stateDir);
  expect(readdirSync(folder).toSorted()).toEqual(
    [damaged, alarms].map((file) => file.slice(folder.length + 1)).toSorted(),
  );
  expect(readFileSync(damaged, "utf8")).toBe("x".repeat(4096));
});

it("leaves what it does not come to in its time", async () => {
  const file = objectWith(0);
  expect(await sweepAtRest(stateDir, -1)).toBe(0);
  expect(existsSync(file)).toBe(true);
});

it("has nothing to do before the first start", async () => {
  expect(await sweepAtRest(mkdtempSync(join(stateDir, "new-")))).toBe(0);
});

/** A process that has a file open. */
async function holderOf(file: string): Promise<number> {
  const child = spawn("sh", ["-c", `exec 7<"${file}"; echo ready; exec sleep 60`]);
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child.pid ?? 0;
}

const LATER = () => Date.now() + 3_600_000;

it("keeps, while the process runs, what that has open, what is new, and what a crash left", async () => {
  const open = objectWith(0);
  const closed = objectWith(0);
  const crashed = crashedWith(0);
  const pid = await holderOf(open);
  expect(await sweepRunning(stateDir, pid)).toBe(0);
  expect(existsSync(closed)).toBe(true);
  expect(await sweepRunning(stateDir, pid, LATER())).toBe(1);
  expect([open, closed, crashed].map(existsSync)).toEqual([true, false, true]);
});

it("lets the process go on", async () => {
  objectWith(0);
  const pid = await holderOf(objectWith(1));
  await sweepRunning(stateDir, pid, LATER());
  const state = /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  expect(state).not.toBe("T");
});

it("removes nothing if the process has gone, since another may have its place", async () => {
  const file = objectWith(0);
  const child = spawn("true");
  await once(child, "exit");
  expect(await sweepRunning(stateDir, child.pid ?? 0, LATER())).toBe(0);
  expect(existsSync(file)).toBe(true);
});
