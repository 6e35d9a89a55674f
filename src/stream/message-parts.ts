/**
 * The messages that are too large for a row of the log, in parts. The platform stores at most 2 MB
 * in a row, and a message may be as large as BODY_MAX_BYTES. The row of such a message holds an
 * empty text, which is no JSON-RPC message, so the mark needs no column.
 */

/** Bytes in UTF-8. A message of more is stored in parts. */
const LARGEST_ROW = 1024 * 1024;
/** UTF-16 units, at most three bytes each in UTF-8. */
const LARGEST_PART = 512 * 1024;

const IN_PARTS = "";

const EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'message_parts'";
/** Without a rowid a part is one row written; with one its index is a second. */
const CREATE = `CREATE TABLE IF NOT EXISTS message_parts (
  seq INTEGER NOT NULL,
  part INTEGER NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (seq, part)
) WITHOUT ROWID`;
const INSERT = "INSERT INTO message_parts (seq, part, data) VALUES (?, ?, ?)";
const SELECT = "SELECT data FROM message_parts WHERE seq = ? ORDER BY part";
const SIZE = "SELECT sum(length(CAST(data AS BLOB))) AS bytes FROM message_parts WHERE seq = ?";
const DELETE = "DELETE FROM message_parts WHERE seq < ?";

export class MessageParts {
  readonly #sql: SqlStorage;
  /** Only a table that was found counts: one that was made may be rolled back. */
  #isTableFound = false;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /**
   * Stores a message of this size that needs parts, in the calling code's transaction. Returns
   * the text for its row in the log.
   */
  store(seq: number, data: string, bytes: number): string {
    if (bytes <= LARGEST_ROW) return data;
    if (!this.#hasTable) this.#sql.exec(CREATE);
    partsOf(data).forEach((text, part) => this.#sql.exec(INSERT, seq, part, text));
    return IN_PARTS;
  }

  /** The message whose row in the log holds `row`. */
  read(seq: number, row: string): string {
    if (row !== IN_PARTS) return row;
    const parts = this.#sql.exec<{ data: string }>(SELECT, seq).toArray();
    return parts.map(({ data }) => data).join("");
  }

  /** Bytes in UTF-8 of a message in parts; undefined for one that is whole in its row. */
  bytesOf(seq: number, row: string): number | undefined {
    if (row !== IN_PARTS) return undefined;
    return this.#sql.exec<{ bytes: number | null }>(SIZE, seq).one().bytes ?? 0;
  }

  /** The messages before `first` are deleted. */
  deleteBefore(first: number): void {
    if (this.#hasTable) this.#sql.exec(DELETE, first);
  }

  get #hasTable(): boolean {
    return (this.#isTableFound ||= this.#sql.exec(EXISTS).toArray().length > 0);
  }
}

/** Cuts a text. No cut goes through a surrogate pair, half of which SQLite would store as U+FFFD. */
export function partsOf(data: string, most: number = LARGEST_PART): string[] {
  const parts: string[] = [];
  for (let from = 0; from < data.length;) {
    let to = Math.min(from + most, data.length);
    if (to < data.length && endsInHighSurrogate(data, to)) to--;
    parts.push(data.slice(from, to));
    from = to;
  }
  return parts;
}

function endsInHighSurrogate(text: string, end: number): boolean {
  const unit = text.charCodeAt(end - 1);
  return unit >= 0xd800 && unit <= 0xdbff;
}
