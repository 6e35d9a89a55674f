import { DurableObject } from "cloudflare:workers";
import { loadConfig, type Config } from "../config/service.ts";
import type { Environment } from "../config/env.ts";
import { createLogger, type Logger } from "../logger.ts";
import type { Caller } from "../core/caller.ts";
import { documentOf, packDocument } from "../core/document.ts";
import { ERROR_KINDS, type ErrorCode, refuse, succeed, type Outcome } from "../core/errors.ts";
import { NATIVE_STREAM } from "../core/event-id.ts";
import {
  matches,
  type ExchangeAnswer,
  type ExchangeRequest,
  type GatewayStart,
  type InitializeAnswer,
  type InitializeRequest,
} from "../gateway/contract.ts";
import type {
  IfMatch,
  NewEvent,
  Published,
  SessionContent,
  SessionPatch,
  SessionView,
  StreamStart,
} from "../core/host.ts";
import type { SessionId } from "../core/id.ts";
import { encodeFrame } from "../wire/sse-frame.ts";
import { CLOSE_CODES, MORE, TAKEN } from "../stream/protocol.ts";
import { openUpstreams } from "../gateway/upstream/open.ts";
import { Gateway } from "../gateway/object/gateway.ts";
import { directoryOf } from "../directory/client.ts";
import { Lifecycle, type EndReason, type LiveSession } from "./lifecycle.ts";
import { RecordStore, type StoredSession } from "./record.ts";
import { NativeStream } from "../stream/channel.ts";
import {
  forbiddenChange,
  isMeant,
  matchesVersion,
  ownedBy,
  patched,
  replaced,
  type RemoveIf,
} from "./record-changes.ts";
import { Publishing } from "./publishing.ts";
import { Subscribers } from "../stream/subscribers.ts";

/** What the host asks for when it attaches a writer. */
export interface Attachment {
  readonly caller: Caller;
  readonly start: StreamStart | GatewayStart;
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
  readonly #subscribers: Subscribers;
  readonly #native: NativeStream;
  readonly #gateway: Gateway;
  readonly #life: Lifecycle;
  readonly #publishing: Publishing;

  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env);
    this.#config = loadConfig(env);
    this.#log = createLogger(this.#config.logLevel);
    const records = new RecordStore(ctx.storage);
    this.#subscribers = new Subscribers(ctx);
    this.#native = new NativeStream(this.#subscribers, records);
    this.#gateway = new Gateway({
      storage: ctx.storage,
      writers: this.#subscribers,
      session: {
        record: () => this.#life.load(Date.now())?.record ?? null,
        patchMetadata: (metadata) => this.patch({ admin: true }, { metadata }).ok,
        exchangeEnded: () => this.#exchangeEnded(),
      },
      openUpstreams: () => openUpstreams(this.#config.upstreams, env),
      limits: this.#config,
      log: this.#log,
    });
    this.#life = new Lifecycle({
      ctx,
      records,
      directory: directoryOf(env, this.#config),
      limits: this.#config,
      log: this.#log,
      inUse: () => this.#inUse,
      writers: () => this.#native.writers,
      found: () => this.#gateway.interrupted(),
      ending: (session, reason) => this.#ending(session, reason),
    });
    this.#publishing = new Publishing({
      storage: ctx.storage,
      life: this.#life,
      stream: this.#native,
      limits: this.#config,
    });
    this.#log.debug("object.start", { object: ctx.id.toString(), writers: this.#subscribers.size });
  }

  create(caller: Caller, id: SessionId, content: SessionContent): Outcome<SessionView> {
    const now = Date.now();
    if (this.#life.live(now)) return refuse("session_already_exists");
    return this.#life.make(id, ownedBy(caller, content), now);
  }

  read(caller: Caller, touch: boolean): Outcome<SessionView> {
    const now = Date.now();
    const session = this.#life.owned(caller, now);
    if (!session) return refuse("session_not_found");
    if (touch) session.use.touch(now, session.record.ttlMs);
    return succeed(this.#life.view(session, now));
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
    const session = this.#life.owned(caller, now);
    if (!session) {
      if (ifMatch !== undefined) return refuse("precondition_failed");
      // Another's: it cannot be made, and must not be taken over.
      if (this.#life.live(now)) return refuse("session_not_found");
      const made = this.#life.make(id, ownedBy(caller, content), now);
      return made.ok ? succeed({ created: true, session: made.value }) : made;
    }
    if (!matchesVersion(session.record, ifMatch)) return refuse("precondition_failed");
    const forbidden = forbiddenChange(caller, session.record, content.metadata);
    if (forbidden !== undefined) return refuse("forbidden", forbidden);
    const { subject } = session.record;
    const changed = this.#life.change(session, replaced(session.record, content, caller), now);
    if (!changed.ok) return changed;
    // Whoever followed it as its owner follows nobody else's.
    if (session.record.subject !== subject) this.#endStreams(session, now);
    return succeed({ created: false, session: this.#life.view(session, now) });
  }

  patch(caller: Caller, patch: SessionPatch, ifMatch?: IfMatch): Outcome<SessionView> {
    const now = Date.now();
    const session = this.#life.owned(caller, now);
    if (!session) return refuse("session_not_found");
    if (!matchesVersion(session.record, ifMatch)) return refuse("precondition_failed");
    const forbidden = forbiddenChange(caller, session.record, patch.metadata);
    if (forbidden !== undefined) return refuse("forbidden", forbidden);
    return this.#life.change(session, patched(session.record, patch, caller), now);
  }

  /** Ends the session, if it is what the condition means. Answers whether it did. */
  remove(caller: Caller, condition?: RemoveIf): Outcome<boolean> {
    const now = Date.now();
    const session = this.#life.owned(caller, now);
    if (!session || (condition && !isMeant(session.record, condition))) return succeed(false);
    this.#life.end(session, "deleted", now);
    return succeed(true);
  }

  /** Resolves when the directory knows of the last change, or the try to tell it has failed. */
  untilListed(): Promise<void> {
    return this.#life.untilListed();
  }

  publish(caller: Caller, events: readonly NewEvent[]): Promise<Outcome<Published>> {
    return this.#publishing.publish(caller, events);
  }

  /** Ends every writer; publishing is refused until one attaches again. */
  disconnect(caller: Caller): Outcome<null> {
    const now = Date.now();
    const session = this.#life.owned(caller, now);
    if (!session) return refuse("session_not_found");
    session.use.touch(now, session.record.ttlMs);
    this.#native.disconnect(session);
    this.#endStreams(session, now);
    return succeed(null);
  }

  /** Makes the session of an MCP client, once its upstream has agreed. */
  async initialize(
    id: SessionId,
    content: SessionContent,
    request: InitializeRequest,
  ): Promise<Outcome<InitializeAnswer>> {
    if (this.#life.live(Date.now())) return refuse("session_already_exists");
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
    const session = this.#life.owned(caller, now);
    if (!session || !matches(session.record, request.match)) return refuse("session_not_found");
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
    const session = this.#life.owned(caller, now);
    if (!session) return refusal("session_not_found");
    if ("gate" in start && !matches(session.record, start.gate))
      return refusal("session_not_found");
    if (this.#subscribers.size >= this.#config.maxWriters) return refusal("too_many_writers");
    const { 0: client, 1: server } = new WebSocketPair();
    if ("gate" in start) {
      if (!this.#gateway.attach(server, start)) return new Response(null, { status: 400 });
      session.use.hold(now, session.record.ttlMs);
    } else this.#attach(session, server, start, now);
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    const session = this.#life.live(Date.now());
    const stream = this.#subscribers.state(socket)?.stream;
    if (!session || stream === undefined || typeof message !== "string") return;
    if (stream !== NATIVE_STREAM) this.#gateway.receive(socket, stream, message);
    else if (message === MORE) this.#native.sendPage(session.log, socket);
    else if (message === TAKEN) this.#native.taken(session, socket);
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    this.#detach(socket, code);
  }

  override webSocketError(socket: WebSocket): void {
    this.#detach(socket, 1006);
  }

  override alarm(): Promise<void> {
    return this.#life.wake(Date.now());
  }

  /** Whether the session is being used at this very moment. */
  get #inUse(): boolean {
    return this.#subscribers.size > 0 || this.#gateway.running > 0;
  }

  #attach(session: LiveSession, socket: WebSocket, start: StreamStart, now: number): void {
    this.#native.attach(session, socket, start);
    session.use.hold(now, session.record.ttlMs);
    this.#log.debug("writer.attach", {
      session: session.record.id,
      start: start.kind,
      writers: this.#subscribers.size,
    });
  }

  #detach(socket: WebSocket, code: number): void {
    // A socket that the object closed itself is no writer any more.
    if (!this.#subscribers.detach(socket)) return;
    const now = Date.now();
    const session = this.#life.load(now);
    if (!session) return;
    if (!this.#inUse) session.use.release(now, session.record.ttlMs);
    this.#log.debug("writer.leave", {
      session: session.record.id,
      code,
      writers: this.#subscribers.size,
    });
  }

  /** With an exchange of the gateway's ends, perhaps, the use that kept the session alive. */
  #exchangeEnded(): void {
    const now = Date.now();
    const session = this.#life.load(now);
    if (session && !this.#inUse) session.use.release(now, session.record.ttlMs);
  }

  /** Ends every stream that is followed; whoever comes back is asked anew who they are. */
  #endStreams(session: LiveSession, now: number): void {
    if (this.#subscribers.size === 0) return;
    this.#closeWriters(session.record, CLOSE_CODES.disconnected);
    if (!this.#inUse) session.use.release(now, session.record.ttlMs);
  }

  #closeWriters({ id }: StoredSession, code: number, lastFrame?: Uint8Array): void {
    const closed = this.#subscribers.closeAll(code, lastFrame);
    for (let left = closed - 1; left >= 0; left--) {
      this.#log.debug("writer.leave", { session: id, code, writers: left });
    }
  }

  /** Before anything of the session is removed: its streams and its upstream session end. */
  #ending({ record }: LiveSession, reason: EndReason): void {
    const { id, metadata } = record;
    this.ctx.waitUntil(this.#gateway.end(metadata));
    const lastFrame = encodeFrame({ event: reason, data: JSON.stringify({ id }) });
    this.#closeWriters(record, CLOSE_CODES.ended, encoder.encode(lastFrame));
  }
}

/** A refused attachment; the host reads the code. */
function refusal(code: ErrorCode): Response {
  return new Response(code, { status: ERROR_KINDS[code].status });
}
