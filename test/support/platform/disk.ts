/**
 * The storage of one object in Node: SQLite in memory, which outlives the object. A write of the
 * object is open until the disk commits it, and is gone if the object dies before.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { deserialize, serialize } from "node:v8";

const ALARM = "alarm";

export class Disk {
  readonly #db = new DatabaseSync(":memory:");
  readonly #statements = new Map<string, StatementSync>();
  #depth = 0;
  /** Something was written that is not committed. */
  isOpen = false;

  constructor() {
    this.#makeTables();
  }

  begin(): void {
    if (this.isOpen) return;
    this.#db.exec("BEGIN");
    this.isOpen = true;
  }

  commit(): void {
    if (this.isOpen) this.#db.exec("COMMIT");
    this.isOpen = false;
  }

  rollBack(): void {
    if (this.isOpen) this.#db.exec("ROLLBACK");
    this.isOpen = false;
    this.#depth = 0;
  }

  /** Runs statements. Rows come at once: an open cursor would hold up what follows. */
  run(query: string, values: readonly unknown[]): Record<string, unknown>[] {
    if (values.length === 0 && /;\s*\S/.test(query)) {
      this.#db.exec(query);
      return [];
    }
    const statement = this.#statements.get(query) ?? this.#db.prepare(query);
    this.#statements.set(query, statement);
    return statement.all(...(values as SQLInputValue[])) as Record<string, unknown>[];
  }

  transact<T>(work: () => T): T {
    const name = `s${this.#depth++}`;
    this.#db.exec(`SAVEPOINT ${name}`);
    try {
      const result = work();
      this.#db.exec(`RELEASE ${name}`);
      return result;
    } catch (failure) {
      this.#db.exec(`ROLLBACK TO ${name}`);
      this.#db.exec(`RELEASE ${name}`);
      throw failure;
    } finally {
      this.#depth--;
    }
  }

  get(key: string): unknown {
    const [row] = this.run("SELECT value FROM _cf_KV WHERE key = ?", [key]);
    return row && deserialize(row["value"] as Uint8Array);
  }

  put(key: string, value: unknown): void {
    this.run("INSERT OR REPLACE INTO _cf_KV VALUES (?, ?)", [key, serialize(value)]);
  }

  delete(key: string): void {
    this.run("DELETE FROM _cf_KV WHERE key = ?", [key]);
  }

  list(prefix = ""): [string, unknown][] {
    return this.run("SELECT key, value FROM _cf_KV ORDER BY key", [])
      .map(({ key, value }): [string, unknown] => [key as string, deserialize(value as Uint8Array)])
      .filter(([key]) => key.startsWith(prefix));
  }

  /** Milliseconds since the epoch. */
  get alarm(): number | null {
    const [row] = this.run("SELECT at FROM _cf_ALARM WHERE name = ?", [ALARM]);
    return (row?.["at"] as number | undefined) ?? null;
  }

  set alarm(at: number | null) {
    if (at === null) this.run("DELETE FROM _cf_ALARM", []);
    else this.run("INSERT OR REPLACE INTO _cf_ALARM VALUES (?, ?)", [ALARM, at]);
  }

  /** Drops everything but the alarm. */
  deleteAll(): void {
    const tables = "SELECT name FROM sqlite_master WHERE type = 'table'";
    for (const { name } of this.run(tables, [])) {
      if (name === "_cf_ALARM" || String(name).startsWith("sqlite_")) continue;
      this.#db.exec(`DROP TABLE "${String(name)}"`);
    }
    this.#statements.clear();
    this.#makeTables();
  }

  /** The keys and the tables that an object has left. */
  get left(): string[] {
    const tables = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    const names = this.run(tables, []).map(({ name }) => String(name));
    return [
      ...this.list().map(([key]) => key),
      ...names.filter((name) => !/^_cf_|^sqlite_/.test(name)),
    ];
  }

  #makeTables(): void {
    this.#db.exec(
      `CREATE TABLE IF NOT EXISTS _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
       CREATE TABLE IF NOT EXISTS _cf_ALARM (name TEXT PRIMARY KEY, at INTEGER) WITHOUT ROWID`,
    );
  }
}
