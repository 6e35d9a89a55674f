/**
 * The storage of an object, in Node: SQLite as workerd has it, and its keys and alarm. It outlives the
 * object: `open` gives each life of it a storage of its own, which fails once that life is over.
 */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { deserialize, serialize } from "node:v8";

const KEYS = "CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID";

export interface Life {
  readonly storage: DurableObjectStorage;
  /** The object's memory is gone: what still runs of it stores nothing. */
  end(): void;
}

export class ObjectStorage {
  #db = ObjectStorage.#empty();
  /** Milliseconds since the epoch. */
  alarm: number | null = null;

  static #empty(): DatabaseSync {
    const db = new DatabaseSync(":memory:");
    db.exec(KEYS);
    return db;
  }

  /** The storage as one life of the object sees it. */
  open(): Life {
    let isOver = false;
    const here = (): DatabaseSync => {
      if (isOver) throw new Error("the object has left memory");
      return this.#db;
    };
    const setAlarm = (at: number | Date | null): Promise<void> => {
      here();
      this.alarm = at === null ? null : Number(at);
      return Promise.resolve();
    };
    const storage = {
      sql: { exec: (query: string, ...given: SQLInputValue[]) => cursor(here(), query, given) },
      kv: keysOf(here),
      transactionSync: (work: () => unknown) => transaction(here(), work),
      sync: async () => void here(),
      setAlarm,
      getAlarm: async () => this.alarm,
      deleteAlarm: () => setAlarm(null),
      deleteAll: async () => {
        here();
        this.#db = ObjectStorage.#empty();
      },
    };
    // All of the platform's storage that an object uses.
    return {
      storage: storage as unknown as DurableObjectStorage,
      end: () => void (isOver = true),
    };
  }

  /** Every row of every table, to compare. */
  rows(): Record<string, unknown[]> {
    const tables = this.#db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    return Object.fromEntries(
      tables.map(({ name }) => [String(name), this.#db.prepare(`SELECT * FROM ${name}`).all()]),
    );
  }
}

function cursor(db: DatabaseSync, query: string, given: readonly SQLInputValue[]) {
  const rows = rowsOf(db, query, given);
  return {
    toArray: () => rows,
    one: () => {
      if (rows.length !== 1) throw new Error(`expected one row, and there are ${rows.length}`);
      return rows[0];
    },
    [Symbol.iterator]: () => rows[Symbol.iterator](),
    rowsRead: rows.length,
    rowsWritten: 0,
  };
}

/** A query without values may hold several statements, as in workerd; it then gives no rows. */
function rowsOf(db: DatabaseSync, query: string, given: readonly SQLInputValue[]) {
  // Node's `prepare` reads the first statement, and drops the others without a word.
  if (given.length === 0 && /;\s*\S/.test(query)) {
    db.exec(query);
    return [];
  }
  return db
    .prepare(query)
    .all(...given)
    .map((row) => ({ ...row }));
}

function keysOf(here: () => DatabaseSync) {
  const valueIn = (row: Record<string, unknown> | undefined): unknown =>
    row && deserialize(row["value"] as Uint8Array);
  return {
    get: (key: string) =>
      valueIn(here().prepare("SELECT value FROM _cf_KV WHERE key = ?").get(key)),
    put: (key: string, value: unknown) =>
      void here().prepare("INSERT OR REPLACE INTO _cf_KV VALUES (?, ?)").run(key, serialize(value)),
    delete: (key: string) =>
      here().prepare("DELETE FROM _cf_KV WHERE key = ?").run(key).changes > 0,
    list: ({ prefix = "" }: { prefix?: string } = {}) =>
      here()
        .prepare("SELECT key, value FROM _cf_KV ORDER BY key")
        .all()
        .filter(({ key }) => String(key).startsWith(prefix))
        .map((row) => [row["key"], valueIn(row)]),
  };
}

let depth = 0;

function transaction<T>(db: DatabaseSync, work: () => T): T {
  const name = `t${++depth}`;
  db.exec(`SAVEPOINT ${name}`);
  try {
    const made = work();
    db.exec(`RELEASE ${name}`);
    return made;
  } catch (failure) {
    db.exec(`ROLLBACK TO ${name}`);
    db.exec(`RELEASE ${name}`);
    throw failure;
  } finally {
    depth--;
  }
}
