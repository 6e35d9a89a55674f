import { DurableObject } from "cloudflare:workers";
import { loadConfig, type Config, type Environment } from "../config.ts";
import { createLogger, type Logger } from "../logger.ts";
import { owns, type Caller } from "../session/caller.ts";
import { contentProblem } from "../session/content.ts";
import { documentOf, packDocument } from "../session/document.ts";
import { ERROR_KINDS, type ErrorCode } from "../session/errors.ts";
import { NATIVE_STREAM } from "../session/event-id.ts";
import { expiryVerdict, type ExpiryVerdict } from "../session/expiry.ts";
import {
  admits,
  type ExchangeAnswer,
  type ExchangeRequest,
  type GatewayStart,
  type InitializeAnswer,
  type InitializeRequest,
} from "../session/exchange.ts";
import type {
  IfMatch,
  NewEvent,
  Published,
  SessionContent,
  SessionPatch,
  SessionView,
  StreamStart,
} from "../session/host.ts";
import { redactSessionId, type SessionId } from "../session/id.ts";
import { refuse, succeed, type Outcome } from "../session/outcome.ts";
import { encodeFrame } from "../session/sse-frame.ts";
import { CLOSE_CODES, MORE, TAKEN } from "../session/stream-protocol.ts";
import { openUpstreams } from "../upstream/open.ts";
import { Gateway } from "./gateway.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { EventLog, sized } from "./event-log.ts";
import { directoryOf } from "./directory-binding.ts";
import { Outbox } from "./outbox.ts";
import { RecordStore, type StoredChannel, type StoredSession } from "./record.ts";
import { NativeStream, type StreamState } from "./native-stream.ts";
import {
  isMeant,
  matches,
  newRecord,
  ownedBy,
  patched,
  replaced,
  type RemoveIf,
} from "./record-changes.ts";
import { listedAs, viewOf } from "./session-view.ts";
import { Use } from "./use.ts";
import { Writers } from "./writers.ts";

/** What the host asks for when it attaches a writer. */
export interface Attachment {
  readonly caller: Caller;
  readonly start: StreamStart | GatewayStart;
}

/** A session that exists, as the object holds it in memory. */
interface Loaded extends StreamState {
  record: StoredSession;
  readonly use: Use;
}

const encoder = new TextEncoder();

/**
 * One session: its record, its event log, its writers and its alarm. The object
 * is the only writer of the session and runs one turn at a time, and no method
 * awaits between its checks and its writes, so every call is atomic.
 *
 * An id that was never created costs nothing: nothing is written before `create`.
 */
export class SessionObject extends DurableObject<Environment> {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #records: RecordStore;
  readonly #writers: Writers;
  readonly #native: NativeStream;
  readonly #alarm: AlarmClock;
  readonly #gateway: Gateway;
  readonly #outbox: Outbox;
  /** Undefined: not looked for yet. Null: there is no session. */
  #loaded: Loaded | null | undefined;

  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env);
    this.#config = loadConfig(env);
    this.#log = createLogger(this.#config.logLevel);
    this.#records = new RecordStore(ctx.storage);
    this.#writers = new Writers(ctx);
    this.#native = new NativeStream(this.#writers, this.#records);
    this.#alarm = new AlarmClock(ctx.storage);
    this.#gateway = new Gateway({
      storage: ctx.storage,
      writers: this.#writers,
      session: {
        record: () => this.#load(Date.now())?.record ?? null,
        patchMetadata: (metadata) => this.patch({ admin: true }, { metadata }).ok,
        exchangeEnded: () => this.#exchangeEnded(),
      },
      openUpstreams: () => openUpstreams(this.#config.upstreams, env),
      limits: this.#config,
      log: this.#log,
    });
    this.#outbox = new Outbox({
      ctx,
      alarm: this.#alarm,
      log: this.#log,
      directory: directoryOf(env, this.#config),
      listed: (now) => {
        const session = this.#load(now);
        return session ? listedAs(session.record, this.#deadline(session, now)) : undefined;
      },
    });
    this.#log.debug("object.start", { object: ctx.id.toString(), writers: this.#writers.size });
  }

  create(caller: Caller, id: SessionId, content: SessionContent): Outcome<SessionView> {
    const now = Date.now();
    if (this.#live(now)) return refuse("session_already_exists");
    return this.#make(id, ownedBy(caller, content), now);
  }

  read(caller: Caller, touch: boolean): Outcome<SessionView> {
    const now = Date.now();
    const session = this.#owned(caller, now);
    if (!session) return refuse("session_not_found");
    if (touch) session.use.touch(now, session.record.ttlMs);
    return succeed(this.#view(session, now));
  }

  /** As `read`; what was found comes as a packed document. */
  document(caller: Caller, touch: boolean): string | Outcome<never> {
    const read = this.read(caller, touch);
    return read.ok ? packDocument(documentOf(read.value, caller)) : read;
  }

  upsert(
    caller: Caller,
    id: SessionId,
    content: SessionContent,
    ifMatch?: IfMatch,
  ): Outcome<{ created: boolean; session: SessionView }> {
    const now = Date.now();
    const session = this.#owned(caller, now);
    if (!session) {
      if (ifMatch !== undefined) return refuse("precondition_failed");
      // Another's: it cannot be made, and must not be taken over.
      if (this.#live(now)) return refuse("session_not_found");
      const made = this.#make(id, ownedBy(caller, content), now);
      return made.ok ? succeed({ created: true, session: made.value }) : made;
    }
    if (!matches(session.record, ifMatch)) return refuse("precondition_failed");
    const changed = this.#change(session, replaced(session.record, content), now);
    return changed.ok ? succeed({ created: false, session: changed.value }) : changed;
  }

  patch(caller: Caller, patch: SessionPatch, ifMatch?: IfMatch): Outcome<SessionView> {
    const now = Date.now();
    const session = this.#owned(caller, now);
    if (!session) return refuse("session_not_found");
    if (!matches(session.record, ifMatch)) return refuse("precondition_failed");
    return this.#change(session, patched(session.record, patch), now);
  }

  /** Ends the session, if it is what the condition means. Answers whether it did. */
  remove(caller: Caller, condition?: RemoveIf): Outcome<boolean> {
    const now = Date.now();
    const session = this.#owned(caller, now);
    if (!session || (condition && !isMeant(session.record, condition))) return succeed(false);
    this.#end(session, "deleted", now);
    return succeed(true);
  }

  /** Resolves when the directory knows of the last change, or the try to tell it has failed. */
  told(): Promise<void> {
    return this.#outbox.settled();
  }

  publish(caller: Caller, published: readonly NewEvent[]): Outcome<Published> {
    const now = Date.now();
    const session = this.#owned(caller, now);
    if (!session) return refuse("session_not_found");
    const { eventMaxBytes, queueCapacity } = this.#config;
    const events = published.map(sized);
    const tooLarge = events.findIndex(({ bytes }) => bytes > eventMaxBytes);
    if (tooLarge >= 0) {
      const where = events.length > 1 ? `event ${tooLarge}` : "the event";
      return refuse("payload_too_large", `${where} is over EVENT_MAX_BYTES (${eventMaxBytes})`);
    }
    if (this.#native.writers === 0) {
      if (session.channel.disconnected) return refuse("session_disconnected");
      if (!session.log.queueHasRoomFor(events, queueCapacity))
        return refuse("message_channel_full");
    }
    session.use.touch(now, session.record.ttlMs);
    try {
      // One transaction: a row that cannot be stored takes the others back with it.
      return succeed(this.ctx.storage.transactionSync(() => this.#native.publish(session, events)));
    } catch (failure) {
      // The log in memory has counted what was not stored, so it is read anew.
      this.#loaded = undefined;
      throw failure;
    }
  }

  /** Ends every writer; publishing is refused until one attaches again. */
  disconnect(caller: Caller): Outcome<null> {
    const now = Date.now();
    const session = this.#owned(caller, now);
    if (!session) return refuse("session_not_found");
    session.use.touch(now, session.record.ttlMs);
    this.#native.disconnect(session);
    if (this.#writers.size > 0) {
      this.#closeWriters(session, CLOSE_CODES.disconnected);
      if (!this.#inUse) session.use.release(now, session.record.ttlMs);
    }
    return succeed(null);
  }

  /** Makes the session of an MCP client, once its upstream has agreed. */
  async initialize(
    id: SessionId,
    content: SessionContent,
    request: InitializeRequest,
  ): Promise<Outcome<InitializeAnswer>> {
    if (this.#live(Date.now())) return refuse("session_already_exists");
    return this.#gateway.initialize(request, (metadata) =>
      // The gateway has named the owner.
      this.create({ admin: true }, id, {
        ...content,
        metadata: { ...content.metadata, ...metadata },
      }),
    );
  }

  /** Carries one POST of an MCP client's to its upstream. */
  async exchange(caller: Caller, request: ExchangeRequest): Promise<Outcome<ExchangeAnswer>> {
    const now = Date.now();
    const session = this.#owned(caller, now);
    if (!session || !admits(session.record, request.gate)) return refuse("session_not_found");
    session.use.touch(now, session.record.ttlMs);
    return this.#gateway.exchange(request);
  }

  /** Attaches a writer: a WebSocket upgrade, with an Attachment as JSON in `attach`. */
  override fetch(request: Request): Response {
    const now = Date.now();
    // Only the Durable Object host calls this, with what the HTTP front has validated.
    const { caller, start } = JSON.parse(
      new URL(request.url).searchParams.get("attach") ?? "",
    ) as Attachment;
    const session = this.#owned(caller, now);
    if (!session) return refusal("session_not_found");
    if ("gate" in start && !admits(session.record, start.gate)) return refusal("session_not_found");
    if (this.#writers.size >= this.#config.maxWriters) return refusal("too_many_writers");
    const { 0: client, 1: server } = new WebSocketPair();
    if ("gate" in start) {
      if (!this.#gateway.attach(server, start)) return new Response(null, { status: 400 });
      session.use.hold(now, session.record.ttlMs);
    } else this.#attach(session, server, start, now);
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    const session = this.#live(Date.now());
    const stream = this.#writers.state(socket)?.stream;
    if (!session || stream === undefined || typeof message !== "string") return;
    if (stream !== NATIVE_STREAM) this.#gateway.told(socket, stream, message);
    else if (message === MORE) this.#native.sendPage(session.log, socket);
    else if (message === TAKEN) this.#native.taken(session, socket);
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    this.#detach(socket, code);
  }

  override webSocketError(socket: WebSocket): void {
    this.#detach(socket, 1006);
  }

  override async alarm(): Promise<void> {
    this.#alarm.fired();
    const now = Date.now();
    const session = this.#load(now);
    if (!session) return this.#outbox.resume(now);
    const verdict = this.#verdict(session, now);
    this.#log.debug("object.alarm", {
      session: session.record.id,
      verdict: verdict.kind === "expire" ? `expire: ${verdict.reason}` : "live",
    });
    if (verdict.kind === "expire") {
      this.#end(session, "expired", now);
      return this.#outbox.settled();
    }
    if (this.#inUse) session.use.hold(now, session.record.ttlMs);
    const told = this.#outbox.resume(now);
    this.#alarm.wakeBy(verdict.until);
    return told;
  }

  /** Whether the session is being used at this very moment. */
  get #inUse(): boolean {
    return this.#writers.size > 0 || this.#gateway.running > 0;
  }

  #load(now: number): Loaded | null {
    if (this.#loaded !== undefined) return this.#loaded;
    const record = this.#records.loadSession();
    if (!record) return (this.#loaded = null);
    const channel = this.#records.loadChannel();
    const use = this.#openUse(record, now);
    this.#loaded = { record, channel, log: this.#openLog(record, channel), use };
    this.#gateway.interrupted();
    return this.#loaded;
  }

  #openUse(record: StoredSession, now: number): Use {
    return new Use(this.#records, record, now, (at) => this.#outbox.changed(at));
  }

  #openLog(record: StoredSession, channel: StoredChannel): EventLog {
    const { sql } = this.ctx.storage;
    return new EventLog(sql, "events", this.#config, record.epoch, channel.drainedSeq);
  }

  /**
   * The session, if it lives and is the caller's. Whose it is is looked at first and
   * alone, so that another's session takes the same steps as an id that was never
   * made: one small read, no write, whatever the session holds.
   */
  #owned(caller: Caller, now: number): Loaded | null {
    const owner = this.#loaded ? this.#loaded.record.subject : this.#records.loadOwner();
    return owns(caller, owner) ? this.#live(now) : null;
  }

  /** The session, if there is one and its time is not up: an alarm may be late, an answer is not. */
  #live(now: number): Loaded | null {
    const session = this.#load(now);
    if (!session) return null;
    if (this.#verdict(session, now).kind === "live") return session;
    this.#end(session, "expired", now);
    return null;
  }

  #verdict(session: Loaded, now: number): ExpiryVerdict {
    return expiryVerdict(session.record, session.use.lastUse, now, this.#inUse);
  }

  #make(id: SessionId, content: SessionContent, now: number): Outcome<SessionView> {
    const problem = contentProblem(content.metadata, content.dataJson);
    if (problem) return refuse(problem.code, problem.detail);
    const record = newRecord(id, content, now, Math.random());
    this.#records.saveSession(record);
    const channel: StoredChannel = { drainedSeq: 0, disconnected: false };
    const log = this.#openLog(record, channel);
    const session: Loaded = { record, channel, log, use: this.#openUse(record, now) };
    this.#loaded = session;
    this.#outbox.changed(now);
    this.#wakeAtDeadline(session, now);
    return succeed(this.#view(session, now));
  }

  /** Stores a changed record, which is a use as well. */
  #change(session: Loaded, changed: StoredSession, now: number): Outcome<SessionView> {
    const problem = contentProblem(changed.metadata, changed.dataJson);
    if (problem) return refuse(problem.code, problem.detail);
    const record = { ...changed, updatedAt: now, revision: session.record.revision + 1 };
    // Stored first: a write that throws must not leave the change in memory.
    this.#records.saveSession(record);
    if (record.ttlMs < session.record.ttlMs) session.use.shorten(now, record.ttlMs, this.#inUse);
    session.record = record;
    session.use.touch(now, record.ttlMs);
    this.#wakeAtDeadline(session, now);
    return succeed(this.#view(session, now));
  }

  #view(session: Loaded, now: number): SessionView {
    const { record, log } = session;
    return viewOf(record, log, this.#deadline(session, now), this.#native.writers);
  }

  #wakeAtDeadline(session: Loaded, now: number): void {
    this.#alarm.wakeBy(Math.min(this.#deadline(session, now), this.#outbox.tellBy(now)));
  }

  #deadline(session: Loaded, now: number): number {
    const verdict = this.#verdict(session, now);
    return verdict.kind === "live" ? verdict.until : now;
  }

  #attach(session: Loaded, socket: WebSocket, start: StreamStart, now: number): void {
    this.#native.attach(session, socket, start);
    session.use.hold(now, session.record.ttlMs);
    this.#log.debug("writer.attach", {
      session: session.record.id,
      start: start.kind,
      writers: this.#writers.size,
    });
  }

  #detach(socket: WebSocket, code: number): void {
    // A socket that the object closed itself is no writer any more.
    if (!this.#writers.detach(socket)) return;
    const now = Date.now();
    const session = this.#load(now);
    if (!session) return;
    if (!this.#inUse) session.use.release(now, session.record.ttlMs);
    this.#log.debug("writer.leave", {
      session: session.record.id,
      code,
      writers: this.#writers.size,
    });
  }

  /** With an exchange of the gateway's ends, perhaps, the use that kept the session alive. */
  #exchangeEnded(): void {
    if (!this.#loaded || this.#inUse) return;
    this.#loaded.use.release(Date.now(), this.#loaded.record.ttlMs);
  }

  #closeWriters({ record }: Loaded, code: number, lastFrame?: Uint8Array): void {
    const closed = this.#writers.closeAll(code, lastFrame);
    for (let left = closed - 1; left >= 0; left--) {
      this.#log.debug("writer.leave", { session: record.id, code, writers: left });
    }
  }

  /** Nothing is left: no stream, no row, no alarm, once the directory has been told. */
  #end(session: Loaded, reason: "expired" | "deleted", now: number): void {
    const { id, metadata } = session.record;
    this.ctx.waitUntil(this.#gateway.end(metadata));
    const lastFrame = encodeFrame({ event: reason, data: JSON.stringify({ id }) });
    this.#closeWriters(session, CLOSE_CODES.ended, encoder.encode(lastFrame));
    this.#loaded = null;
    this.#outbox.ended(id, now);
    this.#log.info(`session.${reason}`, { session: redactSessionId(id) });
  }
}

/** A refused attachment; the host reads the code. */
function refusal(code: ErrorCode): Response {
  return new Response(code, { status: ERROR_KINDS[code].status });
}
