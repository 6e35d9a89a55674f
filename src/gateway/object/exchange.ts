/**
 * One exchange: a POST of the client, the upstream's answer to it, and the stream that the answer
 * may become. It belongs to the session's object, so it goes on when the client leaves.
 * docs/mcp.md draws its states.
 */
import { describeFailure, type Logger } from "../../logger.ts";
import type { ExchangeAnswer, ExchangeRequest, Failure } from "../contract.ts";
import { idKey, messageOf, RPC_CODES, rpcError, type RequestId } from "../json-rpc.ts";
import { isObject, parseJson } from "../../wire/json.ts";
import {
  MAX_UPSTREAM_RESUMES,
  MAX_UPSTREAM_RETRY_MS,
  QUICK_ANSWER_MS,
  UPSTREAM_RETRY_MS,
  UPSTREAM_SETTLE_MS,
  UPSTREAM_SILENCE_MS,
} from "../../core/limits.ts";
import { refuse, succeed, type Outcome } from "../../core/errors.ts";
import { exceeds } from "../../wire/bytes.ts";
import { SseParser } from "../../wire/sse-parser.ts";
import { FAILURES, failureOf, mayPass, UpstreamError } from "../upstream/failure.ts";
import { HandshakeRefused } from "../upstream/handshake.ts";
import type { Reply } from "../upstream/call.ts";
import { wait } from "../upstream/call-deadline.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { OpenExchange } from "./exchange-table.ts";
import { SessionGone, type UpstreamLink } from "./upstream-link.ts";

export interface ExchangeLimits {
  /** Bytes of one message that is logged. */
  readonly eventMaxBytes: number;
  /** Bytes of an answer that is passed on as JSON. */
  readonly bodyMaxBytes: number;
}

type State =
  /** Nothing has been said to the client. */
  | { readonly kind: "waiting" }
  /** The answer goes to a stream; `row` survives a restart of the object. */
  | { readonly kind: "streaming"; readonly row: OpenExchange }
  | { readonly kind: "ended" };

export class Exchange {
  /** The answer to the client's POST. */
  readonly answer: Promise<Outcome<ExchangeAnswer>>;
  /** Resolves when nothing of the exchange runs any more. Never rejects. */
  readonly ended: Promise<void>;
  readonly #resolve: (answer: Outcome<ExchangeAnswer>) => void;
  readonly #request: ExchangeRequest;
  readonly #link: UpstreamLink;
  readonly #limits: ExchangeLimits;
  readonly #log: Logger;
  readonly #pending: Map<string, RequestId>;
  readonly #abort = new AbortController();
  #state: State = { kind: "waiting" };
  /** Answers that came while waiting, by the id of their request: a batch may have several. */
  readonly #held = new Map<string, string>();

  constructor(request: ExchangeRequest, link: UpstreamLink, limits: ExchangeLimits, log: Logger) {
    this.#request = request;
    this.#link = link;
    this.#limits = limits;
    this.#log = log;
    this.#pending = new Map(request.pending.map((id) => [idKey(id), id]));
    const { promise, resolve } = Promise.withResolvers<Outcome<ExchangeAnswer>>();
    this.answer = promise;
    this.#resolve = resolve;
    this.ended = this.#run().catch((cause) => void reportFailure(log, link.upstream, cause));
  }

  async #run(): Promise<void> {
    const legacy = this.#request.delivery === "standalone";
    if (legacy) this.#startStream();
    const hasRequests = this.#pending.size > 0;
    const callOff = hasRequests && !legacy ? this.#streamIn(QUICK_ANSWER_MS) : undefined;
    try {
      if (this.#request.initialize) await this.#initialize();
      else await this.#carry();
    } catch (cause) {
      this.#failed(cause);
    } finally {
      callOff?.();
    }
  }

  /** The client cancelled this request: it gets an error, and an exchange with no other request ends. */
  cancel(id: RequestId): void {
    if (!this.#pending.has(idKey(id)) || this.#state.kind === "ended") return;
    this.#take(idKey(id), rpcError(FAILURES.cancelled.code, FAILURES.cancelled.message, id));
    if (this.#isEnded()) this.#abort.abort();
  }

  /** The session has ended: each request that waits for an answer gets an error. */
  abandon(): void {
    if (this.#state.kind === "streaming") {
      for (const id of this.#pending.values()) {
        const error = rpcError(RPC_CODES.sessionNotFound, "Session not found", id);
        this.#link.streams.sendLast(this.#state.row.stream, error);
      }
    }
    this.#end(refuse("session_not_found"));
    this.#abort.abort();
  }

  async #initialize(): Promise<void> {
    const { body, headers } = this.#request;
    try {
      const { messages } = await this.#link.initialize(body, headers);
      for (const message of messages) this.#message(message);
    } catch (failure) {
      if (!(failure instanceof HandshakeRefused)) throw failure;
      this.#message(failure.body);
    }
  }

  async #carry(): Promise<void> {
    const { body, headers } = this.#request;
    if (this.#pending.size > 0) await this.#link.streams.upstreamHeld();
    const reply = await this.#link.post(body, headers, this.#abort.signal);
    if (this.#pending.size > 0) {
      return reply.ok && reply.isEventStream ? this.#readStream(reply) : this.#readJson(reply);
    }
    reply.discard();
    if (!reply.ok) throw new UpstreamError(FAILURES.refused);
    this.#end(succeed({ kind: "accepted" }));
  }

  async #readJson(reply: Reply): Promise<void> {
    if (!reply.isJson) {
      reply.discard();
      throw new UpstreamError(reply.ok ? FAILURES.broken : FAILURES.refused);
    }
    const text = await reply.text(this.#limits.bodyMaxBytes);
    const value = parseJson(text);
    if (!reply.ok) return this.#readError(reply.status, value);
    if (Array.isArray(value)) for (const one of value) this.#message(JSON.stringify(one), one);
    else this.#message(text, value);
    if (this.#pending.size > 0) throw new UpstreamError(FAILURES.broken);
  }

  /** Passes on a JSON-RPC error in an HTTP error. It may not say which request it is about. */
  #readError(status: number, value: unknown): void {
    const error =
      messageOf(value)?.kind === "response" && isObject(value) ? value["error"] : undefined;
    if (!isObject(error) || !mayPass(status)) throw new UpstreamError(FAILURES.refused);
    const errors = [...this.#pending.values()].map((id) =>
      JSON.stringify({ jsonrpc: "2.0", id, error }),
    );
    if (this.#state.kind === "waiting") this.#answerJson(status, errors);
    else for (const one of errors) this.#message(one);
  }

  /** Reads an SSE answer, and resumes it where the upstream broke it off. */
  async #readStream(first: Reply): Promise<void> {
    const settled = this.#streamIn(UPSTREAM_SETTLE_MS);
    const parser = new SseParser(this.#limits.eventMaxBytes);
    let reply = first;
    try {
      for (let resumes = 0; ; resumes++) {
        for await (const { data } of reply.messages(parser, UPSTREAM_SILENCE_MS)) {
          if (data !== "") {
            this.#message(data);
            resumes = 0;
          }
          if (this.#state.kind === "ended") return;
        }
        if (this.#isEnded()) return;
        const { lastEventId } = parser;
        if (lastEventId === undefined || resumes >= MAX_UPSTREAM_RESUMES) {
          throw new UpstreamError(FAILURES.closed);
        }
        this.#startStream();
        const pause = Math.min(parser.retryMs ?? UPSTREAM_RETRY_MS, MAX_UPSTREAM_RETRY_MS);
        await wait(pause, this.#abort.signal);
        if (this.#isEnded()) return;
        reply = await this.#link.resume(lastEventId, this.#request.headers, this.#abort.signal);
        if (!reply.ok || !reply.isEventStream) {
          reply.discard();
          throw new UpstreamError(FAILURES.closed);
        }
      }
    } finally {
      settled();
    }
  }

  /** Makes the answer a stream unless it is over in `ms`; the returned function calls that off. */
  #streamIn(ms: number): () => void {
    return this.#link.timer.after(ms, () => this.#startStream());
  }

  /** The state may have changed while this exchange waited; the compiler cannot know. */
  #isEnded(): boolean {
    return this.#state.kind === "ended";
  }

  /** Handles a message that came as part of the upstream's answer. */
  #message(data: string, value = parseJson(data)): void {
    if (this.#isEnded()) return;
    const message = messageOf(value);
    if (!message) throw new UpstreamError(FAILURES.broken);
    if (message.kind === "response") {
      const key = message.id === undefined ? undefined : idKey(message.id);
      const isNews = key !== undefined && this.#pending.has(key) && !this.#held.has(key);
      if (isNews) this.#take(key, data);
      else this.#log.warn("upstream.stray_response", { upstream: this.#link.upstream.name });
      return;
    }
    this.#startStream();
    if (this.#state.kind !== "streaming") return;
    this.#link.streams.append(this.#state.row.stream, this.#loggable(data));
  }

  /** Throws where a message is too large for the log: JSON answers have a larger bound. */
  #loggable(data: string): string {
    if (exceeds(data, this.#limits.eventMaxBytes)) throw new UpstreamError(FAILURES.tooLarge);
    return data;
  }

  /** Handles the answer to a pending request. */
  #take(key: string, data: string): void {
    if (this.#state.kind === "streaming") {
      const { row } = this.#state;
      const left = new Map(this.#pending);
      left.delete(key);
      this.#link.streams.answer(row, [this.#loggable(data)], [...left.values()]);
      this.#pending.delete(key);
      if (this.#pending.size > 0) return;
      this.#state = { kind: "ended" };
      if (this.#request.delivery === "own") this.#link.streams.endStream(row.stream);
      return;
    }
    this.#held.set(key, data);
    if (this.#held.size === this.#pending.size) this.#answerJson(200, [...this.#held.values()]);
  }

  #answerJson(status: number, answers: readonly string[]): void {
    const body = this.#request.batch ? `[${answers.join(",")}]` : (answers[0] ?? "");
    this.#pending.clear();
    this.#end(succeed({ kind: "json", status, body }));
  }

  /** The answer takes long, or is a stream: from here on the log has it, and the client follows that. */
  #startStream(): void {
    if (this.#state.kind !== "waiting") return;
    const legacy = this.#request.delivery === "standalone";
    if (this.#pending.size === 0) {
      // A legacy client does not hear of a notification that failed.
      if (legacy) this.#resolve(succeed({ kind: "accepted" }));
      return;
    }
    const row = this.#link.streams.beginExchange([...this.#request.pending], legacy);
    this.#state = { kind: "streaming", row };
    this.#resolve(succeed(legacy ? { kind: "accepted" } : { kind: "stream", stream: row.stream }));
    for (const [key, data] of this.#held) this.#take(key, data);
  }

  #failed(cause: unknown): void {
    if (this.#state.kind === "ended") return;
    if (cause instanceof SessionGone) return this.abandon();
    const failure = reportFailure(this.#log, this.#link.upstream, cause);
    if (this.#state.kind === "waiting") return this.#end(succeed({ kind: "failed", failure }));
    for (const [key, id] of this.#pending)
      this.#take(key, rpcError(failure.code, failure.message, id));
  }

  /** Ends the exchange. The client gets `answer` unless it has one already. */
  #end(answer: Outcome<ExchangeAnswer>): void {
    this.#state = { kind: "ended" };
    this.#resolve(answer);
  }
}

/** Logs why an upstream gave no answer, and returns the failure for the client. */
export function reportFailure(log: Logger, { name }: Upstream, cause: unknown): Failure {
  const failure = failureOf(cause);
  log.warn("upstream.failed", {
    upstream: name,
    failure: failure.message,
    cause: cause instanceof UpstreamError ? undefined : describeFailure(cause),
  });
  return failure;
}
