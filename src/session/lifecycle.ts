/**
 * The life of one session: whether there is one, and all that makes, changes and
 * ends it. What is held in memory and what is stored change together here, and so do
 * the alarm that ends the session and what the directory is to be told of it.
 *
 * No method awaits between its checks and its writes.
 */
import type { DirectoryClient } from "../directory/client.ts";
import type { Logger } from "../logger.ts";
import { owns, type Caller } from "../core/caller.ts";
import { contentProblem } from "../core/content.ts";
import {
  expiryVerdict,
  type ExpiryVerdict,
  creditUse,
  creditWhileInUse,
  lastUseOnLoad,
} from "../core/expiry.ts";
import type { SessionContent, SessionView } from "../core/host.ts";
import { redactSessionId, type SessionId } from "../core/id.ts";
import { refuse, succeed, type Outcome } from "../core/errors.ts";
import { AlarmClock } from "../alarm-clock.ts";
import { EventLog, type EventLogLimits } from "../stream/event-log.ts";
import type { StreamState, StoredChannel } from "../stream/channel.ts";
import { Outbox } from "../directory/outbox.ts";
import type { RecordStore, StoredSession } from "./record.ts";
import { newRecord, listedAs, viewOf } from "./record-changes.ts";

/**
 * When the session was last used: exactly in memory, coarsely in storage. The
 * rules are those of `session/expiry.ts`; this keeps the two in step.
 */
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

/** A session that exists, as its object holds it in memory. */
export interface LiveSession extends StreamState {
  record: StoredSession;
  readonly use: Use;
}

export type EndReason = "expired" | "deleted";

export interface LifecycleParts {
  readonly ctx: DurableObjectState;
  readonly records: RecordStore;
  readonly directory: DirectoryClient | undefined;
  readonly limits: EventLogLimits;
  readonly log: Logger;
  /** Whether something holds the session open at this very moment. */
  readonly inUse: () => boolean;
  /** Writers of the session's own stream. */
  readonly writers: () => number;
  /** A session was found in storage: the object has started anew. */
  readonly found: () => void;
  /** The session ends: called before anything of it is removed. */
  readonly ending: (session: LiveSession, reason: EndReason) => void;
}

export class Lifecycle {
  readonly #parts: LifecycleParts;
  readonly #alarm: AlarmClock;
  readonly #outbox: Outbox;
  /** Undefined: not looked for yet. Null: there is no session. */
  #loaded: LiveSession | null | undefined;

  constructor(parts: LifecycleParts) {
    const { ctx, directory, log } = parts;
    this.#parts = parts;
    this.#alarm = new AlarmClock(ctx.storage);
    this.#outbox = new Outbox({
      ctx,
      alarm: this.#alarm,
      log,
      directory,
      listed: (now) => {
        const session = this.load(now);
        return session ? listedAs(session.record, this.#deadline(session, now)) : undefined;
      },
    });
  }

  /** The session, if it is stored, whether or not its time is up. */
  load(now: number): LiveSession | null {
    if (this.#loaded !== undefined) return this.#loaded;
    const { records, found } = this.#parts;
    const record = records.loadSession();
    if (!record) return (this.#loaded = null);
    this.#loaded = this.#open(record, records.loadChannel(), now);
    found();
    return this.#loaded;
  }

  /** The session, if there is one and its time is not up: an alarm may be late, an answer is not. */
  live(now: number): LiveSession | null {
    const session = this.load(now);
    if (!session) return null;
    if (this.#verdict(session, now).kind === "live") return session;
    this.end(session, "expired", now);
    return null;
  }

  /**
   * The session, if it lives and is the caller's. Whose it is is looked at first and
   * alone, so that another's session takes the same steps as an id that was never
   * made: one small read, no write, whatever the session holds.
   */
  owned(caller: Caller, now: number): LiveSession | null {
    const owner = this.#loaded ? this.#loaded.record.subject : this.#parts.records.loadOwner();
    return owns(caller, owner) ? this.live(now) : null;
  }

  /** Makes the session. The caller has seen that there is none. */
  make(id: SessionId, content: SessionContent, now: number): Outcome<SessionView> {
    const problem = contentProblem(content.metadata, content.dataJson);
    if (problem) return refuse(problem.code, problem.detail);
    const record = newRecord(id, content, now, Math.random());
    this.#parts.records.saveSession(record);
    const session = this.#open(record, { drainedSeq: 0, disconnected: false }, now);
    this.#loaded = session;
    this.#outbox.changed(now);
    this.#wakeAtDeadline(session, now);
    return succeed(this.view(session, now));
  }

  /** Stores a changed record, which is a use as well. */
  change(session: LiveSession, changed: StoredSession, now: number): Outcome<SessionView> {
    const problem = contentProblem(changed.metadata, changed.dataJson);
    if (problem) return refuse(problem.code, problem.detail);
    const { records, inUse } = this.#parts;
    const record = { ...changed, updatedAt: now, revision: session.record.revision + 1 };
    // Stored first: a write that throws must not leave the change in memory.
    records.saveSession(record);
    if (record.ttlMs < session.record.ttlMs) session.use.shorten(now, record.ttlMs, inUse());
    session.record = record;
    session.use.touch(now, record.ttlMs);
    this.#wakeAtDeadline(session, now);
    return succeed(this.view(session, now));
  }

  /** Nothing is left: no stream, no row, no alarm, once the directory has been told. */
  end(session: LiveSession, reason: EndReason, now: number): void {
    const { id } = session.record;
    this.#parts.ending(session, reason);
    this.#loaded = null;
    this.#outbox.ended(id, now);
    this.#parts.log.info(`session.${reason}`, { session: redactSessionId(id) });
  }

  /** What is in memory may not be what is stored: it is read anew. */
  forget(): void {
    this.#loaded = undefined;
  }

  view(session: LiveSession, now: number): SessionView {
    const { record, log } = session;
    return viewOf(record, log, this.#deadline(session, now), this.#parts.writers());
  }

  /** Resolves when the directory knows of the last change, or the try to tell it has failed. */
  untilListed(): Promise<void> {
    return this.#outbox.settled();
  }

  /** The alarm has fired. */
  async wake(now: number): Promise<void> {
    this.#alarm.fired();
    const session = this.load(now);
    if (!session) return this.#outbox.resume(now);
    const verdict = this.#verdict(session, now);
    this.#parts.log.debug("object.alarm", {
      session: session.record.id,
      verdict: verdict.kind === "expire" ? `expire: ${verdict.reason}` : "live",
    });
    if (verdict.kind === "expire") {
      this.end(session, "expired", now);
      return this.#outbox.settled();
    }
    if (this.#parts.inUse()) session.use.hold(now, session.record.ttlMs);
    const told = this.#outbox.resume(now);
    this.#alarm.wakeBy(verdict.until);
    return told;
  }

  #open(record: StoredSession, channel: StoredChannel, now: number): LiveSession {
    const { ctx, limits, records } = this.#parts;
    return {
      record,
      channel,
      log: new EventLog(ctx.storage.sql, "events", limits, record.epoch, channel.drainedSeq),
      use: new Use(records, record, now, (at) => this.#outbox.changed(at)),
    };
  }

  #verdict(session: LiveSession, now: number): ExpiryVerdict {
    return expiryVerdict(session.record, session.use.lastUse, now, this.#parts.inUse());
  }

  #wakeAtDeadline(session: LiveSession, now: number): void {
    this.#alarm.wakeBy(Math.min(this.#deadline(session, now), this.#outbox.updateBy(now)));
  }

  #deadline(session: LiveSession, now: number): number {
    const verdict = this.#verdict(session, now);
    return verdict.kind === "live" ? verdict.until : now;
  }
}
