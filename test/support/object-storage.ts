/**
 * The storage of an object, in Node: SQLite as workerd has it, with its keys and its alarm. It outlives
 * the object, and each life of that sees it through a storage of its own.
 */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { deserialize, serialize } from "node:v8";

type Row = Record<string, unknown>;

/** The tables of the object. Those of the platform begin with `_cf_`. */
const TABLES =
  "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*' ORDER BY name";

export class ObjectStorage {
  readonly #db = new DatabaseSync(":memory:");
  #depth = 0;
  /** Something was written that is not committed. */
  #isOpen = false;

  constructor() {
    this.#db.exec(
      `CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
       CREATE TABLE _cf_ALARM (at INTEGER);
       INSERT INTO _cf_ALARM VALUES (NULL)`,
    );
  }

  /** A storage for one life of the object, in which every write is durable at once. It fails after `end`. */
  open(): Life {
    let isOver = false;
    const here = () => {
      if (isOver) throw new Error("the object has left memory");
      return this;
    };
    const access: Access = {
      read: here,
      write: here,
      later: (work) => Promise.resolve(work()),
      sync: async () => void here(),
    };
    return { storage: storageOf(access), end: () => void (isOver = true) };
  }

  /** Holds back what is written from now on, until `commit`. */
  begin(): void {
    if (this.#isOpen) return;
    this.#db.exec("BEGIN");
    this.#isOpen = true;
  }

  commit(): void {
    if (this.#isOpen) this.#db.exec("COMMIT");
    this.#isOpen = false;
  }

  rollBack(): void {
    if (this.#isOpen) this.#db.exec("ROLLBACK");
    this.#isOpen = false;
    this.#depth = 0;
  }

  /**
   * Runs a query. Its rows come at once: an open cursor would hold up what follows. A query without
   * values may hold several statements, as in workerd; it then gives no rows.
   */
  run(query: string, ...values: readonly SQLInputValue[]): Row[] {
    // Node's `prepare` reads the first statement, and drops the others without a word.
    if (values.length === 0 && /;\s*\S/.test(query)) {
      this.#db.exec(query);
      return [];
    }
    return this.#db
      .prepare(query)
      .all(...values)
      .map((row) => ({ ...row }));
  }

  /** Does all of `work`, or nothing of it where it throws. */
  transact<T>(work: () => T): T {
    const name = `s${this.#depth++}`;
    this.#db.exec(`SAVEPOINT ${name}`);
    try {
      const result = work();
      this.#db.exec(`RELEASE ${name}`);
      return result;
    } catch (failure) {
      this.#db.exec(`ROLLBACK TO ${name}; RELEASE ${name}`);
      throw failure;
    } finally {
      this.#depth--;
    }
  }

  get(key: string): unknown {
    const [row] = this.run("SELECT value FROM _cf_KV WHERE key = ?", key);
    return row && deserialize(row["value"] as Uint8Array);
  }

  put(key: string, value: unknown): void {
    this.run("INSERT OR REPLACE INTO _cf_KV VALUES (?, ?)", key, serialize(value));
  }

  /** Returns whether there was such a key. */
  delete(key: string): boolean {
    return this.run("DELETE FROM _cf_KV WHERE key = ? RETURNING key", key).length > 0;
  }

  list(prefix = ""): [key: string, value: unknown][] {
    return this.run("SELECT key, value FROM _cf_KV ORDER BY key")
      .map(({ key, value }): [string, unknown] => [key as string, deserialize(value as Uint8Array)])
      .filter(([key]) => key.startsWith(prefix));
  }

  /** Milliseconds since the epoch. */
  get alarm(): number | null {
    return this.run("SELECT at FROM _cf_ALARM")[0]!["at"] as number | null;
  }

  set alarm(at: number | null) {
    this.run("UPDATE _cf_ALARM SET at = ?", at);
  }

  /** Drops everything but the alarm. */
  deleteAll(): void {
    for (const name of this.#tables) this.run(`DROP TABLE "${name}"`);
    this.run("DELETE FROM _cf_KV");
  }

  /** Every row of every table of the object. */
  rows(): Record<string, Row[]> {
    return Object.fromEntries(
      this.#tables.map((name) => [name, this.run(`SELECT * FROM ${name}`)]),
    );
  }

  /** The keys and the tables that the object has left, and its alarm if one is set. */
  get left(): string[] {
    const alarm = this.alarm === null ? [] : ["alarm"];
    return [...this.list().map(([key]) => key), ...this.#tables, ...alarm];
  }

  get #tables(): string[] {
    return this.run(TABLES).map(({ name }) => String(name));
  }
}

export interface Life {
  readonly storage: DurableObjectStorage;
  /** The object's memory is gone: what still runs of it stores nothing. */
  end(): void;
}

/** How a life of an object reaches its storage. */
export interface Access {
  /** Both throw once the life is over. */
  readonly read: () => ObjectStorage;
  readonly write: () => ObjectStorage;
  /** Work that answers by a promise. */
  readonly later: <T>(work: () => T) => Promise<T>;
  /** Settles when everything is durable that was stored. */
  readonly sync: () => Promise<void>;
}

/** All of the platform's storage that an object uses. */
export function storageOf({ read, write, later, sync }: Access): DurableObjectStorage {
  const storage = {
    kv: {
      get: (key: string) => read().get(key),
      put: (key: string, value: unknown) => write().put(key, value),
      delete: (key: string) => write().delete(key),
      list: ({ prefix = "" } = {}) => read().list(prefix),
    },
    sql: {
      exec: (query: string, ...values: readonly SQLInputValue[]) => {
        const isRead = /^\s*(SELECT|PRAGMA)/i.test(query);
        return cursor((isRead ? read() : write()).run(query, ...values));
      },
    },
    transactionSync: <T>(work: () => T) => write().transact(work),
    setAlarm: (at: number) => later(() => void (write().alarm = at)),
    getAlarm: () => later(() => read().alarm),
    deleteAlarm: () => later(() => void (write().alarm = null)),
    deleteAll: () => later(() => write().deleteAll()),
    sync,
  };
  return storage as unknown as DurableObjectStorage;
}

function cursor(rows: readonly Row[]) {
  const one = () => {
    if (rows.length !== 1) throw new Error(`expected one row, and there are ${rows.length}`);
    return rows[0];
  };
  const counts = { rowsRead: rows.length, rowsWritten: 0 };
  return { toArray: () => rows, one, [Symbol.iterator]: () => rows.values(), ...counts };
}
