/** Carries a POST of the client to the upstream, and the answer to `ClientAnswer`. It goes on when the client leaves. */
import type { Logger } from "../../logger.ts";
import type { ExchangeAnswer, ExchangeRequest } from "../contract.ts";
import { askedIn, plainResult } from "../eras/results.ts";
import {
  messagesIn,
  requestIn,
  requestMeant,
  type RequestId,
  type WrittenMessage,
} from "../json-rpc.ts";
import {
  QUICK_ANSWER_MS,
  UPSTREAM_DOUBT_MS,
  UPSTREAM_HEAD_MS,
  UPSTREAM_SETTLE_MS,
} from "../../core/limits.ts";
import { succeed, type Outcome } from "../../core/errors.ts";
import type { Hold } from "../../http/held-bytes.ts";
import {
  FAILURES,
  HandshakeRefused,
  reportFailure,
  SessionGone,
  UpstreamError,
} from "../upstream/failure.ts";
import { isAboutNothing, meantFor, type Settled } from "../upstream/meaning.ts";
import { sleep } from "../../wire/timers.ts";
import { ClientAnswer, type Answering } from "./client-answer.ts";
import type { OpenExchange } from "./exchange-table.ts";
import { asClientKnows, type Again, type ParkedCalls } from "./parked-calls.ts";
import { StreamedAnswer, type ExchangeLimits } from "./streamed-answer.ts";
import type { Streamed, UpstreamLink } from "./upstream-link.ts";

export interface ExchangeParts {
  readonly link: UpstreamLink;
  readonly limits: ExchangeLimits;
  readonly log: Logger;
  /** Counts the body of the POST. The exchange releases it. */
  readonly hold: Hold;
  /** Called for each message on the upstream's stream, which counts as use of the session. */
  readonly used: () => void;
  /** Called when the upstream's stream begins: the exchange no longer holds the session open. */
  readonly released: () => void;
  /** For servers of the stateless era. `heard` is called for each result. */
  readonly bridge?: {
    readonly heard: (text: string) => void;
    readonly parked: () => ParkedCalls;
  };
  /** The request held answers to calls that wait for the client, and nothing else: it is done. */
  readonly isTaken?: boolean;
  /** The request is a call that is sent again. */
  readonly again?: Again;
  /** Takes the answer, in place of a `ClientAnswer`. */
  readonly client?: Answering | undefined;
  /**
   * The exchange was left when the object's memory was lost. Its body is not sent again: the upstream's
   * stream is resumed after the row's `upstreamId`.
   */
  readonly left?: OpenExchange | undefined;
}

/** Milliseconds before a call is sent again where the server has asked for nothing but that. */
const IDLE_ROUND_MS = 250;

export class Exchange {
  /** The answer to the client's POST. */
  readonly answer: Promise<Outcome<ExchangeAnswer>>;
  /** Resolves when nothing of the exchange runs any more. Never rejects. */
  readonly ended: Promise<void>;
  #request: ExchangeRequest;
  readonly #hold: Hold;
  readonly #link: UpstreamLink;
  readonly #limits: ExchangeLimits;
  readonly #log: Logger;
  readonly #how: Pick<ExchangeParts, "used" | "released" | "bridge" | "isTaken" | "again" | "left">;
  /** Requests that another exchange carries on. */
  readonly #passedOn = new Set<RequestId>();
  readonly #client: Answering;
  readonly #abort = new AbortController();
  /** Milliseconds that the call may take in all, if it is a task's. */
  readonly taskMs: number | undefined;
  /** Whether the upstream's answer is still to begin. Once begun, a stream may bring nothing for ever. */
  isWaiting: boolean;

  constructor(request: ExchangeRequest, parts: ExchangeParts) {
    const { link, limits, log, hold, again, left } = parts;
    this.#how = parts;
    this.#request = request;
    this.taskMs = request.withinMs;
    this.isWaiting = left === undefined;
    this.#hold = hold;
    this.#link = link;
    this.#limits = limits;
    this.#log = log;
    const { streams, upstream } = link;
    const onStray = () => log.warn("upstream.stray_response", { upstream: upstream.name });
    const resumed = left && { row: left };
    this.#client =
      parts.client ?? again?.client ?? new ClientAnswer({ request, streams, onStray, resumed });
    this.answer = this.#client.answer;
    this.ended = this.#run().catch((cause) => void reportFailure(log, upstream, cause));
  }

  async #run(): Promise<void> {
    const callOffStream = this.#streamWhenLate();
    const { timer, upstream } = this.#link;
    const callOffDeadline = timer.after(this.taskMs ?? upstream.callMs, () => this.#timeUp());
    try {
      if (this.#how.isTaken) this.#client.end(succeed({ kind: "accepted" }));
      else if (this.#how.left) await this.#takeUp(this.#how.left);
      else if (this.#request.initialize) await this.#initialize();
      else await this.#carry();
    } catch (cause) {
      this.#failed(cause);
    } finally {
      callOffStream?.();
      callOffDeadline();
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

  /** Requests that the client has no answer to. */
  get pending(): readonly RequestId[] {
    return this.#client.pending;
  }

  /** The requests that it was made for, under the client's ids. */
  get #carried(): readonly RequestId[] {
    return this.#how.again ? [this.#how.again.request] : this.#request.pending;
  }

  /** Requests that wait for the upstream. Another exchange later carries a request that waits for the client. */
  get #waiting(): readonly RequestId[] {
    const { open } = this.#client;
    return this.#carried.filter((id) => open.includes(id) && !this.#passedOn.has(id));
  }

  /** Whether the upstream owes it nothing more. */
  get #isDone(): boolean {
    if (this.#client.isEnded) return true;
    return this.#carried.length > 0 && this.#waiting.length === 0;
  }

  /** The client's answer, if it is the one of this exchange. */
  answerOf(exchange: number): Answering | undefined {
    return this.#client.row?.id === exchange ? this.#client : undefined;
  }

  /** The client cancelled this request: it gets an error, and an exchange with no other request ends. */
  cancel(id: RequestId): void {
    this.#client.cancel(id);
    if (this.#isDone) this.#abort.abort();
  }

  /** The session has ended, so nothing more is stored. Returns a function that answers each waiting request with an error. */
  abandon(): () => void {
    const answerWaiting = this.#client.abandon();
    return () => {
      answerWaiting();
      this.#abort.abort();
    };
  }

  async #initialize(): Promise<void> {
    const { body, headers } = this.#request;
    try {
      const { messages } = await this.#link.initialize(body, headers);
      for (const message of messages.flatMap(messagesIn)) this.#client.message(message);
    } catch (failure) {
      if (!(failure instanceof HandshakeRefused)) throw failure;
      const { status, body, headers } = failure;
      if (status !== 200 && this.#client.isWaiting)
        this.#client.answerJson(status, [body], headers);
      else for (const message of messagesIn(body)) this.#client.message(message);
    }
  }

  async #carry(): Promise<void> {
    if (this.pending.length > 0) await this.#link.streams.upstreamHeld();
    const { signal } = this.#abort;
    if (this.#how.again?.idleSince !== undefined) await sleep(IDLE_ROUND_MS, signal);
    // It was cancelled meanwhile: nothing is asked for it.
    if (signal.aborted) return;
    const parcel = { ...this.#request, isRound: this.#how.again !== undefined };
    let answer: Streamed | Settled | undefined = await this.#link.post(parcel, signal);
    while (answer?.kind === "stream") answer = await this.#readStream(answer);
    if (answer) this.#settle(answer);
  }

  /** Goes on with an exchange that was left. Throws UpstreamError where it was interrupted for good. */
  async #takeUp({ upstreamId }: OpenExchange): Promise<void> {
    try {
      const left = { reply: undefined, doubted: undefined, bridged: false };
      await this.#readStream({ kind: "stream", ...left }, upstreamId);
    } catch (cause) {
      if (!(cause instanceof UpstreamError)) throw cause;
      throw new UpstreamError(FAILURES.interrupted, { cause, status: cause.status });
    }
  }

  #settle(answer: Settled): void {
    if (this.#isDone) return;
    if (answer.kind === "accepted") return this.#client.end(succeed({ kind: "accepted" }));
    if (answer.kind === "failed") {
      throw new UpstreamError(answer.failure, { status: answer.status });
    }
    const { status, messages, headers } = answer;
    if (status !== 200 && this.#client.isWaiting) {
      const texts = messages.map(({ text }) => text);
      return this.#client.answerJson(status, texts, headers);
    }
    for (const message of messages) this.#take(message, answer.bridged);
    this.#client.flush();
    if (!this.#isDone) throw new UpstreamError(FAILURES.broken);
  }

  /** Handles a message of the upstream. Returns whether it is for the client. */
  #take(written: WrittenMessage, bridged: boolean | undefined): boolean {
    const meant = meantFor(this.#client.open, asClientKnows(written, this.#how.again));
    const { message, text } = meant;
    const { bridge } = this.#how;
    const id = message.kind === "response" ? message.id : undefined;
    if (!bridged || !bridge || id === undefined) return this.#client.message(meant);
    bridge.heard(text);
    const asked = askedIn(text);
    const { open } = this.#client;
    const request = requestMeant(id, open, open);
    if (!asked || request === undefined) {
      return this.#client.message({ message, text: plainResult(text) });
    }
    const { idleSince } = this.#how.again ?? {};
    if (asked.requests.length === 0) {
      const isLate = Date.now() - (idleSince ?? Infinity) >= this.#link.upstream.callMs;
      if (isLate) throw new UpstreamError(FAILURES.timedOut);
      this.#passedOn.add(request);
    }
    bridge.parked().park(this.#client, request, this.#bodyOf(request), asked, idleSince);
    return true;
  }

  #bodyOf(request: RequestId): string {
    const { body } = this.#request;
    return this.#how.again ? body : (requestIn(body, request) ?? body);
  }

  /**
   * Reads an SSE answer, and resumes it if the upstream breaks it off. If it says that the
   * upstream's session is lost, the body is posted again, and this returns the next answer.
   */
  async #readStream(
    first: Streamed,
    lastEventId?: string,
  ): Promise<Streamed | Settled | undefined> {
    const callOffStream = this.#streamIn(UPSTREAM_SETTLE_MS);
    const { signal } = this.#abort;
    let { doubted } = first;
    const trustSession = (): void => {
      if (!doubted) return;
      doubted = undefined;
      // A server of the stateless era may ask for something, and gets the call again then.
      if (!first.bridged) this.#letGoBody();
    };
    const parts = {
      limits: this.#limits,
      silenceMs: this.taskMs ?? this.#link.upstream.silenceMs,
      maxResumes: this.taskMs && Infinity,
      signal,
      resume: (after: string) => this.#link.resume(after, this.#request.headers, signal),
      brokeOff: () => {
        // The POST was taken, so an error that comes now does not refuse it.
        trustSession();
        this.#client.startStream();
      },
    };
    const answer = new StreamedAnswer(first.reply, parts, lastEventId);
    this.#client.resumesAfter = () => answer.lastEventId;
    const held = this.isWaiting;
    this.isWaiting = false;
    (held ? this.#how.released : this.#how.used)();
    if (!doubted && !first.bridged) this.#letGoBody();
    // A server that has lost the session says so at once; most streams bring their first message much later.
    const callOffTrust = this.#hold.isLarge
      ? this.#link.timer.after(UPSTREAM_DOUBT_MS, trustSession)
      : undefined;
    try {
      for await (const messages of answer.turns()) {
        let isNews = false;
        for (const message of messages) {
          if (doubted && isAboutNothing(this.#request.pending, message.message)) {
            callOffTrust?.();
            const again = await this.#link.repeatIfLost(doubted, this.#request, signal);
            if (again) return again;
          }
          trustSession();
          isNews = this.#take(message, first.bridged) || isNews;
          if (this.#isDone) return undefined;
        }
        this.#client.flush();
        await this.#client.drained;
        if (!isNews) continue;
        answer.isAtWork();
        this.#how.used();
      }
      return undefined;
    } finally {
      this.#client.flush();
      callOffStream();
      callOffTrust?.();
    }
  }

  /**
   * Makes the answer a stream when it is late; the returned function calls that off. A legacy
   * client's is one at once. Either waits for longer if the upstream may refuse the client's own
   * credential: only as the answer to its POST such a refusal tells the client to get another one.
   */
  #streamWhenLate(): (() => void) | undefined {
    if (this.#link.upstream.forwardAuthorization !== false) return this.#streamIn(UPSTREAM_HEAD_MS);
    if (!this.#client.isLegacy) return this.#streamIn(QUICK_ANSWER_MS);
    this.#client.startStream();
    return undefined;
  }

  /** Makes the answer a stream unless it is over in `ms`; the returned function calls that off. */
  #streamIn(ms: number): () => void {
    return this.#link.timer.after(ms, () => this.#client.startStream());
  }

  #failed(cause: unknown): void {
    if (this.#isDone) return;
    if (cause instanceof SessionGone) return this.abandon()();
    this.#client.fail(reportFailure(this.#log, this.#link.upstream, cause), this.#waiting);
  }
}
