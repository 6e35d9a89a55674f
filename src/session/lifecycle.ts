/**
 * The life of one session: finds, makes, uses, changes and ends it. Each method stores a row first
 * and changes memory after it, and moves the alarm and the directory's entry along. No method
 * awaits between its checks and its writes.
 */
import type { AlarmClock } from "../alarm-clock.ts";
import { owns, type Caller } from "../core/caller.ts";
import { contentProblem } from "../core/content.ts";
import { refuse, succeed, type Outcome } from "../core/errors.ts";
import {
  creditUse,
  creditWhileInUse,
  expiryVerdict,
  lastUseOnLoad,
  type ExpiryVerdict,
} from "../core/expiry.ts";
import type { SessionContent, SessionView } from "../core/host.ts";
import { redactSessionId, type SessionId } from "../core/id.ts";
import { LONGEST_RESEND_MS, OWN_ALARM_AFTER_TRIES } from "../core/limits.ts";
import type { Listed, Outbox } from "../directory/outbox.ts";
import type { ExchangeRequest } from "../gateway/contract.ts";
import type { Gateway } from "../gateway/object/gateway.ts";
import type { TaskHost } from "../gateway/tasks/task-host.ts";
import type { Logger } from "../logger.ts";
import { awake, AWAKE_MS, type Sleeper } from "../signals/awake.ts";
import { sessionsEnded } from "../signals/metrics.ts";
import type { ChannelParts } from "../stream/channel.ts";
import { EventChannel } from "../stream/event-channel.ts";
import { CLOSE_CODES } from "../stream/protocol.ts";
import type { Waiters } from "../stream/waiters.ts";
import { encodeFrame } from "../wire/sse-frame.ts";
import type { RecordStore, StoredSession } from "./record.ts";
import { newRecord, viewOf } from "./record-changes.ts";

/** The session's last use: exact in memory, coarse in storage, by the rules of `core/expiry.ts`. */
class LastUse {
  readonly #records: RecordStore;
  #at: number;
  /** As stored: use has been credited up to then. */
  #usedUntil: number;

  /** `usedUntil` is as stored. */
  constructor(records: RecordStore, usedUntil: number, now: number) {
    this.#records = records;
    this.#usedUntil = usedUntil;
    this.#at = lastUseOnLoad(usedUntil, now);
  }

  /** Milliseconds since the epoch: exact for a use since the object was loaded, credited for one before. */
  get at(): number {
    return this.#at;
  }

  /** Counts a use; writes a row only if no credit reaches it. */
  touch(now: number, ttlMs: number): void {
    if (now > this.#usedUntil) this.#credit(creditUse(now, ttlMs));
    this.#at = Math.max(this.#at, now);
  }

  /** Something holds the session open from `now` on. */
  hold(now: number, ttlMs: number): void {
    const usedUntil = creditWhileInUse(now, ttlMs);
    if (usedUntil > this.#usedUntil) this.#credit(usedUntil);
    this.#at = Math.max(this.#at, now);
  }

  /** Takes back a credit that reaches too far: nothing holds the session open any more, or its TTL is shorter now. */
  takeBack(now: number, ttlMs: number, inUse: boolean): void {
    const most = inUse ? creditWhileInUse(now, ttlMs) : creditUse(now, ttlMs);
    if (this.#usedUntil > most) this.#credit(inUse ? most : now);
    this.#at = now;
  }

  #credit(usedUntil: number): void {
    this.#records.saveUsedUntil(usedUntil);
    this.#usedUntil = usedUntil;
  }
}

export interface LiveSession {
  record: StoredSession;
  readonly use: LastUse;
  readonly events: EventChannel;
}

interface LifecycleParts {
  readonly ctx: DurableObjectState;
  readonly records: RecordStore;
  readonly alarm: AlarmClock;
  readonly outbox: Outbox;
  readonly channel: ChannelParts;
  readonly waiters: Waiters;
  readonly gateway: Gateway;
  readonly tasks: TaskHost;
  readonly log: Logger;
}

const encoder = new TextEncoder();

export class Lifecycle implements Sleeper {
  readonly #parts: LifecycleParts;
  /** Undefined: not looked for yet. Null: there is no session. */
  #loaded: LiveSession | null | undefined;
  /** When the session was last looked for, in milliseconds since the epoch. */
  #lookedAt = -Infinity;

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
    awake.add(this);
  }

  /** The session, if it is stored, whether or not its time is up. */
  load(now: number): LiveSession | null {
    this.#lookedAt = now;
    if (this.#loaded !== undefined) return this.#loaded;
    const { records, gateway, tasks } = this.#parts;
    const record = records.loadSession();
    this.#loaded = record ? this.#open(record, now, records.loadUsedUntil(record)) : null;
    if (record) gateway.loaded(record);
    if (record) tasks.takeUp();
    return this.#loaded;
  }

  /** The session, if there is one and its time is not up: an alarm may be late, so this looks at the time itself. */
  live(now: number): LiveSession | null {
    const session = this.load(now);
    if (!session) return null;
    if (this.#verdict(session, now).kind === "live") return session;
    void this.end(session, "expired", now);
    return null;
  }

  /**
   * The session, if it lives and belongs to the caller. This reads the owner alone first, so that
   * another caller's session takes the same steps as an id that was never made: one small read and
   * no write, however large the session is.
   */
  owned(caller: Caller, now: number): LiveSession | null {
    const owner = this.#loaded ? this.#loaded.record.subject : this.#parts.records.loadOwner();
    return owns(caller, owner) ? this.live(now) : null;
  }

  /** Whether the session's object is in memory: it was used a moment ago, or the gateway holds it there. */
  isAwake(now: number): boolean {
    if (!this.#loaded) return false;
    return now - this.#lookedAt < AWAKE_MS || this.#parts.gateway.isBusy;
  }

  get openExchanges(): number {
    return this.#parts.gateway.openExchanges;
  }

  /** Makes the session. The calling code has seen that there is none. */
  make(id: SessionId, content: SessionContent, now: number): Outcome<SessionView> {
    const problem = contentProblem(content.metadata, content.dataJson);
    if (problem) return refuse(problem.code, problem.detail);
    const { records, alarm, outbox } = this.#parts;
    const record = newRecord(id, content, now, Math.random(), outbox.shards);
    records.saveSession(record);
    this.#lookedAt = now;
    const session = this.#open(record, now, now, true);
    this.#loaded = session;
    const deadline = this.#deadline(session, now);
    outbox.made({ session: record, deadline }, now);
    alarm.wakeBy(deadline);
    return succeed(this.view(session, now, deadline));
  }

  /** Stores a changed record, which is a use as well. */
  change(session: LiveSession, changed: StoredSession, now: number): Outcome<SessionView> {
    const problem = contentProblem(changed.metadata, changed.dataJson);
    if (problem) return refuse(problem.code, problem.detail);
    const { records, alarm, outbox } = this.#parts;
    const { type, subject, revision } = session.record;
    const isMoved = changed.type !== type || changed.subject !== subject;
    const moved = isMoved && { movedAt: now };
    const record = { ...changed, ...moved, updatedAt: now, revision: revision + 1 };
    const deadlineThen = this.#deadline(session, now);
    records.saveSession(record);
    if (record.ttlMs < session.record.ttlMs) session.use.takeBack(now, record.ttlMs, this.#inUse);
    session.record = record;
    session.use.touch(now, record.ttlMs);
    const deadline = this.#deadline(session, now);
    outbox.changed(this.#listed(session, deadline, now), now);
    // An alarm is set for the old deadline or earlier. If it stays, it also sends what the object could not.
    if (deadline < deadlineThen) alarm.wakeBy(deadline);
    return succeed(this.view(session, now, deadline));
  }

  /** Counts a use. Returns the session's present deadline, in milliseconds since the epoch. */
  touch(session: LiveSession, now: number): number {
    session.use.touch(now, session.record.ttlMs);
    return this.#used(session, now);
  }

  /** A reader is about to hold the session open. */
  hold(session: LiveSession, now: number): void {
    session.use.hold(now, session.record.ttlMs);
    this.#used(session, now);
  }

  /** A reader has left or an exchange has ended: if it was the last, it no longer holds the session open. */
  release(now: number): void {
    const session = this.load(now);
    if (!session || this.#inUse) return;
    session.use.takeBack(now, session.record.ttlMs, false);
    // A call credits the session when it begins, and may have held it open long after that.
    this.touch(session, now);
  }

  /**
   * Ends the session: clears its storage, and once that is durable ends its exchanges, its streams and
   * its upstream session. Throws at once if the storage refuses, and then nothing has happened.
   * Resolves when the last frames are sent and the line is logged. `headers` are for the upstream, from
   * the MCP client that ends the session.
   */
  end(
    session: LiveSession,
    reason: "expired" | "deleted",
    now: number,
    headers?: ExchangeRequest["headers"],
  ): Promise<void> {
    const { ctx, outbox, gateway, tasks, waiters, log } = this.#parts;
    const { id, metadata } = session.record;
    const endWaiting = gateway.waiting(session.record);
    const endTask = tasks.farewell();
    outbox.ended(session.record, now);
    this.#loaded = null;
    const endGateway = gateway.silence(metadata, headers);
    return this.#onceDurable(() => {
      endTask();
      waiters.notifyAll();
      endWaiting();
      ctx.waitUntil(endGateway());
      const lastFrame = encodeFrame({ event: reason, data: JSON.stringify({ id }) });
      this.#closeSubscribers(id, encoder.encode(lastFrame));
      sessionsEnded.add(1, reason);
      log.info(`session.${reason}`, { session: redactSessionId(id) });
    });
  }

  /** Ends every stream, once what was stored before is durable. A client that reconnects must authenticate again. */
  endStreams(): Promise<void> {
    return this.#onceDurable(() => {
      this.#parts.waiters.notifyAll();
      this.#parts.channel.subscribers.closeAll(CLOSE_CODES.disconnected);
    });
  }

  /** The session as its host sees it. `deadline` is its present one, if the calling code knows it. */
  view(session: LiveSession, now: number, deadline = this.#deadline(session, now)): SessionView {
    return viewOf(session.record, session.events, deadline);
  }

  /**
   * The alarm has fired: ends the session or sets the alarm again, and sends the directory what it does
   * not know yet. `tries` says how often the same alarm failed before: the platform tries a few times only.
   * A server of one's own whose time has come is woken first. If the object is lost meanwhile, the alarm
   * comes again.
   */
  async wake(firedAt: number, tries = 0): Promise<void> {
    const { ctx, alarm, outbox, gateway, tasks, log } = this.#parts;
    let now = firedAt;
    if (gateway.own.wakeAt <= firedAt && this.live(firedAt)) {
      await gateway.own.wake(firedAt);
      now = Date.now();
    }
    alarm.fired();
    if (tries >= OWN_ALARM_AFTER_TRIES) {
      alarm.moveTo(now + LONGEST_RESEND_MS);
      await ctx.storage.sync();
    }
    const session = this.load(now);
    if (!session) return outbox.resume(now);
    const verdict = this.#verdict(session, now);
    log.debug("object.alarm", {
      session: session.record.id,
      verdict: verdict.kind === "expire" ? `expire: ${verdict.reason}` : "live",
    });
    if (verdict.kind === "expire") {
      await this.end(session, "expired", now);
      return outbox.settled();
    }
    tasks.wake(now);
    if (this.#inUse) session.use.hold(now, session.record.ttlMs);
    // Set before the outbox tells the directory: if the object dies meanwhile, this alarm goes on.
    alarm.wakeBy(verdict.until);
    return outbox.resume(now, this.#listed(session, verdict.until, now));
  }

  /** A reader, a request that waits, or an exchange whose answer has not begun holds the session open. */
  get #inUse(): boolean {
    const { channel, waiters, gateway } = this.#parts;
    return !channel.subscribers.isEmpty || gateway.isWaiting || !waiters.isEmpty;
  }

  #open(record: StoredSession, now: number, usedUntil: number, isNew = false): LiveSession {
    const { records, channel } = this.#parts;
    const use = new LastUse(records, usedUntil, now);
    return { record, use, events: new EventChannel(channel, record.epoch, record.id, isNew) };
  }

  /** Makes the directory follow a use. The alarm stays: when it fires, it finds the later deadline. */
  #used(session: LiveSession, now: number): number {
    const deadline = this.#deadline(session, now);
    this.#parts.outbox.changed(this.#listed(session, deadline, now), now);
    return deadline;
  }

  #listed({ record }: LiveSession, deadline: number, now: number): Listed {
    return { session: record, deadline, ...(this.#inUse && { heldAt: now }) };
  }

  #verdict(session: LiveSession, now: number): ExpiryVerdict {
    return expiryVerdict(session.record, session.use.at, now, this.#inUse);
  }

  #deadline(session: LiveSession, now: number): number {
    const verdict = this.#verdict(session, now);
    return verdict.kind === "live" ? verdict.until : now;
  }

  /**
   * Calls `announce` once everything that was stored is durable. The output gate holds back what the
   * object sends, but no line of the log. Until then no other call enters the object, so a new reader
   * gets nothing that is meant for the present ones. If the storage fails, the platform resets the
   * object, and nobody hears of anything.
   */
  #onceDurable(announce: () => void): Promise<void> {
    const { ctx } = this.#parts;
    return ctx.blockConcurrencyWhile(async () => {
      await ctx.storage.sync();
      announce();
    });
  }

  #closeSubscribers(id: SessionId, lastFrame: Uint8Array): void {
    const code = CLOSE_CODES.ended;
    const closed = this.#parts.channel.subscribers.closeAll(code, lastFrame);
    // The subscribers' close events come too late to name the session, so these lines stand here.
    for (let left = closed - 1; left >= 0; left--) {
      this.#parts.log.debug("writer.leave", { session: id, code, writers: left });
    }
  }
}
