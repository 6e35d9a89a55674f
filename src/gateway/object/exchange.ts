/**
 * One exchange: a POST of the client, the upstream's answer to it, and the stream that the answer
 * may become. It belongs to the session's object, so it goes on when the client leaves.
 * docs/mcp.md draws its states.
 */
import type { Logger } from "../../logger.ts";
import type { ExchangeAnswer, ExchangeRequest } from "../contract.ts";
import {
  messagesIn,
  RPC_CODES,
  rpcError,
  type RequestId,
  type WrittenMessage,
} from "../json-rpc.ts";
import {
  QUICK_ANSWER_MS,
  UPSTREAM_DOUBT_MS,
  UPSTREAM_HEAD_MS,
  UPSTREAM_SETTLE_MS,
} from "../../core/limits.ts";
import { refuse, succeed, type Outcome } from "../../core/errors.ts";
import type { Hold } from "../../http/held-bytes.ts";
import { FAILURES, reportFailure, UpstreamError } from "../upstream/failure.ts";
import { HandshakeRefused } from "../upstream/handshake.ts";
import { isAboutNothing, meantFor, type KeptHeaders, type Settled } from "../upstream/meaning.ts";
import type { OpenExchange } from "./exchange-table.ts";
import { PendingRequests } from "./pending-requests.ts";
import { StreamedAnswer, type ExchangeLimits } from "./streamed-answer.ts";
import { Turn } from "./turn.ts";
import { SessionGone, type Streamed, type UpstreamLink } from "./upstream-link.ts";

interface ExchangeParts {
  readonly link: UpstreamLink;
  readonly limits: ExchangeLimits;
  readonly log: Logger;
  /** Counts the body of the POST. The exchange releases it. */
  readonly hold: Hold;
  /** Called when the upstream's stream begins, and for each message on it: both count as use of the session. */
  readonly used: () => void;
}

type State =
  /** The client's POST is not answered yet. */
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
  #request: ExchangeRequest;
  readonly #hold: Hold;
  readonly #link: UpstreamLink;
  readonly #limits: ExchangeLimits;
  readonly #log: Logger;
  readonly #used: () => void;
  readonly #pending: PendingRequests;
  readonly #abort = new AbortController();
  #state: State = { kind: "waiting" };
  /** Messages for the stream that are yet to be stored and sent. */
  readonly #turn = new Turn();
  /** Whether the upstream's answer is still to begin. Once begun, a stream may bring nothing for ever. */
  isWaiting = true;

  constructor(request: ExchangeRequest, { link, limits, log, hold, used }: ExchangeParts) {
    this.#request = request;
    this.#hold = hold;
    this.#link = link;
    this.#limits = limits;
    this.#log = log;
    this.#used = used;
    this.#pending = new PendingRequests(request.pending);
    const { promise, resolve } = Promise.withResolvers<Outcome<ExchangeAnswer>>();
    this.answer = promise;
    this.#resolve = resolve;
    this.ended = this.#run().catch((cause) => void reportFailure(log, link.upstream, cause));
  }

  async #run(): Promise<void> {
    const callOff = this.#streamWhenLate();
    const { timer, upstream } = this.#link;
    const inTime = timer.after(upstream.callMs, () => this.#timeUp());
    try {
      if (this.#request.initialize) await this.#initialize();
      else await this.#carry();
    } catch (cause) {
      this.#failed(cause);
    } finally {
      callOff?.();
      inTime();
      this.#letGoBody();
    }
  }

  /** The call has used up its time, which includes every resumption and repetition. */
  #timeUp(): void {
    this.#failed(new UpstreamError(FAILURES.timedOut));
    this.#abort.abort();
  }

  /** The body will not be sent again. Its answer may take hours, for which it must not be held. */
  #letGoBody(): void {
    this.#request = { ...this.#request, body: "" };
    this.#hold.release();
  }

  /** Whether the client is a legacy one: it reads every answer on the session's one stream, and its POST is answered 202. */
  get #isLegacy(): boolean {
    return this.#request.delivery === "standalone";
  }

  /** Requests that the client has no answer to. */
  get pending(): readonly RequestId[] {
    return this.#pending.ids;
  }

  /** The client cancelled this request: it gets an error, and an exchange with no other request ends. */
  cancel(id: RequestId): void {
    if (!this.#pending.has(id) || this.#state.kind === "ended") return;
    this.#take(id, rpcError(FAILURES.cancelled.code, FAILURES.cancelled.message, id));
    this.#flush();
    if (this.#isEnded()) this.#abort.abort();
  }

  /** The session has ended, so nothing more is stored. Returns a function that answers each waiting request with an error. */
  abandon(): () => void {
    const state = this.#state;
    this.#state = { kind: "ended" };
    return () => {
      if (state.kind === "streaming") {
        for (const id of this.#pending.ids) {
          const error = rpcError(RPC_CODES.sessionNotFound, "Session not found", id);
          this.#link.streams.sendLast(state.row.stream, error);
        }
      }
      this.#end(refuse("session_not_found"));
      this.#abort.abort();
    };
  }

  async #initialize(): Promise<void> {
    const { body, headers } = this.#request;
    try {
      const { messages } = await this.#link.initialize(body, headers);
      for (const message of messages.flatMap(messagesIn)) this.#message(message);
    } catch (failure) {
      if (!(failure instanceof HandshakeRefused)) throw failure;
      const { status, body, headers } = failure;
      if (status !== 200 && this.#state.kind === "waiting")
        this.#answerJson(status, [body], headers);
      else for (const message of messagesIn(body)) this.#message(message);
    }
  }

  async #carry(): Promise<void> {
    if (!this.#pending.isEmpty) await this.#link.streams.upstreamHeld();
    const { signal } = this.#abort;
    let answer: Streamed | Settled | undefined = await this.#link.post(this.#request, signal);
    while (answer?.kind === "stream") answer = await this.#readStream(answer);
    if (answer) this.#settle(answer);
  }

  #settle(answer: Settled): void {
    if (this.#isEnded()) return;
    if (answer.kind === "accepted") return this.#end(succeed({ kind: "accepted" }));
    if (answer.kind === "failed") {
      throw new UpstreamError(answer.failure, { status: answer.status });
    }
    const { status, messages, headers } = answer;
    if (status !== 200 && this.#state.kind === "waiting") {
      const texts = messages.map(({ text }) => text);
      return this.#answerJson(status, texts, headers);
    }
    for (const message of messages) this.#message(message);
    if (!this.#isEnded()) throw new UpstreamError(FAILURES.broken);
  }

  /**
   * Reads an SSE answer, and resumes it if the upstream breaks it off. If it says that the
   * upstream's session is lost, the body is posted again, and this returns the next answer.
   */
  async #readStream(first: Streamed): Promise<Streamed | Settled | undefined> {
    const settled = this.#streamIn(UPSTREAM_SETTLE_MS);
    const { signal } = this.#abort;
    let { doubted } = first;
    const believe = (): void => {
      if (!doubted) return;
      doubted = undefined;
      this.#letGoBody();
    };
    const answer = new StreamedAnswer(first.reply, {
      limits: this.#limits,
      silenceMs: this.#link.upstream.silenceMs,
      signal,
      resume: (lastEventId) => this.#link.resume(lastEventId, this.#request.headers, signal),
      brokeOff: () => {
        // The POST was taken, so an error that comes now does not refuse it.
        believe();
        this.#startStream();
      },
      isEnded: () => this.#isEnded(),
    });
    this.isWaiting = false;
    this.#used();
    if (!doubted) this.#letGoBody();
    // A server that has lost the session says so at once; most streams bring their first message much later.
    const callOff = this.#hold.isLarge
      ? this.#link.timer.after(UPSTREAM_DOUBT_MS, believe)
      : undefined;
    try {
      for await (const messages of answer.turns()) {
        let isNews = false;
        for (const message of messages) {
          if (doubted && isAboutNothing(this.#request.pending, message.message)) {
            callOff?.();
            const again = await this.#link.repeatIfLost(doubted, this.#request, signal);
            if (again) return again;
          }
          believe();
          isNews = this.#message(meantFor(this.#pending.open, message)) || isNews;
          if (this.#isEnded()) return undefined;
        }
        this.#flush();
        if (!isNews) continue;
        answer.isAtWork();
        this.#used();
      }
      return undefined;
    } finally {
      settled();
      callOff?.();
    }
  }

  /**
   * Makes the answer a stream when it is late; the returned function calls that off. A legacy
   * client's is one at once, unless the upstream may refuse the client's own credential: only as the
   * answer to its POST such a refusal tells the client to get another one.
   */
  #streamWhenLate(): (() => void) | undefined {
    if (!this.#isLegacy) return this.#pending.isEmpty ? undefined : this.#streamIn(QUICK_ANSWER_MS);
    if (this.#link.upstream.forwardAuthorization !== false) return this.#streamIn(UPSTREAM_HEAD_MS);
    this.#startStream();
    return undefined;
  }

  /** Makes the answer a stream unless it is over in `ms`; the returned function calls that off. */
  #streamIn(ms: number): () => void {
    return this.#link.timer.after(ms, () => this.#startStream());
  }

  /** The state may have changed while this exchange waited; the compiler cannot know. */
  #isEnded(): boolean {
    return this.#state.kind === "ended";
  }

  /** Handles a message that came as part of the upstream's answer. Returns whether it is for the client. */
  #message(written: WrittenMessage): boolean {
    if (this.#isEnded()) return false;
    if (written.message.kind === "response") {
      const answer = this.#pending.answeredBy(written);
      if (answer) this.#take(answer.id, answer.text);
      else this.#log.warn("upstream.stray_response", { upstream: this.#link.upstream.name });
      return answer !== undefined;
    }
    this.#startStream();
    if (this.#state.kind !== "streaming") return false;
    this.#gather(written.text);
    return true;
  }

  /** Handles the answer to a pending request. */
  #take(id: RequestId, data: string): void {
    if (this.#isLegacy) this.#startStream();
    if (this.#state.kind !== "streaming") {
      const answers = this.#pending.hold(id, data);
      if (answers) this.#answerJson(200, answers);
      return;
    }
    this.#gather(data);
    this.#pending.answered(id);
    if (this.#pending.isEmpty) this.#flush();
  }

  /** Keeps a message of the stream until its turn ends, by `#flush`. */
  #gather(text: string): void {
    if (!this.#turn.fits(text)) this.#flush();
    this.#turn.add(text);
  }

  /**
   * Stores and sends what this turn has gathered, together: a message alone would cost a commit, and
   * an answer alone the ids that are still pending after it.
   */
  #flush(): void {
    if (this.#state.kind !== "streaming") return;
    const { row } = this.#state;
    const { pending } = this;
    const texts = this.#turn.take();
    if (texts.length > 0) this.#link.streams.say(row, texts, pending);
    if (pending.length > 0) {
      this.#state = { kind: "streaming", row: { ...row, pending } };
      return;
    }
    this.#state = { kind: "ended" };
    if (this.#request.delivery === "own") this.#link.streams.endStream(row.stream);
  }

  #answerJson(status: number, answers: readonly string[], headers?: KeptHeaders): void {
    const body = this.#request.batch ? `[${answers.join(",")}]` : (answers[0] ?? "");
    this.#pending.clear();
    this.#end(succeed({ kind: "json", status, body, ...(headers && { headers }) }));
  }

  /** Answers by a stream, because the answer takes long or is one. From here on the messages go through the log. */
  #startStream(): void {
    if (this.#state.kind !== "waiting") return;
    const legacy = this.#isLegacy;
    if (this.#pending.isEmpty) {
      // A legacy client hears of a notification that failed only where its credential was refused.
      if (legacy) this.#resolve(succeed({ kind: "accepted" }));
      return;
    }
    const row = this.#link.streams.beginExchange([...this.#request.pending], legacy);
    this.#state = { kind: "streaming", row };
    this.#resolve(succeed(legacy ? { kind: "accepted" } : { kind: "stream", stream: row.stream }));
    for (const [id, data] of this.#pending.release()) this.#take(id, data);
    this.#flush();
  }

  #failed(cause: unknown): void {
    if (this.#state.kind === "ended") return;
    if (cause instanceof SessionGone) return this.abandon()();
    const failure = reportFailure(this.#log, this.#link.upstream, cause);
    if (this.#isLegacy && !failure.headers) this.#startStream();
    if (this.#state.kind === "waiting") return this.#end(succeed({ kind: "failed", failure }));
    for (const id of this.#pending.ids) this.#take(id, rpcError(failure.code, failure.message, id));
  }

  /** Ends the exchange. The client gets `answer` unless it has one already. */
  #end(answer: Outcome<ExchangeAnswer>): void {
    this.#state = { kind: "ended" };
    this.#resolve(answer);
  }
}
