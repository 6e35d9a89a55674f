/** The rows of a session's exchanges: an object that was restarted reads its own, and those of an older version. */
import { env, runInDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import { ExchangeTable } from "../../src/gateway/object/exchange-table.ts";
import type { SessionObject } from "../../src/session/session-object.ts";

const namespace = (env as unknown as { SESSIONS: DurableObjectNamespace<SessionObject> }).SESSIONS;

/** Runs within an object of its own. */
const inObject = <T>(work: (storage: DurableObjectStorage) => T): Promise<T> =>
  runInDurableObject(namespace.get(namespace.newUniqueId()), (_object, { storage }) =>
    work(storage),
  );

const ids = Array.from({ length: 100 }, (_, n) => JSON.stringify(`${n}-`.padEnd(190, "x")));

it("an answer to one of a batch writes one row, and no id of the others", async () => {
  await inObject(({ sql }) => {
    const table = new ExchangeTable(sql);
    const exchange = table.begin(ids, false);
    const rows = countRows(sql);
    for (let n = 1; n < ids.length; n++) {
      table.savePending(exchange, ids.slice(n));
      const written = sql.exec<{ places: string }>("SELECT places FROM exchanges_left").one();
      expect(written.places.length).toBeLessThanOrEqual(400);
      expect(new ExchangeTable(sql).open()).toEqual([{ ...exchange, pending: ids.slice(n) }]);
    }
    expect(rows()).toBe(99);
    table.savePending(exchange, []);
    expect(rows()).toBe(101);
    expect(table.isOpen(exchange.stream)).toBe(false);
    expect(new ExchangeTable(sql).open()).toEqual([]);
    expect(new ExchangeTable(sql).knows(exchange.stream)).toBe(true);
  });
});

it("a single request writes a row when it begins and a row when it ends", async () => {
  await inObject(({ sql }) => {
    const table = new ExchangeTable(sql);
    table.savePending(table.begin(["1"], false), []);
    const rows = countRows(sql);
    const exchange = table.begin(["2"], false);
    table.savePending(exchange, []);
    // The one before, which was the newest, goes.
    expect(rows()).toBe(3);
    const tables = "SELECT name FROM sqlite_master WHERE name = 'exchanges_left'";
    expect(sql.exec(tables).toArray()).toEqual([]);
  });
});

it("reads the rows of an earlier version", async () => {
  await inObject(({ sql }) => {
    sql.exec(
      "CREATE TABLE exchanges (id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, owed TEXT NOT NULL)",
    );
    sql.exec("INSERT INTO exchanges VALUES (2, 2, '[1,\"b\"]'), (3, 1, '[7]')");
    const table = new ExchangeTable(sql);
    expect(table.open().map(({ id, pending }) => [id, pending])).toEqual([
      [2, ["1", '"b"']],
      [3, ["7"]],
    ]);
    for (const exchange of table.open()) table.savePending(exchange, []);
    expect(table.open()).toEqual([]);
    expect(table.begin(["8", "9"], false).id).toBe(4);
  });
});

/** Rows written from here on, by the statements that write. */
function countRows(sql: SqlStorage): () => number {
  const exec = sql.exec.bind(sql);
  let rows = 0;
  Object.defineProperty(sql, "exec", {
    configurable: true,
    value: (query: string, ...values: unknown[]) => {
      const cursor = exec(query, ...(values as SqlStorageValue[]));
      rows += cursor.rowsWritten;
      return cursor;
    },
  });
  return () => rows;
}
