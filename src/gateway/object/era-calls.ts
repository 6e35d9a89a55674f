/**
 * The calls of clients of the stateless revision that one session carries to a server of the revisions with
 * sessions. The clients are one principal's, with one name and the same capabilities.
 */
import type { Outcome } from "../../core/errors.ts";
import type { Logger } from "../../logger.ts";
import { memberText } from "../../wire/json-text.ts";
import type { EraRequest, ExchangeRequest, GatewaySession, Listen } from "../contract.ts";
import { discoverResult, inputRequired } from "../eras/modern-answer.ts";
import { isTaskCall } from "../eras/task-call-id.ts";
import { ASKING_METHODS, DISCOVER } from "../eras/wire.ts";
import { isObject } from "../../wire/json.ts";
import { rpcError, RPC_CODES, type RequestId } from "../json-rpc.ts";
import { FAILURES, reportFailure } from "../upstream/failure.ts";
import type { Answering } from "./client-answer.ts";
import { answeredAtOnce, EraAnswer, once, type Carried } from "./era-answer.ts";
import { EraLeg } from "./era-leg.ts";
import { EraListener } from "./era-listener.ts";
import { EraListens } from "./era-listens.ts";
import { cancelled, fromLog, leftAt, placeOf, repliesTo } from "./era-places.ts";
import { EraRunning } from "./era-running.ts";
import { EraSender } from "./era-sender.ts";
import { EraStates, type EraState } from "./era-states.ts";
import type { OpenExchange } from "./exchange-table.ts";
import type { Exchange } from "./exchange.ts";
import type { UpstreamLink } from "./upstream-link.ts";
import type { UpstreamState } from "./upstream-state.ts";

type Headers = ExchangeRequest["headers"];

interface EraCallsParts {
  readonly link: UpstreamLink;
  readonly storage: DurableObjectStorage;
  /** Bytes that may wait for a client that reads slowly. */
  readonly bufferBytes: number;
  /** Bytes of one message of the upstream. */
  readonly maxBytes: number;
  /** Milliseconds between comments on a client's stream. */
  readonly keepaliveMs: number;
  readonly level: () => UpstreamState;
  /** Whether the upstream of the session speaks the stateless revision. */
  readonly isBridged: () => boolean;
  readonly start: (
    request: ExchangeRequest,
    how: { readonly client?: Answering; readonly left?: OpenExchange | undefined },
  ) => Outcome<Exchange>;
  readonly log: Logger;
}

/** Why the upstream is to stop. */
const CANCELLED = "The task was cancelled";
/** Key of the upstream's result of initialize. */
const SERVER = "era-server";
export class EraCalls {
  readonly #parts: EraCallsParts;
  readonly #states: EraStates;
  readonly #running = new EraRunning();
  readonly #sender: EraSender;
  readonly #listener: EraListener;
  readonly #listens: EraListens;

  constructor(parts: EraCallsParts) {
    this.#parts = parts;
    this.#states = new EraStates(parts.storage.kv);
    const { link, maxBytes } = parts;
    this.#sender = new EraSender({ ...parts, server: () => this.server });
    this.#listener = new EraListener({
      maxBytes,
      silenceMs: link.upstream.silenceMs,
      open: (headers, signal, lastEventId) => link.listen(headers, signal, lastEventId),
      receive: (messages) => link.streams.receive(undefined, messages),
    });
    this.#listens = new EraListens({
      streams: link.streams,
      server: () => this.server,
      tell: (...given) => this.#sender.tell(...given),
      level: parts.level,
    });
  }

  /** Keeps what `server/discover` tells. `messages` are those of the upstream, its answer the last one. */
  static initialized(storage: DurableObjectStorage, messages: readonly string[]): void {
    const result = memberText(messages.at(-1) ?? "", "result");
    if (result !== undefined) storage.kv.put(SERVER, result);
  }

  /** The server's description of itself. */
  get server(): string {
    return this.#parts.storage.kv.get<string>(SERVER) ?? "{}";
  }

  carry(request: ExchangeRequest, era: EraRequest): Carried {
    const { link, isBridged, log } = this.#parts;
    if (!isBridged()) return this.#carry(request, era);
    // The session was recovered with a server of the client's own revision. If it still is one, this tells the Worker.
    const settled = link.confirm(request.headers).then(
      () => (isBridged() ? answeredAtOnce({ kind: "unbridged" }) : this.#carry(request, era)),
      (cause: unknown) => {
        return answeredAtOnce({
          kind: "failed",
          failure: reportFailure(log, link.upstream, cause),
        });
      },
    );
    return once(settled);
  }

  #carry(request: ExchangeRequest, era: EraRequest): Carried {
    if (era.method === DISCOVER) {
      const text = `{"jsonrpc":"2.0","id":${era.id},"result":${discoverResult(this.server)}}`;
      return answeredAtOnce({ kind: "json", status: 200, body: text });
    }
    const { task } = era;
    if (task?.verb === "resume") return this.#resume(request, era);
    if (task?.verb === "cancel") return this.#cancelTask(request, era);
    if (era.requestState !== undefined) return this.#goOn(request, era, era.requestState);
    const level = this.#sender.levelToSet(era.logLevel);
    const listens = this.#mayHear(era);
    if (level === undefined && (!listens || this.#listener.isReady)) {
      return this.#begin(request, era, listens);
    }
    const ready = Promise.all([
      level === undefined ? undefined : this.#sender.setLevel(level, request.headers),
      // Held for the moment until the call itself holds it.
      listens ? this.#listener.use(request.headers) : undefined,
    ]);
    const begun = ready.then(() => {
      const carried = this.#begin(request, era, listens);
      if (listens) this.#listener.release();
      return carried;
    });
    return once(begun);
  }

  /** Whether the server may say something of this call by its standalone stream, to which nobody listens. */
  #mayHear({ method, capabilities, progressToken, logLevel }: EraRequest): boolean {
    const { upstream, streams } = this.#parts.link;
    if (upstream.listensInObject || streams.isFollowed || !ASKING_METHODS.has(method)) return false;
    // Many servers name no call in what they send: not in a question, in progress, nor in a log message.
    if (progressToken !== undefined || logLevel !== undefined) return true;
    return ["elicitation", "sampling", "roots"].some((name) => isObject(capabilities[name]));
  }

  /** Whether the client of a call that was left may still answer what it was asked, or its task come back. */
  isAwaited({ stream, asked }: OpenExchange): boolean {
    return asked.some(isTaskCall) || this.#states.waiting(Date.now()).has(stream);
  }

  /** Takes messages of the upstream that belong to no call. Returns those for the clients that listen. */
  unasked(texts: readonly string[]): string[] {
    return this.#running.unasked(texts);
  }

  /** The session has ended. */
  end(): void {
    this.#running.clear();
    this.#listener.end();
  }

  /** Attaches a `subscriptions/listen`. */
  listen(session: GatewaySession, socket: WebSocket, listen: Listen): void {
    // A server gives its standalone stream to one reader.
    this.#listener.end();
    this.#listens.attach(session, socket, listen);
  }

  /** A client that listened has left. */
  left(session: GatewaySession, socket: WebSocket): void {
    const { upstream, streams } = this.#parts.link;
    this.#listens.left(session, socket);
    if (streams.isFollowed || upstream.listensInObject) return;
    // The server may ask on the stream that nobody else listens to now.
    for (const { exchange, answer, headers } of this.#running.values()) {
      if (answer.isAskable) this.#listenDuring(exchange, headers);
    }
  }

  #begin(request: ExchangeRequest, era: EraRequest, listens: boolean): Carried {
    const [upstreamId = ""] = request.pending;
    const leg = this.#leg(era, upstreamId);
    const carried = this.#run(request, leg, upstreamId);
    if (listens) this.#listenDuring(carried, request.headers);
    return carried;
  }

  #listenDuring({ ended }: Carried, headers: Headers): void {
    void this.#listener.use(headers);
    void ended.then(() => this.#listener.release());
  }

  #run(request: ExchangeRequest, leg: EraLeg, upstreamId: RequestId, left?: OpenExchange): Carried {
    const { link, log, start } = this.#parts;
    const answer = new EraAnswer(leg, {
      upstreamId,
      streams: link.streams,
      states: this.#states,
      waitsMs: request.withinMs ?? link.upstream.callMs,
      reply: (text) => this.#sender.post(text, request.headers),
      unasked: (text) => link.streams.receive(undefined, [text]),
      progress: (token, text) => this.#running.progress(token, text),
      onStray: () => log.warn("upstream.stray_response", { upstream: link.upstream.name }),
      after: (ms, work) => link.timer.after(ms, work),
      row: left,
    });
    const started = start(request, { client: answer, left });
    if (!started.ok) return { answer: Promise.resolve(started), ended: Promise.resolve() };
    const exchange = started.value;
    this.#running.add(upstreamId, { exchange, answer, headers: request.headers });
    this.#keep(upstreamId, leg.request);
    return exchange;
  }

  #leg(era: EraRequest, upstreamId: RequestId): EraLeg {
    const { bufferBytes, maxBytes, keepaliveMs } = this.#parts;
    const onLeft = () => {
      if (this.#running.get(upstreamId)?.answer.detach(leg)) return;
      this.#cancel(upstreamId, "The client closed the stream");
    };
    const leg = new EraLeg({ request: era, keepaliveMs, bufferBytes, maxBytes, onLeft });
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
      const data = { reason: "invalid_request_state" };
      const body = rpcError(RPC_CODES.invalidParams, state, era.id, data);
      return answeredAtOnce({ kind: "json", status: 200, body });
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
    if (this.#mayHear(leg.request)) this.#listenDuring(carried, request.headers);
    return carried;
  }

  /** A task's object was lost, and asks for the answer to the call that it had sent. */
  #resume(request: ExchangeRequest, era: EraRequest): Carried {
    const { streams } = this.#parts.link;
    const id = this.#callOf(request, era);
    const [name = "", state] = this.#states.lastOf(id) ?? [];
    const leg = this.#leg(era, id);
    // The task's object resumes a stream, so the answer must be one.
    leg.open();
    if (state && !state.isUsed) {
      leg.finish(inputRequired(era.id, new Map(state.asks), name));
      return { answer: leg.answer, ended: Promise.resolve() };
    }
    const running = this.#running.get(id);
    const place = state ?? placeOf(streams, id);
    const left = place && !running ? leftAt(streams, place) : undefined;
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

  #cancelTask(request: ExchangeRequest, era: EraRequest): Carried {
    const { streams } = this.#parts.link;
    const id = this.#callOf(request, era);
    if (this.#running.has(id)) this.#cancel(id, CANCELLED);
    else {
      const left = streams.openExchanges().find(({ asked }) => asked.includes(id));
      if (left) {
        streams.say(left, [], []);
        this.#sender.post(cancelled(id, CANCELLED), request.headers);
      }
    }
    const body = `{"jsonrpc":"2.0","id":${era.id},"result":{}}`;
    return answeredAtOnce({ kind: "json", status: 200, body });
  }

  /** The upstream's id of a task's call. An earlier request, which was answered by a question, may have begun it. */
  #callOf({ pending }: ExchangeRequest, { requestState }: EraRequest): RequestId {
    const asked = requestState === undefined ? undefined : this.#states.callOf(requestState);
    return asked ?? pending[0] ?? "";
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
