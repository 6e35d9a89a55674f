/**
 * The exchanges whose answers go to a stream, in SQLite: what an object that was
 * restarted needs to know to tell their clients. An exchange that is answered at
 * once as JSON has no row.
 *
 * Only open exchanges and the newest one have rows; any older stream has ended.
 */
import { FIRST_EXCHANGE_STREAM, STANDALONE_STREAM } from "../contract.ts";
import type { RequestId } from "../json-rpc.ts";

const CREATE_TABLE = `CREATE TABLE IF NOT EXISTS exchanges (
  id INTEGER PRIMARY KEY,
  stream INTEGER NOT NULL,
  owed TEXT NOT NULL
)`;

export interface OpenExchange {
  readonly id: number;
  readonly stream: number;
  /** Requests that have not been answered. */
  readonly pending: readonly RequestId[];
}

type Row = { id: number; stream: number; owed: string };

const NONE_PENDING = "[]";

export class ExchangeTable {
  readonly #sql: SqlStorage;
  #tableExists: boolean;
  #highest = FIRST_EXCHANGE_STREAM - 1;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.#tableExists =
      sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'exchanges'").toArray()
        .length > 0;
    if (!this.#tableExists) return;
    const [row] = sql.exec<{ id: number }>("SELECT id FROM exchanges ORDER BY id DESC LIMIT 1");
    if (row) this.#highest = row.id;
  }

  /** Those that were open when the object was loaded. */
  open(): OpenExchange[] {
    if (!this.#tableExists) return [];
    return this.#sql
      .exec<Row>("SELECT * FROM exchanges WHERE owed <> ?", NONE_PENDING)
      .toArray()
      .map(({ id, stream, owed }) => ({ id, stream, pending: JSON.parse(owed) as RequestId[] }));
  }

  /** Whether this stream was ever begun. */
  knows(stream: number): boolean {
    return (
      stream === STANDALONE_STREAM || (stream >= FIRST_EXCHANGE_STREAM && stream <= this.#highest)
    );
  }

  /** Whether more may come on this stream. */
  isOpen(stream: number): boolean {
    if (stream === STANDALONE_STREAM) return true;
    if (!this.#tableExists) return false;
    return (
      this.#sql
        .exec("SELECT 1 FROM exchanges WHERE id = ? AND owed <> ?", stream, NONE_PENDING)
        .toArray().length > 0
    );
  }

  /** Begins an exchange with a stream of its own, or one that answers on the standalone stream. */
  begin(pending: readonly RequestId[], standalone: boolean): OpenExchange {
    if (!this.#tableExists) {
      this.#sql.exec(CREATE_TABLE);
      this.#tableExists = true;
    } else this.#sql.exec("DELETE FROM exchanges WHERE owed = ?", NONE_PENDING);
    const id = this.#highest + 1;
    const exchange = { id, stream: standalone ? STANDALONE_STREAM : id, pending };
    this.#save(exchange);
    this.#highest = id;
    return exchange;
  }

  /** These requests are left to be answered; with none left, the exchange has ended. */
  savePending(exchange: OpenExchange, pending: readonly RequestId[]): void {
    if (pending.length > 0 || exchange.id === this.#highest) this.#save({ ...exchange, pending });
    else this.#sql.exec("DELETE FROM exchanges WHERE id = ?", exchange.id);
  }

  #save({ id, stream, pending }: OpenExchange): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO exchanges (id, stream, owed) VALUES (?, ?, ?)",
      id,
      stream,
      JSON.stringify(pending),
    );
  }
}
