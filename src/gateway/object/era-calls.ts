/**
 * The calls of clients of the stateless revision that one session carries to a server of the revisions with
 * sessions. The clients are one principal's, with one name and the same capabilities.
 */
import type { Config } from "../../config/service.ts";
import type { Outcome } from "../../core/errors.ts";
import type { Logger } from "../../logger.ts";
import type { ChannelParts } from "../../stream/channel.ts";
import type { EraRequest, ExchangeRequest, GatewaySession, Listen } from "../contract.ts";
import {
  discoverResult,
  inputRequired,
  modernResponse,
  stateRefused,
} from "../eras/modern-answer.ts";
import { stateIn } from "../eras/slots.ts";
import { isTaskCall } from "../eras/task-call-id.ts";
import { DISCOVER } from "../eras/wire.ts";
import type { RequestId } from "../json-rpc.ts";
import type { ObjectServer } from "../own/object-server.ts";
import { FAILURES, reportFailure } from "../upstream/failure.ts";
import type { WakeTask } from "../upstream/upstream.ts";
import type { Answering } from "./client-answer.ts";
import { described } from "./described.ts";
import { EraAnswer } from "./era-answer.ts";
import type { EraBridge } from "./era-bridge.ts";
import { answeredAtOnce, busy, once, type Carried } from "./era-carried.ts";
import { EraDoubt } from "./era-doubt.ts";
import { EraEntry } from "./era-entry.ts";
import { EraLeg } from "./era-leg.ts";
import { EraListens } from "./era-listens.ts";
import { cancelled, fromLog, leftAt, placeOf, repliesTo } from "./era-places.ts";
import { EraRunning } from "./era-running.ts";
import { EraSender } from "./era-sender.ts";
import { EraStates, type EraState } from "./era-states.ts";
import { EraTasks } from "./era-tasks.ts";
import type { OpenExchange } from "./exchange-table.ts";
import type { Exchange } from "./exchange.ts";
import type { ExchangeLimits } from "./streamed-answer.ts";
import type { UpstreamLink } from "./upstream-link.ts";
import type { UpstreamState } from "./upstream-state.ts";

type Headers = ExchangeRequest["headers"];

interface EraCallsParts {
  readonly link: UpstreamLink;
  readonly channel: ChannelParts;
  readonly limits: ExchangeLimits & Pick<Config, "keepaliveMs">;
  readonly level: () => UpstreamState;
  readonly eras: Pick<EraBridge, "isBridged" | "capabilities" | "binding">;
  readonly own: Pick<ObjectServer, "serves" | "restart">;
  readonly start: (
    request: ExchangeRequest,
    how: { readonly client?: Answering; readonly left?: OpenExchange | undefined },
  ) => Outcome<Exchange>;
  readonly over: (headers: Headers) => void;
  readonly wakeTask: WakeTask;
  readonly log: Logger;
}

export class EraCalls {
  readonly #parts: EraCallsParts;
  readonly #states: EraStates;
  readonly #doubt: EraDoubt;
  readonly #running: EraRunning;
  readonly #sender: EraSender;
  readonly #entry: EraEntry;
  readonly #listens: EraListens;
  readonly #tasks: EraTasks;

  constructor(parts: EraCallsParts) {
    this.#parts = parts;
    const { link, eras, own } = parts;
    const { kv } = parts.channel.storage;
    const maxBytes = parts.limits.bodyMaxBytes;
    const isOwn = own.serves(link.upstream.name);
    this.#states = new EraStates(kv);
    const sid = () => eras.binding.sid ?? "";
    const stored = () => link.streams.openExchanges();
    const server = () => described(kv);
    const doubt = new EraDoubt({ kv, upstream: link.upstream, server, sid, isOwn, stored });
    this.#doubt = doubt;
    const sender = (this.#sender = new EraSender({ ...parts, maxBytes, server }));
    const running = (this.#running = new EraRunning({
      doubt,
      stored,
      over: parts.over,
      sid: () => (isOwn ? "" : sid() || undefined),
      capabilities: () => eras.capabilities,
      reply: (text, headers) => sender.post(text, headers),
      after: (ms, work) => void link.timer.after(ms, work),
      isUntaken: (id) => this.#tasks.isUntaken(id),
    }));
    this.#tasks = new EraTasks({
      link,
      states: this.#states,
      doubt,
      sender,
      isRunning: (id) => running.has(id),
      cancel: (id, reason) => this.#cancel(id, reason),
      wakeTask: parts.wakeTask,
    });
    const restart = isOwn ? () => own.restart() : undefined;
    const endLeft = () =>
      link.streams.answerInterrupted(
        (left) => left.asked.some((id) => running.has(id)) || this.isAwaited(left),
      );
    this.#entry = new EraEntry({ link, running, doubt, sender, maxBytes, endLeft, restart });
    const tell: EraSender["tell"] = (...given) => sender.tell(...given);
    this.#listens = new EraListens({ streams: link.streams, server, tell, level: parts.level });
  }

  carry(request: ExchangeRequest, era: EraRequest): Carried {
    const { link, eras } = this.#parts;
    if (!eras.isBridged) return this.#carry(request, era);
    // The session was recovered with a server of the client's own revision. The Worker is told, if it still is one.
    const confirmed = link.confirm(request.headers);
    return this.#once(confirmed.then(() => this.#unbridged ?? this.#carry(request, era)));
  }

  /** The answer where the upstream speaks the client's own revision. */
  get #unbridged(): Carried | undefined {
    return this.#parts.eras.isBridged ? answeredAtOnce({ kind: "unbridged" }) : undefined;
  }

  /** Carries what `begun` brings. A failure before is the answer. */
  #once(begun: Promise<Carried>): Carried {
    const { log, link } = this.#parts;
    return once(
      begun.catch((cause: unknown) => {
        const failure = reportFailure(log, link.upstream, cause);
        return answeredAtOnce({ kind: "failed", failure });
      }),
    );
  }

  #carry(request: ExchangeRequest, era: EraRequest): Carried {
    if (era.task?.verb === "taken") return this.#tasks.taken(request, era);
    if (era.method === DISCOVER) {
      const text = `{"jsonrpc":"2.0","id":${era.id},"result":${discoverResult(described(this.#parts.channel.storage.kv))}}`;
      return answeredAtOnce({ kind: "json", status: 200, body: text });
    }
    const { task } = era;
    if (task?.verb === "resume") return this.#resume(request, era);
    if (task?.verb === "cancel") return this.#tasks.cancel(request, era);
    if (era.requestState !== undefined) return this.#goOn(request, era, era.requestState);
    const [id = ""] = request.pending;
    const begin = () => this.#unbridged ?? this.#run(request, this.#leg(era, id), id);
    const entered = this.#entry.enter(era, request.headers, begin);
    const taken = () => busy(this.#doubt.server);
    if (!entered) return taken();
    return entered instanceof Promise ? this.#once(entered.then((one) => one ?? taken())) : entered;
  }

  /** Whether a call that was left can go on, and its client may still answer what it was asked, or its task come back. */
  isAwaited({ stream, asked, upstreamId }: OpenExchange): boolean {
    const isAwaited = asked.some(isTaskCall) || this.#states.waiting(Date.now()).has(stream);
    if (isAwaited && upstreamId !== undefined) return true;
    this.#doubt.lost();
    return false;
  }

  /** Takes messages of the upstream that belong to no call. Returns those for the clients that listen. */
  unasked(texts: readonly string[]): string[] {
    return this.#running.unasked(texts);
  }

  /** The session has ended. */
  end(): void {
    this.#running.clear();
    this.#tasks.end();
    this.#entry.leave();
  }

  /** Attaches a `subscriptions/listen`. */
  listen(session: GatewaySession, socket: WebSocket, listen: Listen): void {
    // A server gives its standalone stream to one reader.
    this.#entry.leave();
    this.#listens.attach(session, socket, listen);
  }

  /** A client that listened has left. */
  left(session: GatewaySession, socket: WebSocket): void {
    const { upstream, streams } = this.#parts.link;
    this.#listens.left(session, socket);
    if (streams.isFollowed || upstream.listensInObject) return;
    // The server may ask on the stream that nobody else listens to now.
    for (const { exchange, answer, headers } of this.#running.values()) {
      if (answer.isAskable) this.#entry.listenDuring(exchange, headers);
    }
  }

  #run(request: ExchangeRequest, leg: EraLeg, upstreamId: RequestId, left?: OpenExchange): Carried {
    const { link, log, own, start } = this.#parts;
    const { name, listensInObject } = link.upstream;
    const answer = new EraAnswer(leg, {
      upstreamId,
      namesCalls: !listensInObject || own.serves(name),
      streams: link.streams,
      states: this.#states,
      waitsMs: request.withinMs ?? link.upstream.callMs,
      reply: (text) => this.#sender.post(text, request.headers),
      unasked: (text) => link.streams.receive(undefined, [text]),
      progress: (token, text) => this.#running.progress(token, text),
      onStray: () => log.warn("upstream.stray_response", { upstream: name }),
      tasks: this.#tasks,
      after: (ms, work) => link.timer.after(ms, work),
      row: left,
    });
    const started = start(request, { client: answer, left });
    if (!started.ok) return { answer: Promise.resolve(started), ended: Promise.resolve() };
    const exchange = started.value;
    this.#running.add(upstreamId, { exchange, answer, headers: request.headers, era: leg.request });
    this.#keep(upstreamId, leg.request);
    return exchange;
  }

  #leg(era: EraRequest, upstreamId: RequestId): EraLeg {
    const { limits, channel } = this.#parts;
    const { bodyMaxBytes: maxBytes, keepaliveMs } = limits;
    const bufferBytes = channel.limits.streamBufferBytes;
    const onLeft = () => {
      if (this.#running.get(upstreamId)?.answer.detach(leg)) return;
      this.#cancel(upstreamId, "The client closed the stream");
    };
    const leg: EraLeg = new EraLeg({ request: era, keepaliveMs, bufferBytes, maxBytes, onLeft });
    return leg;
  }

  /** Has a call outlive its client once it is a task's. Until then the upstream's timeout bounds it. */
  #keep(upstreamId: RequestId, { task }: EraRequest): void {
    const { answer, exchange } = this.#running.get(upstreamId) ?? {};
    if (!task || !answer || !exchange) return;
    const { timer, upstream } = this.#parts.link;
    if (task.afterMs === 0) return answer.keep();
    const callOff = [
      timer.after(task.afterMs, () => answer.keep()),
      timer.after(upstream.timeoutMs, () => {
        if (!exchange.isWaiting || task.afterMs <= upstream.timeoutMs) return;
        answer.fail(FAILURES.timedOut);
        exchange.cancel(upstreamId);
      }),
    ];
    void exchange.ended.then(() => callOff.forEach((call) => call()));
  }

  /** The client repeats a request, with the answers to what it was asked. */
  #goOn(request: ExchangeRequest, era: EraRequest, name: string): Carried {
    const { link } = this.#parts;
    const replies = (asks: EraState["asks"]) => repliesTo(asks, era.inputResponses);
    const state = this.#states.take(name, era, Date.now(), era.task && replies);
    if (typeof state === "string") {
      return answeredAtOnce({ kind: "json", status: 200, body: stateRefused(state, era.id) });
    }
    const { upstreamId } = state;
    const leg = this.#leg(era, upstreamId);
    const running = this.#running.get(upstreamId);
    const left = running ? undefined : leftAt(link.streams, state);
    if (!running && !left) return fromLog(link.streams, state, leg);
    const missing = state.asks.flatMap(([key, ask]) =>
      era.inputResponses[key] === undefined ? [ask] : [],
    );
    const answer = () => this.#deliver(name, replies(state.asks), upstreamId, request.headers);
    if (running) {
      running.answer.attend(leg, state.seq, missing);
      this.#keep(upstreamId, era);
      answer();
      return { answer: leg.answer, ended: running.exchange.ended };
    }
    const carried = this.#takeUp(request, leg, upstreamId, left);
    this.#running.get(upstreamId)?.answer.attend(leg, state.seq, missing);
    answer();
    return carried;
  }

  /** Goes on with a call that was left when the object's memory was lost. */
  #takeUp(request: ExchangeRequest, leg: EraLeg, id: RequestId, left?: OpenExchange): Carried {
    const carried = this.#run({ ...request, body: "", pending: [id] }, leg, id, left);
    if (this.#entry.mayHear(leg.request)) this.#entry.listenDuring(carried, request.headers);
    return carried;
  }

  /** A task's object was lost, and asks for the answer to the call that it had sent. */
  #resume(request: ExchangeRequest, era: EraRequest): Carried {
    const { streams } = this.#parts.link;
    const id = this.#tasks.callOf(request, era);
    const [name = "", state] = this.#states.lastOf(id) ?? [];
    const leg = this.#leg(era, id);
    // The task's object resumes a stream, so the answer must be one.
    leg.open();
    if (state && !state.isUsed) {
      leg.finish(inputRequired(era.id, new Map(state.asks), stateIn(era.slot, name)));
      return { answer: leg.answer, ended: Promise.resolve() };
    }
    const running = this.#running.get(id);
    const place = state ?? placeOf(streams, id);
    const left = place && !running ? leftAt(streams, place) : undefined;
    const untaken = this.#tasks.untaken(id);
    if (untaken !== undefined) {
      leg.finish(modernResponse(era.method, era.id, untaken));
      return { answer: leg.answer, ended: Promise.resolve() };
    }
    if (!running && !place && era.slot !== undefined) return busy();
    if (!running && !left) return fromLog(streams, place, leg);
    const carried = running
      ? { answer: leg.answer, ended: running.exchange.ended }
      : this.#takeUp(request, leg, id, left);
    // A leg that is attached has had all that was logged, even if its client has gone.
    const seq = running?.answer.isAttended ? undefined : place?.seq;
    this.#running.get(id)?.answer.takeUp(leg, seq ?? streams.lastSeq);
    // The object was lost before the server had taken them.
    if (!running && state?.replies) this.#deliver(name, state.replies, id, request.headers);
    this.#keep(id, era);
    return carried;
  }

  /** Nobody waits for this request any more. */
  #cancel(upstreamId: RequestId, reason: string): void {
    const running = this.#running.get(upstreamId);
    if (!running) return;
    running.exchange.cancel(upstreamId);
    this.#sender.post(cancelled(upstreamId, reason), running.headers);
  }

  /** Delivers the answers to the questions `name`. A server that does not take one would wait for it. */
  #deliver(name: string, replies: readonly string[], id: RequestId, headers: Headers): void {
    const all = replies.reduce(
      (before, text) => before.then(() => this.#sender.deliver(text, headers)),
      Promise.resolve(),
    );
    all.then(
      () => this.#states.delivered(name),
      (cause: unknown) => {
        const { link, log } = this.#parts;
        this.#running.get(id)?.answer.fail(reportFailure(log, link.upstream, cause));
        this.#cancel(id, "The answer of the client was refused");
      },
    );
  }
}
