/**
 * When the session was last used: exactly in memory, coarsely in storage. The
 * rules are those of `session/expiry.ts`; this keeps the two in step.
 */
import { creditUse, creditWhileInUse, lastUseOnLoad } from "../session/expiry.ts";
import type { RecordStore, StoredSession } from "./record.ts";

export class Use {
  readonly #records: RecordStore;
  readonly #moved: (now: number) => void;
  #lastUse: number;
  /** What is stored: up to when use has been credited. */
  #usedUntil: number;

  /** `moved` is called after each use: the session's deadline may be another. */
  constructor(
    records: RecordStore,
    session: StoredSession,
    now: number,
    moved: (now: number) => void,
  ) {
    this.#records = records;
    this.#moved = moved;
    this.#usedUntil = records.loadUsedUntil(session);
    this.#lastUse = lastUseOnLoad(this.#usedUntil, now);
  }

  /** Milliseconds since the epoch: exact while the object has been in memory since, else what was credited. */
  get lastUse(): number {
    return this.#lastUse;
  }

  /** Counts a use; writes a row only where no credit reaches it. */
  touch(now: number, ttlMs: number): void {
    this.#lastUse = Math.max(this.#lastUse, now);
    if (now > this.#usedUntil) this.#credit(creditUse(now, ttlMs));
    this.#moved(now);
  }

  /** Something holds the session open from `now` on. */
  hold(now: number, ttlMs: number): void {
    this.#lastUse = Math.max(this.#lastUse, now);
    const usedUntil = creditWhileInUse(now, ttlMs);
    if (usedUntil > this.#usedUntil) this.#credit(usedUntil);
    this.#moved(now);
  }

  /** Nothing holds it open any more: what was credited ahead for that is taken back. */
  release(now: number, ttlMs: number): void {
    this.#lastUse = now;
    if (this.#usedUntil > creditUse(now, ttlMs)) this.#credit(now);
    this.#moved(now);
  }

  /** The TTL has become shorter: what was credited ahead by the longer one is taken back. */
  shorten(now: number, ttlMs: number, inUse: boolean): void {
    this.#lastUse = now;
    const credit = inUse ? creditWhileInUse(now, ttlMs) : now;
    if (this.#usedUntil > credit) this.#credit(credit);
  }

  #credit(usedUntil: number): void {
    this.#usedUntil = usedUntil;
    this.#records.saveUsedUntil(usedUntil);
  }
}
