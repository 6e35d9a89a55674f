/**
 * The calls of clients of the stateless revision that one session carries to a server of the revisions with
 * sessions. The clients are one principal's, with one name and the same capabilities.
 */
import type { Outcome } from "../../core/errors.ts";
import type { Logger } from "../../logger.ts";
import { memberText } from "../../wire/json-text.ts";
import type { EraRequest, ExchangeRequest, GatewaySession, Listen } from "../contract.ts";
import { CHANGES, discoverResult, heardOf, modernResponse } from "../eras/modern-answer.ts";
import { ASKING_METHODS, DISCOVER } from "../eras/wire.ts";
import { isObject, parseJson } from "../../wire/json.ts";
import { messagesIn, rpcError, RPC_CODES, type RequestId } from "../json-rpc.ts";
import { FAILURES, reportFailure } from "../upstream/failure.ts";
import type { Answering } from "./client-answer.ts";
import { answeredAtOnce, EraAnswer } from "./era-answer.ts";
import { EraLeg } from "./era-leg.ts";
import { EraListener } from "./era-listener.ts";
import { EraListens } from "./era-listens.ts";
import { EraSender } from "./era-sender.ts";
import { EraStates, type EraState } from "./era-states.ts";
import type { OpenExchange } from "./exchange-table.ts";
import type { Exchange } from "./exchange.ts";
import type { UpstreamLink } from "./upstream-link.ts";
import type { UpstreamState } from "./upstream-state.ts";

type Carried = Pick<Exchange, "answer" | "ended">;
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

/** Key of the upstream's result of initialize. */
const SERVER = "era-server";
/** Questions about no call that wait for one. */
const MAX_UNASKED = 16;

interface Running {
  readonly exchange: Exchange;
  readonly answer: EraAnswer;
  /** The credentials with which it was begun. */
  readonly headers: Headers;
}

export class EraCalls {
  readonly #parts: EraCallsParts;
  readonly #states: EraStates;
  /** By the request's id at the upstream. */
  readonly #running = new Map<RequestId, Running>();
  /** Questions that came with no call under way. */
  readonly #waiting: string[] = [];
  readonly #sender: EraSender;
  readonly #listener: EraListener;
  readonly #listens: EraListens;

  constructor(parts: EraCallsParts) {
    this.#parts = parts;
    this.#states = new EraStates(parts.storage.kv);
    const { link, maxBytes } = parts;
    this.#sender = new EraSender(parts);
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
    // The session was recovered with a server of the client's own revision. The Worker is told, if it still is one.
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
    if (era.requestState !== undefined) return this.#goOn(request, era, era.requestState);
    const level = this.#levelToSet(era.logLevel);
    const listens = this.#mayHear(era);
    if (level === undefined && (!listens || this.#listener.isReady)) {
      return this.#begin(request, era, listens);
    }
    const ready = Promise.all([
      level === undefined ? undefined : this.#setLevel(level, request.headers),
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

  /** Whether the client of a call that was left may still answer what it was asked. */
  isAwaited({ stream }: OpenExchange): boolean {
    return this.#states.waiting(Date.now()).has(stream);
  }

  /** Takes messages of the upstream that belong to no call. Returns those for the clients that listen. */
  unasked(texts: readonly string[]): string[] {
    return texts.filter((text) => {
      const [only] = messagesIn(text);
      if (only?.message.kind === "notification") {
        if (only.message.method === "notifications/progress") this.#progress(undefined, text);
        if (only.message.method === "notifications/message") this.#log(text);
        return CHANGES.has(only.message.method);
      }
      if (only?.message.kind === "request") this.#ask(text);
      return false;
    });
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
      waitsMs: link.upstream.callMs,
      reply: (text) => this.#sender.post(text, request.headers),
      unasked: (text) => link.streams.receive(undefined, [text]),
      progress: (token, text) => this.#progress(token, text),
      onStray: () => log.warn("upstream.stray_response", { upstream: link.upstream.name }),
      after: (ms, work) => link.timer.after(ms, work),
      row: left,
    });
    const started = start(request, { client: answer, left });
    if (!started.ok) return { answer: Promise.resolve(started), ended: Promise.resolve() };
    const exchange = started.value;
    this.#running.set(upstreamId, { exchange, answer, headers: request.headers });
    void exchange.ended.then(() => this.#running.delete(upstreamId));
    for (const text of answer.isAskable ? this.#waiting.splice(0) : []) answer.asked(text);
    return exchange;
  }

  #leg(era: EraRequest, upstreamId: RequestId): EraLeg {
    const { bufferBytes, maxBytes, keepaliveMs } = this.#parts;
    const onLeft = () => this.#cancel(upstreamId, "The client closed the stream");
    return new EraLeg({ request: era, keepaliveMs, bufferBytes, maxBytes, onLeft });
  }

  /** The client repeats a request, with the answers to what it was asked. */
  #goOn(request: ExchangeRequest, era: EraRequest, name: string): Carried {
    const state = this.#states.take(name, era, Date.now());
    if (typeof state === "string") {
      const data = { reason: "invalid_request_state" };
      const body = rpcError(RPC_CODES.invalidParams, state, era.id, data);
      return answeredAtOnce({ kind: "json", status: 200, body });
    }
    const { upstreamId } = state;
    const leg = this.#leg(era, upstreamId);
    const running = this.#running.get(upstreamId);
    const left = running ? undefined : this.#leftAt(state);
    if (!running && !left) return this.#fromLog(state, leg);
    const replies = state.asks.flatMap(([key, { id }]) => {
      const given = era.inputResponses[key];
      return given === undefined ? [] : [`{"jsonrpc":"2.0","id":${id},"result":${given}}`];
    });
    const missing = state.asks.flatMap(([key, ask]) =>
      era.inputResponses[key] === undefined ? [ask] : [],
    );
    const answers = async (): Promise<void> => {
      for (const text of replies) await this.#sender.deliver(text, request.headers);
    };
    if (running) {
      running.answer.attend(leg, state.seq, missing);
      void answers().catch((cause: unknown) => this.#failed(upstreamId, cause));
      return { answer: leg.answer, ended: running.exchange.ended };
    }
    const resumed = { ...request, body: "", pending: [upstreamId] };
    const carried = this.#run(resumed, leg, upstreamId, left);
    if (this.#mayHear(era)) this.#listenDuring(carried, request.headers);
    this.#running.get(upstreamId)?.answer.attend(leg, state.seq, missing);
    void answers().catch((cause: unknown) => this.#failed(upstreamId, cause));
    return carried;
  }

  /** The call that was left when the object's memory was lost, and where to take it up. */
  #leftAt({ stream, seq, resumesAfter }: EraState): OpenExchange | undefined {
    const { streams } = this.#parts.link;
    const left = streams.openExchanges().find((one) => one.stream === stream);
    return left && { ...left, upstreamId: streams.resumesAfter(stream, seq) ?? resumesAfter };
  }

  /** The call is over: what it said is in the log. */
  #fromLog({ stream, seq, upstreamId }: EraState, leg: EraLeg): Carried {
    const { request } = leg;
    for (const text of this.#parts.link.streams.messagesAfter(stream, seq)) {
      const heard = heardOf(text, request.capabilities);
      if (heard.kind === "response" && heard.id === upstreamId) {
        leg.finish(modernResponse(request.method, request.id, text));
      }
    }
    leg.fail(FAILURES.interrupted);
    return { answer: leg.answer, ended: Promise.resolve() };
  }

  /** A question that names no call goes to the one that the client waits for, or will be asked about. */
  #ask(text: string): void {
    const askable = [...this.#running.values()].filter(({ answer }) => answer.isAskable);
    const call = askable.find(({ answer }) => answer.isAttended) ?? askable[0];
    if (call) return call.answer.asked(text);
    this.#waiting.push(text);
    if (this.#waiting.length > MAX_UNASKED) this.#waiting.shift();
  }

  #progress(token: RequestId | undefined, text: string): void {
    const named = token ?? memberText(memberText(text, "params") ?? "", "progressToken") ?? "";
    this.#running.get(named)?.answer.progressed(text);
  }

  /** A log message that names no call goes to the first call that asked for its level. */
  #log(text: string): void {
    for (const { answer } of this.#running.values()) if (answer.logged(text)) return;
  }

  /** Nobody waits for this request any more. */
  #cancel(upstreamId: RequestId, reason: string): void {
    const running = this.#running.get(upstreamId);
    if (!running) return;
    running.exchange.cancel(upstreamId);
    const params = `{"requestId":${upstreamId},"reason":${JSON.stringify(reason)}}`;
    const text = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`;
    this.#sender.post(text, running.headers);
  }

  #levelToSet(level: string | undefined): string | undefined {
    if (level === undefined || this.#parts.level().level === level) return undefined;
    const server = parseJson(this.server);
    const offered = isObject(server) ? server["capabilities"] : undefined;
    return isObject(offered) && offered["logging"] !== undefined ? level : undefined;
  }

  /** Calls that come together may each ask for a level: they share the last one, and filter what they get. */
  async #setLevel(level: string, headers: Headers): Promise<void> {
    if (await this.#sender.tell("logging/setLevel", { level }, headers)) {
      this.#parts.level().apply({ kind: "level", level });
    }
  }

  /** The server did not take the client's answer, for which it waits. */
  #failed(upstreamId: RequestId, cause: unknown): void {
    const { link, log } = this.#parts;
    this.#running.get(upstreamId)?.answer.fail(reportFailure(log, link.upstream, cause));
    this.#cancel(upstreamId, "The answer of the client was refused");
  }
}

/** What is carried once that has begun. */
function once(begun: Promise<Carried>): Carried {
  return {
    answer: begun.then(({ answer }) => answer),
    ended: begun.then(({ ended }) => ended),
  };
}
