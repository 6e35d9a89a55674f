/**
 * The tables of one shard. An entry costs a row and one for each index that it is in, so there are as few indexes
 * as listings need: no counters are stored, and no index orders live entries by the time to drop them.
 */
import type { ShardRow } from "./contract.ts";
import type { SessionId } from "../core/id.ts";

export type Row = {
  id: string;
  ord: number;
  type: string | null;
  subject: string | null;
  created: number;
  expires: number;
  drop_at: number;
  renews: number | null;
  /** The order of the message that said so. A release that knows of no renewals writes past both, under another order. */
  renewed_by: number | null;
};

/** A removed session's row has type and subject NULL, so it is in `removed` alone. */
const TABLES = `
CREATE TABLE IF NOT EXISTS entries (
  id TEXT PRIMARY KEY,
  ord INTEGER NOT NULL,
  type TEXT,
  subject TEXT,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  drop_at INTEGER NOT NULL,
  renews INTEGER,
  renewed_by INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_type ON entries (type, created DESC, id DESC) WHERE type IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_subject ON entries (subject, type, created DESC, id DESC) WHERE subject IS NOT NULL;
CREATE INDEX IF NOT EXISTS removed ON entries (drop_at) WHERE type IS NULL;
DROP INDEX IF EXISTS by_drop;`;

/**
 * Version 0.1 wrote counters into a table of this name, and may run the shard again after a roll-back. It reads the
 * true counts from this view, which drops what it writes. Made last: a shard with this view has all of the above.
 */
const COUNTS = `
CREATE VIEW counts (subject, by_type) AS
  SELECT '', json_group_array(json_array(type, n)) FROM (
    SELECT type, count(*) AS n FROM entries WHERE type IS NOT NULL GROUP BY type
  ) HAVING count(*) > 0
  UNION ALL
  SELECT subject, json_group_array(json_array(type, n)) FROM (
    SELECT subject, type, count(*) AS n FROM entries WHERE subject IS NOT NULL GROUP BY subject, type
  ) GROUP BY subject;
CREATE TRIGGER counts_kept INSTEAD OF INSERT ON counts BEGIN SELECT 1; END;
CREATE TRIGGER counts_dropped INSTEAD OF DELETE ON counts BEGIN SELECT 1; END;`;

/**
 * Made once there are more types than a listing can merge: a merge reads a few rows of each. The
 * service has three types, so its shards do without, and write two rows less for each entry.
 */
const MANY_TYPES = `
CREATE INDEX IF NOT EXISTS by_created ON entries (created DESC, id DESC) WHERE type IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_subject_created ON entries (subject, created DESC, id DESC) WHERE subject IS NOT NULL;`;

/** The release before made the table without these columns. It names the columns that it writes, and reads past these. */
const RENEWALS = ["renews", "renewed_by"];

/** Makes what the shard does not have yet. Returns whether it has the indexes for many types. */
export function prepareShard(sql: SqlStorage): boolean {
  const made = new Map(
    sql
      .exec<{ name: string; type: string; sql: string }>(
        "SELECT name, type, sql FROM sqlite_master WHERE name IN ('entries', 'counts', 'by_subject_created')",
      )
      .toArray()
      .map((one) => [one.name, one]),
  );
  for (const column of RENEWALS) {
    const isMissing = made.get("entries")?.sql.includes(column) === false;
    if (isMissing) sql.exec(`ALTER TABLE entries ADD COLUMN ${column} INTEGER`);
  }
  if (made.get("counts")?.type !== "view") {
    sql.exec(TABLES);
    sql.exec("DROP TABLE IF EXISTS counts");
    sql.exec(COUNTS);
  }
  return made.has("by_subject_created");
}

export function indexManyTypes(sql: SqlStorage): void {
  sql.exec(MANY_TYPES);
}

/** Whether a row says of its session what another one does, whatever their orders. */
export function says(held: Row, { entry, renewMs }: ShardRow): boolean {
  if (!entry) return held.type === null;
  const { type, subject = "", createdAt, expiresAt } = entry;
  return (
    held.type === type &&
    (held.subject ?? "") === subject &&
    held.created === createdAt &&
    held.expires === expiresAt &&
    renewalOf(held) === renewMs
  );
}

/** Reads a row into the form in which shards send it to each other. */
export function shardRow(row: Row): ShardRow {
  const { id, ord: order, drop_at: dropAt, type, subject } = row;
  const renewMs = renewalOf(row);
  if (type === null) return { id, order, dropAt };
  return {
    id,
    order,
    dropAt,
    entry: {
      // Sessions send canonical ids alone.
      id: id as SessionId,
      type,
      ...(subject !== null && { subject }),
      createdAt: row.created,
      expiresAt: row.expires,
    },
    ...(renewMs !== undefined && { renewMs }),
  };
}

/** The TTL of a row's entry, in milliseconds, if it renews itself. */
function renewalOf({ ord, renews, renewed_by: by }: Row): number | undefined {
  return by === ord ? (renews ?? undefined) : undefined;
}
