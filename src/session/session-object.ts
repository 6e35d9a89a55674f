import { DurableObject } from "cloudflare:workers";
import { loadConfig } from "../config/service.ts";
import type { Environment } from "../config/env.ts";
import { AlarmClock } from "../alarm-clock.ts";
import { createLogger } from "../logger.ts";
import { requireKnownVersion, type Caller } from "../core/caller.ts";
import { documentOf, packDocument, type Form } from "../core/document.ts";
import { refuse, succeed, type Outcome } from "../core/errors.ts";
import {
  matches,
  type ExchangeAnswer,
  type ExchangeRequest,
  type InitializeAnswer,
  type InitializeRequest,
  type OpenSession,
} from "../gateway/contract.ts";
import type {
  EventPage,
  IfMatch,
  NewEvent,
  PageQuery,
  Published,
  SessionContent,
  SessionPatch,
  SessionView,
  StreamEnd,
} from "../core/host.ts";
import type { SessionId } from "../core/id.ts";
import type { PublishKey } from "../stream/published-keys.ts";
import { openUpstreams, ownServers, statelessSends } from "../gateway/upstream/open.ts";
import { NO_SERVERS, type OwnServers } from "../gateway/upstream/upstream.ts";
import { Gateway } from "../gateway/object/gateway.ts";
import type { TaskAnswer, TaskAsk } from "../gateway/tasks/contract.ts";
import { TaskHost } from "../gateway/tasks/task-host.ts";
import { taskAdmission } from "../directory/admission.ts";
import { directoryOf } from "../directory/client.ts";
import { Outbox } from "../directory/outbox.ts";
import { Lifecycle, type LiveSession } from "./lifecycle.ts";
import { RecordStore } from "./record.ts";
import {
  changeRefusal,
  isMeant,
  ownedBy,
  patched,
  replaced,
  type RemoveIf,
} from "./record-changes.ts";
import { Attaching, type Attachment } from "./attaching.ts";
import { Publishing } from "./publishing.ts";
import { proveRoom, proveStorage } from "./storage-proof.ts";
import { plainText, shown, type Shown } from "./shown.ts";
import { countInto } from "../signals/metric.ts";
import { Subscribers } from "../stream/subscribers.ts";
import { Waiters } from "../stream/waiters.ts";

/**
 * One session: its record, event log, readers and alarm. Nothing else writes it, the object runs one turn at a time,
 * and no method awaits between checks and writes, so every call is atomic. An id that was never created has no storage.
 */
export class SessionObject extends DurableObject<Environment> {
  readonly #gateway: Gateway;
  readonly #tasks: TaskHost;
  readonly #outbox: Outbox;
  readonly #life: Lifecycle;
  readonly #publishing: Publishing;
  readonly #attaching: Attaching;

  /** `own`: the servers of the Worker's own code. */
  constructor(ctx: DurableObjectState, env: Environment, own: OwnServers = NO_SERVERS) {
    super(ctx, env);
    const config = loadConfig(env);
    const log = createLogger(config.logLevel);
    countInto(env["METRICS"]);
    const subscribers = new Subscribers(ctx);
    const waiters = new Waiters(ctx, config.maxWriters);
    const channel = { storage: ctx.storage, subscribers, limits: config };
    const alarm = new AlarmClock(ctx.storage, () =>
      Math.min(this.#gateway.own.wakeAt, this.#tasks.wakeAt),
    );
    const directory = directoryOf(env, config);
    this.#gateway = new Gateway({
      session: () => this.#openSession(),
      channel,
      openUpstreams: (sends) => openUpstreams(config, env, sends),
      own: {
        servers: ownServers(config, own),
        publish: own.validated((...given) => this.#publishing.byServer(...given)),
        wakeBy: (at) => alarm.wakeBy(at),
      },
      limits: config,
      log,
      used: () => {
        const session = this.#life.live(Date.now());
        if (session) this.#life.touch(session, Date.now());
      },
      released: () => this.#life.release(Date.now()),
      over: (headers) => void this.remove({ admin: true }, undefined, headers),
      wakeTask: own.wakeTask,
    });
    this.#tasks = new TaskHost({
      storage: ctx.storage,
      session: () => this.#life.load(Date.now())?.record ?? null,
      make: (id, content) => this.#life.make(id, content, Date.now()),
      unmake: () => void this.remove({ admin: true }),
      admit: taskAdmission(directory, config, () => this.#outbox.settled()),
      stream: () => this.#publishing,
      wakeBy: (at) => alarm.wakeBy(at),
      openUpstreams: () => openUpstreams(config, env, statelessSends(ownServers(config, own))),
      overBridge: own.overBridge,
      limits: config,
      log,
    });
    this.#outbox = new Outbox({ ctx, alarm, log, directory });
    this.#life = new Lifecycle({
      ctx,
      records: new RecordStore(ctx.storage),
      alarm,
      outbox: this.#outbox,
      channel,
      waiters,
      gateway: this.#gateway,
      tasks: this.#tasks,
      log,
    });
    this.#publishing = new Publishing({ ...channel, waiters, life: this.#life, limits: config });
    this.#attaching = new Attaching({
      life: this.#life,
      subscribers,
      waiters,
      gateway: this.#gateway,
      maxWriters: config.maxWriters,
      log,
    });
    log.debug("object.start", { object: ctx.id.toString(), writers: subscribers.size });
  }

  create(
    caller: Caller,
    id: SessionId,
    content: SessionContent,
    form: Form = "view",
  ): Outcome<Shown> {
    const now = this.#hear(caller);
    if (this.#life.live(now)) return refuse("session_already_exists");
    return shown(this.#life.make(id, ownedBy(caller, content), now), caller, form);
  }

  /** A document comes without an envelope: a read is mostly RPC, where an object costs more than text (4 µs). */
  read(caller: Caller, touch: boolean, form: Form = "view"): Outcome<Shown> | string {
    const now = this.#hear(caller);
    const session = this.#life.owned(caller, now);
    if (!session) return refuse("session_not_found");
    const deadline = touch ? this.#life.touch(session, now) : undefined;
    const view = this.#life.view(session, now, deadline);
    return form === "view" ? succeed(view) : packDocument(documentOf(view, caller));
  }

  async upsert(
    caller: Caller,
    id: SessionId,
    content: SessionContent,
    ifMatch?: IfMatch,
    form: Form = "view",
  ): Promise<Outcome<{ created: boolean; session: Shown }>> {
    const now = this.#hear(caller);
    const owned = this.#life.owned(caller, now);
    if (!owned && ifMatch !== undefined) return refuse("precondition_failed");
    // A session of another owner cannot be made again, and must not be taken over.
    if (!owned && this.#life.live(now)) return refuse("session_not_found");
    const stored = owned
      ? await this.#replace(caller, owned, content, ifMatch, now)
      : this.#life.make(id, ownedBy(caller, content), now);
    const session = shown(stored, caller, form);
    return session.ok ? succeed({ created: !owned, session: session.value }) : session;
  }

  patch(
    caller: Caller,
    patch: SessionPatch,
    ifMatch?: IfMatch,
    form: Form = "view",
  ): Outcome<Shown> {
    const now = this.#hear(caller);
    const session = this.#life.owned(caller, now);
    if (!session) return refuse("session_not_found");
    const { record } = session;
    const refusal = changeRefusal(caller, record, patch.metadata, ifMatch);
    if (refusal) return refusal;
    return shown(this.#life.change(session, patched(record, patch, caller), now), caller, form);
  }

  /** Ends the session, if it meets the condition. Returns whether it did. `headers`: see `Lifecycle.end`. */
  async remove(
    caller: Caller,
    condition?: RemoveIf,
    headers?: ExchangeRequest["headers"],
  ): Promise<Outcome<boolean>> {
    const now = this.#hear(caller);
    const session = this.#life.owned(caller, now);
    const isGone = !session || (condition && !isMeant(session.record, condition));
    if (!isGone) await this.#life.end(session, "deleted", now, headers);
    return succeed(!isGone);
  }

  /** Shows that it can store; with `more`, more than a deletion does. Only an object of no session gets this call. */
  store(more = false): Promise<void> {
    return (more ? proveRoom : proveStorage)(this.ctx.storage);
  }

  /** Takes the object out of memory, because its files have been replaced. */
  forget(): void {
    this.ctx.abort("its storage was dropped");
  }

  /** Resolves when the directory knows of the last change, or the try to send it has failed. */
  untilListed(): Promise<void> {
    return this.#outbox.settled();
  }

  publish(
    caller: Caller,
    events: readonly NewEvent[],
    key?: PublishKey,
  ): Promise<Outcome<Published>> {
    return this.#publishing.publish(caller, events, key);
  }

  /** Ends the stream for good, after one last event if there is one. */
  endStream(caller: Caller, last?: NewEvent): Promise<Outcome<StreamEnd>> {
    return this.#publishing.end(caller, last);
  }

  readEvents(caller: Caller, query: PageQuery): Outcome<EventPage> {
    const now = this.#hear(caller);
    const session = this.#life.owned(caller, now);
    if (!session) return refuse("session_not_found");
    if (query.touch !== false) this.#life.touch(session, now);
    return succeed(session.events.read(query));
  }

  /** Ends every stream. Publishing is refused until a reader attaches again. */
  async disconnect(caller: Caller): Promise<Outcome<null>> {
    const now = this.#hear(caller);
    const session = this.#life.owned(caller, now);
    if (!session) return refuse("session_not_found");
    this.#life.touch(session, now);
    session.events.disconnect();
    await this.#life.endStreams();
    return succeed(null);
  }

  /** Makes the session of an MCP client, once its upstream has agreed. `content` names the owner. */
  async initialize(
    id: SessionId,
    content: SessionContent,
    request: InitializeRequest,
    version?: number,
  ): Promise<Outcome<InitializeAnswer>> {
    requireKnownVersion(version);
    if (this.#life.live(Date.now())) return refuse("session_already_exists");
    return this.#gateway.initialize(request, { subject: undefined, ...content, id }, (upstream) => {
      const metadata = { ...content.metadata, ...upstream };
      return this.create({ admin: true }, id, { ...content, metadata });
    });
  }

  /**
   * Carries one POST of an MCP client to its upstream. With `asText`, the usual answer, JSON with the
   * status 200, comes as its text alone: over RPC an object costs more (8 µs of a call).
   */
  async exchange(
    caller: Caller,
    request: ExchangeRequest,
    asText = false,
  ): Promise<Outcome<ExchangeAnswer> | string> {
    const now = this.#hear(caller);
    const session = this.#life.owned(caller, now);
    if (!session || !matches(session.record, request.match)) return refuse("session_not_found");
    this.#life.touch(session, now);
    const exchange = this.#gateway.exchange(session.record, request);
    if (!exchange.ok) return exchange;
    const answer = await exchange.value.answer;
    if (!answer.ok) return answer;
    if (answer.value.kind === "accepted") this.#gateway.cancel(session.record, request.cancels);
    return asText ? (plainText(answer.value) ?? answer) : answer;
  }

  /** Carries a tool call that may become this object's task, or answers a request about that. */
  async task(caller: Caller, id: SessionId, ask: TaskAsk): Promise<Outcome<TaskAnswer>> {
    const now = this.#hear(caller);
    if (ask.kind === "call" && !this.#life.live(now)) return this.#tasks.call(caller, id, ask);
    const session = this.#life.owned(caller, now);
    return this.#tasks.answer(ask, session?.record.type, session?.events.lastEventId);
  }

  /** Attaches a reader: a WebSocket upgrade, with an Attachment as JSON in `attach`. */
  override fetch(request: Request): Promise<Response> {
    // Only the Durable Object host calls this, after the HTTP front has validated the request.
    const attachment = new URL(request.url).searchParams.get("attach") ?? "";
    return this.#attaching.attach(JSON.parse(attachment) as Attachment);
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    this.#attaching.receive(socket, message);
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    this.#attaching.closed(socket, code, reason);
  }

  override webSocketError(socket: WebSocket): void {
    this.webSocketClose(socket, 1006, "");
  }

  override alarm(alarm?: AlarmInvocationInfo): Promise<void> {
    return this.#life.wake(Date.now(), alarm?.retryCount);
  }

  async #replace(
    caller: Caller,
    session: LiveSession,
    content: SessionContent,
    ifMatch: IfMatch | undefined,
    now: number,
  ): Promise<Outcome<SessionView>> {
    const { record } = session;
    const refusal = changeRefusal(caller, record, content.metadata, ifMatch);
    if (refusal) return refusal;
    const changed = this.#life.change(session, replaced(record, content, caller), now);
    if (!changed.ok || session.record.subject === record.subject) return changed;
    // The former owner's readers must not follow the new owner's session, nor its server serve it.
    this.#gateway.restart(session.record);
    await this.#life.endStreams();
    return succeed(this.#life.view(session, now));
  }

  /** Checks the version of a call. Returns the time, in milliseconds since the epoch. */
  #hear({ version }: Caller): number {
    requireKnownVersion(version);
    return Date.now();
  }

  #openSession(): OpenSession | null {
    const session = this.#life.load(Date.now());
    if (!session) return null;
    const { id, subject, epoch, metadata } = session.record;
    const patchMetadata: OpenSession["patchMetadata"] = (patch) =>
      this.patch({ admin: true }, { metadata: patch }).ok ? session.record.metadata : undefined;
    return { id, subject, epoch, metadata, patchMetadata };
  }
}
