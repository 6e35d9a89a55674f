/**
 * Ends the sessions of revoked subjects, page by page. A revocation is a row, so it goes on
 * after an eviction; the sessions that it has ended have left the index, so it can start again
 * from the top. The shard remembers it for longer than a session can live without a report, so it
 * also ends a session whose entry comes late.
 */
import { REVOCATION_MEMORY_MS, REVOKE_BATCH } from "../core/limits.ts";
import {
  positionOf,
  type DirectoryEntry,
  type Revocation,
  type Position,
  type RevokeIf,
} from "./contract.ts";
import { retryTime } from "./staleness.ts";
import type { ShardIndex } from "./shard-index.ts";

/** When the shard looks at a row next. An index orders the rows by it, since many may only be remembered. */
const DUE = "coalesce(next, forget_at)";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS revocations (
  subject TEXT PRIMARY KEY,
  at INTEGER NOT NULL,
  next INTEGER,
  forget_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS revocations_due ON revocations (${DUE});`;

/** After every id of its millisecond in a listing, which is newest first. */
const LAST_ID = "~";

/** How far a revocation has come, and whether it failed to end a session on the way. */
interface Walk {
  after: Position;
  failed: boolean;
}

type Row = { subject: string; at: number; forget_at: number };

/** Ends one session if it fits. Rejects if nobody knows whether it did. */
type EndSession = (id: string, condition: RevokeIf) => Promise<unknown>;

export class Revocations {
  readonly #sql: SqlStorage;
  readonly #index: ShardIndex;
  readonly #end: EndSession;
  /** The walks under way. A newer revocation of the subject removes its walk. */
  readonly #walks = new Map<string, Walk>();

  constructor(sql: SqlStorage, index: ShardIndex, end: EndSession) {
    this.#sql = sql;
    this.#index = index;
    this.#end = end;
    const [made] = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'revocations_due'");
    if (!made) sql.exec(SCHEMA);
  }

  /** Begins a revocation, or moves a known one to a later `at`. */
  begin(subject: string, at: number, now: number): void {
    this.#sql.exec(
      `INSERT INTO revocations (subject, at, next, forget_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (subject) DO UPDATE SET at = max(at, excluded.at),
         next = excluded.next, forget_at = excluded.forget_at`,
      subject,
      at,
      now,
      now + REVOCATION_MEMORY_MS,
    );
    this.#walks.delete(subject);
  }

  /** Takes another shard's revocations. A revocation that this shard knows already does not begin again. */
  absorb(revocations: readonly Revocation[], now: number): void {
    for (const { subject, at } of revocations) {
      const held = this.#row(subject);
      if (!held || held.at < at) this.begin(subject, at, now);
      // The other shard's rows come later. If this forgot the revocation before, their sessions would live on.
      else
        this.#sql.exec(
          "UPDATE revocations SET forget_at = ? WHERE subject = ?",
          now + REVOCATION_MEMORY_MS,
          subject,
        );
    }
  }

  /** Up to `limit` known revocations after a subject, in the order of subjects. */
  known(after: string, limit: number): Revocation[] {
    return this.#sql
      .exec<{ subject: string; at: number }>(
        "SELECT subject, at FROM revocations WHERE subject > ? ORDER BY subject LIMIT ?",
        after,
        limit,
      )
      .toArray();
  }

  /** Whether a revocation missed this entry, which has just come; the revocation then goes on. */
  catches({ subject, createdAt }: DirectoryEntry, now: number): boolean {
    if (subject === undefined) return false;
    const row = this.#row(subject);
    if (!row || createdAt > row.at) return false;
    this.#walks.delete(subject);
    this.#sql.exec("UPDATE revocations SET next = ? WHERE subject = ?", now, subject);
    return true;
  }

  /** When the next work is due; undefined if there is none. */
  nextWork(): number | undefined {
    const [first] = this.#sql.exec<{ at: number }>(
      `SELECT ${DUE} AS at FROM revocations ORDER BY ${DUE} LIMIT 1`,
    );
    return first?.at;
  }

  /** Does one batch of the revocation that is due. */
  async work(now: number): Promise<void> {
    this.#sql.exec(`DELETE FROM revocations WHERE ${DUE} <= ? AND next IS NULL`, now);
    const [due] = this.#sql.exec<Row>(
      `SELECT * FROM revocations WHERE ${DUE} <= ? ORDER BY ${DUE} LIMIT 1`,
      now,
    );
    if (due) await this.workOn(due.subject, now);
  }

  /** Does one batch of one subject. */
  async workOn(subject: string, now: number): Promise<void> {
    const row = this.#row(subject);
    if (!row) return;
    const walk = this.#walks.get(subject) ?? {
      after: { createdAt: row.at, id: LAST_ID },
      failed: false,
    };
    this.#walks.set(subject, walk);
    const page = this.#index.page({ subject }, walk.after, REVOKE_BATCH, now);
    if (await this.#endAll(page, row, now)) walk.failed = true;
    if (this.#walks.get(subject) !== walk) return;
    const last = page.at(-1);
    if (last && page.length === REVOKE_BATCH) {
      walk.after = positionOf(last);
      return;
    }
    this.#walks.delete(subject);
    const next = walk.failed ? retryTime(row.forget_at - REVOCATION_MEMORY_MS, now) : null;
    this.#sql.exec("UPDATE revocations SET next = ? WHERE subject = ?", next, subject);
  }

  #row(subject: string): Row | undefined {
    return this.#sql.exec<Row>("SELECT * FROM revocations WHERE subject = ?", subject).toArray()[0];
  }

  /** Returns whether it failed to end one or more. */
  async #endAll(page: readonly DirectoryEntry[], row: Row, now: number): Promise<boolean> {
    const condition: RevokeIf = { subject: row.subject, createdBy: row.at };
    const results = await Promise.allSettled(
      page.map(async ({ id }) => {
        const order = this.#index.orderOf(id);
        await this.#end(id, condition);
        // The session's outbox sends a removal too, but a session that did not exist has no outbox.
        if (order !== undefined) this.#index.forget(id, order, now);
      }),
    );
    return results.some(({ status }) => status === "rejected");
  }
}
