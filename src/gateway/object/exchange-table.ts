/**
 * The exchanges whose answers go to a stream, in SQLite: an object that was restarted answers
 * their clients from these rows. An exchange that is answered at once as JSON has no row.
 *
 * Only open exchanges and the newest one have rows; any older stream has ended.
 */
import { FIRST_EXCHANGE_STREAM, STANDALONE_STREAM } from "../contract.ts";
import { elementTexts } from "../../wire/json-text.ts";
import type { RequestId } from "../json-rpc.ts";

const TABLE_EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'exchanges'";
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
    this.#tableExists = sql.exec(TABLE_EXISTS).toArray().length > 0;
    if (!this.#tableExists) return;
    const [row] = sql.exec<{ id: number }>("SELECT id FROM exchanges ORDER BY id DESC LIMIT 1");
    if (row) this.#highest = row.id;
  }

  open(): OpenExchange[] {
    if (!this.#tableExists) return [];
    const rows = this.#sql.exec<Row>("SELECT * FROM exchanges WHERE owed <> ?", NONE_PENDING);
    return rows.toArray().map(({ id, stream, owed }) => {
      return { id, stream, pending: elementTexts(owed) };
    });
  }

  /** Whether this stream was ever begun. */
  knows(stream: number): boolean {
    if (stream === STANDALONE_STREAM) return true;
    return stream >= FIRST_EXCHANGE_STREAM && stream <= this.#highest;
  }

  /** Whether more may come on this stream. */
  isOpen(stream: number): boolean {
    if (stream === STANDALONE_STREAM) return true;
    return this.open().some(({ id }) => id === stream);
  }

  /** Begins an exchange with a stream of its own, or one that answers on the standalone stream. */
  begin(pending: readonly RequestId[], standalone: boolean): OpenExchange {
    if (this.#tableExists) this.#sql.exec("DELETE FROM exchanges WHERE owed = ?", NONE_PENDING);
    else this.#sql.exec(CREATE_TABLE);
    this.#tableExists = true;
    const id = this.#highest + 1;
    const exchange = { id, stream: standalone ? STANDALONE_STREAM : id, pending };
    this.#save(exchange);
    this.#highest = id;
    return exchange;
  }

  /** Stores which requests are left to be answered. With none left, the exchange has ended. */
  savePending(exchange: OpenExchange, pending: readonly RequestId[]): void {
    if (pending.length > 0 || exchange.id === this.#highest) this.#save({ ...exchange, pending });
    else this.#sql.exec("DELETE FROM exchanges WHERE id = ?", exchange.id);
  }

  #save({ id, stream, pending }: OpenExchange): void {
    const insert = "INSERT OR REPLACE INTO exchanges (id, stream, owed) VALUES (?, ?, ?)";
    this.#sql.exec(insert, id, stream, `[${pending.join(",")}]`);
  }
}
