/**
 * The exchanges whose answers go to a stream, in SQLite: an object that was restarted answers
 * their clients from these rows. An exchange that is answered at once as JSON has no row.
 *
 * Only open exchanges and the newest one have rows; any older stream has ended.
 */
import { FIRST_EXCHANGE_STREAM, STANDALONE_STREAM } from "../contract.ts";
import { elementTexts } from "../../wire/json-text.ts";
import type { RequestId } from "../json-rpc.ts";

const TABLE_EXISTS = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'exchanges'";
const CREATE_TABLE = `CREATE TABLE IF NOT EXISTS exchanges (
  id INTEGER PRIMARY KEY,
  stream INTEGER NOT NULL,
  owed TEXT NOT NULL,
  upstream_id TEXT
)`;
const ADD_UPSTREAM_ID = "ALTER TABLE exchanges ADD COLUMN upstream_id TEXT";
/**
 * The requests of a batch that are left, as their places in the batch as it began: each answer writes
 * a few digits for each other request, and not its id.
 */
const LEFT_EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'exchanges_left'";
const CREATE_LEFT = `CREATE TABLE IF NOT EXISTS exchanges_left (
  id INTEGER PRIMARY KEY,
  places TEXT NOT NULL
)`;

export interface OpenExchange {
  readonly id: number;
  readonly stream: number;
  /** Its requests, as it began. The column is named `owed`. */
  readonly asked: readonly RequestId[];
  /** Requests that have not been answered. */
  readonly pending: readonly RequestId[];
  /** The event after which the upstream's stream could be resumed when the exchange began; its messages may have later ones. */
  readonly upstreamId?: string | undefined;
}

type Row = { id: number; stream: number; owed: string; upstream_id?: string | null };

const NONE_PENDING = "[]";

export class ExchangeTable {
  readonly #sql: SqlStorage;
  #hasTable: boolean;
  /** Tables of an earlier version lack the column. */
  #hasUpstreamIds = true;
  #hasLeftTable = false;
  #highest = FIRST_EXCHANGE_STREAM - 1;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    const [table] = sql.exec<{ sql: string }>(TABLE_EXISTS).toArray();
    this.#hasTable = table !== undefined;
    if (!table) return;
    this.#hasUpstreamIds = table.sql.includes("upstream_id");
    const [row] = sql.exec<{ id: number }>("SELECT id FROM exchanges ORDER BY id DESC LIMIT 1");
    if (row) this.#highest = row.id;
    this.#hasLeftTable = sql.exec(LEFT_EXISTS).toArray().length > 0;
  }

  /** The exchange with this id; undefined if it has ended. */
  find(id: number): OpenExchange | undefined {
    return this.open().find((one) => one.id === id);
  }

  open(): OpenExchange[] {
    if (!this.#hasTable) return [];
    const rows = this.#sql.exec<Row>("SELECT * FROM exchanges WHERE owed <> ?", NONE_PENDING);
    const left = this.#left();
    return rows.toArray().map(({ id, stream, owed: text, upstream_id: at }) => {
      const asked = elementTexts(text);
      const pending = left.get(id)?.flatMap((place) => asked[place] ?? []);
      return { id, stream, asked, pending: pending ?? asked, upstreamId: at ?? undefined };
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
    if (!this.#hasTable) return false;
    const open = "SELECT 1 FROM exchanges WHERE id = ? AND owed <> ?";
    return this.#sql.exec(open, stream, NONE_PENDING).toArray().length > 0;
  }

  /**
   * Begins an exchange with a stream of its own, or one that answers on the standalone stream.
   * `upstreamId`: see `OpenExchange`.
   */
  begin(pending: readonly RequestId[], standalone: boolean, upstreamId?: string): OpenExchange {
    if (this.#hasTable) this.#sql.exec("DELETE FROM exchanges WHERE owed = ?", NONE_PENDING);
    else this.#sql.exec(CREATE_TABLE);
    this.#hasTable = true;
    if (pending.length > 1 && !this.#hasLeftTable) {
      this.#sql.exec(CREATE_LEFT);
      this.#hasLeftTable = true;
    }
    const id = this.#highest + 1;
    const stream = standalone ? STANDALONE_STREAM : id;
    const owed = `[${pending.join(",")}]`;
    if (upstreamId === undefined) this.#save(id, stream, owed);
    else this.#saveResumable(id, stream, owed, upstreamId);
    this.#highest = id;
    return { id, stream, asked: pending, pending, upstreamId };
  }

  /** Stores where the upstream's stream can be resumed, for an exchange that began without that. */
  resumeAfter({ id, stream, asked }: OpenExchange, upstreamId: string): void {
    this.#saveResumable(id, stream, `[${asked.join(",")}]`, upstreamId);
  }

  /** Stores which requests still wait for an answer. With none left, the exchange has ended. */
  savePending({ id, stream, asked }: OpenExchange, pending: readonly RequestId[]): void {
    if (pending.length > 0) return this.#saveLeft(id, asked, new Set(pending));
    if (this.#hasLeftTable) this.#sql.exec("DELETE FROM exchanges_left WHERE id = ?", id);
    if (id === this.#highest) this.#save(id, stream, NONE_PENDING);
    else this.#sql.exec("DELETE FROM exchanges WHERE id = ?", id);
  }

  #save(id: number, stream: number, owed: string): void {
    const insert = "INSERT OR REPLACE INTO exchanges (id, stream, owed) VALUES (?, ?, ?)";
    this.#sql.exec(insert, id, stream, owed);
  }

  #saveResumable(id: number, stream: number, owed: string, upstreamId: string): void {
    if (!this.#hasUpstreamIds) this.#sql.exec(ADD_UPSTREAM_ID);
    this.#hasUpstreamIds = true;
    const insert =
      "INSERT OR REPLACE INTO exchanges (id, stream, owed, upstream_id) VALUES (?, ?, ?, ?)";
    this.#sql.exec(insert, id, stream, owed, upstreamId);
  }

  #saveLeft(id: number, asked: readonly RequestId[], left: ReadonlySet<RequestId>): void {
    const places = asked.flatMap((one, place) => (left.has(one) ? [place] : []));
    const insert = "INSERT OR REPLACE INTO exchanges_left (id, places) VALUES (?, ?)";
    this.#sql.exec(insert, id, JSON.stringify(places));
  }

  /** The places that are left, by the exchange. An exchange without an answer so far has no entry. */
  #left(): ReadonlyMap<number, readonly number[]> {
    if (!this.#hasLeftTable) return new Map();
    const select = "SELECT id, places FROM exchanges_left";
    const rows = this.#sql.exec<{ id: number; places: string }>(select).toArray();
    return new Map(rows.map(({ id, places }) => [id, JSON.parse(places) as number[]]));
  }
}
