/** The SQL of a session's logs. */

/** `/v1` has its own table and the gateway another, each with bounds of its own: neither can trim the other's events. */
export type LogTable = "events" | "messages";

/** The column of what is stored with an event and sent to no reader: of a message, an event id of the upstream's stream. */
const ASIDE: Readonly<Record<LogTable, string>> = { events: "aside", messages: "upstream_id" };

/** The same text each time, so that SQLite finds each statement prepared. */
export function statementsOn(table: LogTable) {
  const aside = ASIDE[table];
  return {
    asideColumn: aside,
    exists: `SELECT sql FROM sqlite_master WHERE type = 'table' AND name = '${table}'`,
    create: `CREATE TABLE IF NOT EXISTS ${table} (
      seq INTEGER PRIMARY KEY,
      stream INTEGER NOT NULL,
      bytes_sum INTEGER NOT NULL,
      queue_from INTEGER NOT NULL,
      event TEXT,
      data TEXT NOT NULL,
      ${aside} TEXT
    )`,
    insert: `INSERT INTO ${table} (seq, stream, bytes_sum, queue_from, event, data) VALUES (?, ?, ?, ?, ?, ?)`,
    addAside: `ALTER TABLE ${table} ADD COLUMN ${aside} TEXT`,
    insertAside: `INSERT INTO ${table} (seq, stream, bytes_sum, queue_from, event, data, ${aside}) VALUES (?, ?, ?, ?, ?, ?, ?)`,
    aside: `SELECT ${aside} AS aside FROM ${table} WHERE stream = ? AND seq > ? AND ${aside} IS NOT NULL ORDER BY seq DESC LIMIT 1`,
    changeAside: `UPDATE ${table} SET ${aside} = ?, bytes_sum = ? WHERE seq = ?`,
    deleteBefore: `DELETE FROM ${table} WHERE seq < ?`,
    firstOfStream: `SELECT min(seq) AS first FROM ${table} WHERE stream = ? AND seq >= ?`,
    after: `SELECT seq, bytes_sum, queue_from, event, data FROM ${table} WHERE seq > ? AND stream = ? ORDER BY seq`,
    sumThrough: `SELECT bytes_sum FROM ${table} WHERE seq = ?`,
    last: `SELECT * FROM ${table} ORDER BY seq DESC LIMIT 1`,
    oldest: `SELECT * FROM ${table} ORDER BY seq LIMIT 1`,
  };
}
