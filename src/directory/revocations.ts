/**
 * Ends the sessions of revoked subjects, page by page. A revocation is a row, so
 * it goes on after an eviction; what it has done is gone from the index, so it
 * starts again from the top without harm. For a while after its last session it
 * also ends those whose entry comes late, because their outbox was waiting.
 */
import { REVOCATION_MEMORY_MS, REVOKE_BATCH } from "../core/limits.ts";
import {
  positionOf,
  type DirectoryEntry,
  type HandedRevocation,
  type Position,
  type RevokeIf,
} from "./contract.ts";
import { retryTime } from "./staleness.ts";
import type { ShardIndex } from "./shard-index.ts";

const SCHEMA = `CREATE TABLE IF NOT EXISTS revocations (
  subject TEXT PRIMARY KEY,
  at INTEGER NOT NULL,
  next INTEGER,
  forget_at INTEGER NOT NULL
) WITHOUT ROWID`;

/** After every id of its millisecond in a listing, which is newest first. */
const LAST_ID = "~";

/** How far a revocation has come, and whether a session on the way could not be ended. */
interface Walk {
  after: Position;
  failed: boolean;
}

type Row = { subject: string; at: number; forget_at: number };

/** Ends one session if it fits. Rejects where that is not known to have happened. */
type EndSession = (id: string, condition: RevokeIf) => Promise<unknown>;

export class Revocations {
  readonly #sql: SqlStorage;
  readonly #index: ShardIndex;
  readonly #end: EndSession;
  /** The walks under way. One that is not here any more has been overtaken by a newer wish. */
  readonly #walks = new Map<string, Walk>();

  constructor(sql: SqlStorage, index: ShardIndex, end: EndSession) {
    this.#sql = sql;
    this.#index = index;
    this.#end = end;
    const [table] = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'revocations'");
    if (!table) sql.exec(SCHEMA);
  }

  /** Begins a revocation, or moves one that is known to a later `at`. */
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

  /** Takes what another shard knows of. What is known here already does not begin again. */
  absorb(revocations: readonly HandedRevocation[], now: number): void {
    for (const { subject, at } of revocations) {
      const held = this.#row(subject);
      if (!held || held.at < at) this.begin(subject, at, now);
      // Its rows are still to come, so it must not be forgotten before them.
      else
        this.#sql.exec(
          "UPDATE revocations SET forget_at = ? WHERE subject = ?",
          now + REVOCATION_MEMORY_MS,
          subject,
        );
    }
  }

  /** Up to `limit` of those known here, in the order of subjects, after one. */
  known(after: string, limit: number): HandedRevocation[] {
    return this.#sql
      .exec<{ subject: string; at: number }>(
        "SELECT subject, at FROM revocations WHERE subject > ? ORDER BY subject LIMIT ?",
        after,
        limit,
      )
      .toArray();
  }

  /** An entry has come. Answers whether it is one that a revocation missed. */
  catches({ subject, createdAt }: DirectoryEntry, now: number): boolean {
    if (subject === undefined) return false;
    const row = this.#row(subject);
    if (!row || createdAt > row.at) return false;
    this.#walks.delete(subject);
    this.#sql.exec("UPDATE revocations SET next = ? WHERE subject = ?", now, subject);
    return true;
  }

  /** When there is something to do; undefined where there is nothing. */
  nextWork(): number | undefined {
    const { at } = this.#sql
      .exec<{ at: number | null }>("SELECT min(coalesce(next, forget_at)) AS at FROM revocations")
      .one();
    return at ?? undefined;
  }

  /** One batch of what is due. */
  async work(now: number): Promise<void> {
    this.#sql.exec("DELETE FROM revocations WHERE next IS NULL AND forget_at <= ?", now);
    const [due] = this.#sql.exec<Row>(
      "SELECT * FROM revocations WHERE next <= ? ORDER BY next LIMIT 1",
      now,
    );
    if (due) await this.workOn(due.subject, now);
  }

  /** One batch of one subject. */
  async workOn(subject: string, now: number): Promise<void> {
    const row = this.#row(subject);
    if (!row) return;
    const walk = this.#walks.get(subject) ?? {
      after: { createdAt: row.at, id: LAST_ID },
      failed: false,
    };
    this.#walks.set(subject, walk);
    const page = this.#index.page({ subject }, walk.after, REVOKE_BATCH);
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

  /** Answers whether one or more could not be ended. */
  async #endAll(page: readonly DirectoryEntry[], row: Row, now: number): Promise<boolean> {
    const condition: RevokeIf = { subject: row.subject, createdBy: row.at };
    const results = await Promise.allSettled(
      page.map(async ({ id }) => {
        const order = this.#index.orderOf(id);
        await this.#end(id, condition);
        // Its own outbox will say so too; but a session that was no more says nothing.
        if (order !== undefined) this.#index.forget(id, order, now);
      }),
    );
    return results.some(({ status }) => status === "rejected");
  }
}
