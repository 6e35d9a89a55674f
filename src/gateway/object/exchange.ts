/**
 * One exchange: carries a POST of the client to the upstream, and the upstream's answer to
 * `ClientAnswer`. It belongs to the session's object, so it goes on when the client leaves.
 */
import type { Logger } from "../../logger.ts";
import type { ExchangeAnswer, ExchangeRequest } from "../contract.ts";
import { messagesIn, type RequestId } from "../json-rpc.ts";
import {
  QUICK_ANSWER_MS,
  UPSTREAM_DOUBT_MS,
  UPSTREAM_HEAD_MS,
  UPSTREAM_SETTLE_MS,
} from "../../core/limits.ts";
import { succeed, type Outcome } from "../../core/errors.ts";
import type { Hold } from "../../http/held-bytes.ts";
import { FAILURES, reportFailure, UpstreamError } from "../upstream/failure.ts";
import { HandshakeRefused } from "../upstream/handshake.ts";
import { isAboutNothing, meantFor, type Settled } from "../upstream/meaning.ts";
import { ClientAnswer, type Answering } from "./client-answer.ts";
import type { OpenExchange } from "./exchange-table.ts";
import { StreamedAnswer, type ExchangeLimits } from "./streamed-answer.ts";
import { SessionGone, type Streamed, type UpstreamLink } from "./upstream-link.ts";

interface ExchangeParts {
  readonly link: UpstreamLink;
  readonly limits: ExchangeLimits;
  readonly log: Logger;
  /** Counts the body of the POST. The exchange releases it. */
  readonly hold: Hold;
  /** Called when the upstream's stream begins, and for each message on it: both count as use of the session. */
  readonly used: () => void;
  /** Takes the answer, in place of a `ClientAnswer`. */
  readonly client?: Answering | undefined;
  /**
   * The exchange was left when the object's memory was lost. Its body is not sent again: the upstream's
   * stream is resumed after the row's `upstreamId`.
   */
  readonly left?: OpenExchange | undefined;
}

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
  readonly #used: () => void;
  readonly #client: Answering;
  readonly #left: OpenExchange | undefined;
  readonly #abort = new AbortController();
  /** Whether the upstream's answer is still to begin. Once begun, a stream may bring nothing for ever. */
  isWaiting = true;

  constructor(request: ExchangeRequest, parts: ExchangeParts) {
    const { link, limits, log, hold, used, client, left } = parts;
    this.#request = request;
    this.#hold = hold;
    this.#link = link;
    this.#limits = limits;
    this.#log = log;
    this.#used = used;
    const { streams, upstream } = link;
    const onStray = () => log.warn("upstream.stray_response", { upstream: upstream.name });
    this.#left = left;
    this.#client = client ?? new ClientAnswer({ request, streams, onStray, row: left });
    this.answer = this.#client.answer;
    this.ended = this.#run().catch((cause) => void reportFailure(log, upstream, cause));
  }

  async #run(): Promise<void> {
    const callOffStream = this.#streamWhenLate();
    const { timer, upstream } = this.#link;
    const callOffDeadline = timer.after(upstream.callMs, () => this.#timeUp());
    try {
      if (this.#left) await this.#takeUp(this.#left);
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

  /** The client cancelled this request: it gets an error, and an exchange with no other request ends. */
  cancel(id: RequestId): void {
    if (this.#client.isEnded) return;
    this.#client.cancel(id);
    if (this.#client.isEnded) this.#abort.abort();
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
    let answer: Streamed | Settled | undefined = await this.#link.post(this.#request, signal);
    while (answer?.kind === "stream") answer = await this.#readStream(answer);
    if (answer) this.#settle(answer);
  }

  /** Goes on with an exchange that was left. Throws UpstreamError where it was interrupted for good. */
  async #takeUp({ upstreamId }: OpenExchange): Promise<void> {
    try {
      const left = { kind: "stream", reply: undefined, doubted: undefined } as const;
      await this.#readStream(left, upstreamId);
    } catch (cause) {
      if (!(cause instanceof UpstreamError)) throw cause;
      throw new UpstreamError(FAILURES.interrupted, { cause, status: cause.status });
    }
  }

  #settle(answer: Settled): void {
    if (this.#client.isEnded) return;
    if (answer.kind === "accepted") return this.#client.end(succeed({ kind: "accepted" }));
    if (answer.kind === "failed") {
      throw new UpstreamError(answer.failure, { status: answer.status });
    }
    const { status, messages, headers } = answer;
    if (status !== 200 && this.#client.isWaiting) {
      const texts = messages.map(({ text }) => text);
      return this.#client.answerJson(status, texts, headers);
    }
    for (const message of messages) this.#client.message(message);
    if (!this.#client.isEnded) throw new UpstreamError(FAILURES.broken);
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
      this.#letGoBody();
    };
    const parts = {
      limits: this.#limits,
      silenceMs: this.#link.upstream.silenceMs,
      signal,
      resume: (after: string) => this.#link.resume(after, this.#request.headers, signal),
      brokeOff: () => {
        // The POST was taken, so an error that comes now does not refuse it.
        trustSession();
        this.#client.startStream();
      },
      isEnded: () => this.#client.isEnded,
    };
    const answer = new StreamedAnswer(first.reply, parts, lastEventId);
    this.#client.resumesAfter = () => answer.lastEventId;
    this.isWaiting = false;
    this.#used();
    if (!doubted) this.#letGoBody();
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
          isNews = this.#client.message(meantFor(this.#client.open, message)) || isNews;
          if (this.#client.isEnded) return undefined;
        }
        this.#client.flush();
        if (!isNews) continue;
        answer.isAtWork();
        this.#used();
      }
      return undefined;
    } finally {
      callOffStream();
      callOffTrust?.();
    }
  }

  /**
   * Makes the answer a stream when it is late; the returned function calls that off. A legacy
   * client's is one at once, unless the upstream may refuse the client's own credential: only as the
   * answer to its POST such a refusal tells the client to get another one.
   */
  #streamWhenLate(): (() => void) | undefined {
    if (!this.#client.isLegacy) {
      return this.pending.length === 0 ? undefined : this.#streamIn(QUICK_ANSWER_MS);
    }
    if (this.#link.upstream.forwardAuthorization !== false) return this.#streamIn(UPSTREAM_HEAD_MS);
    this.#client.startStream();
    return undefined;
  }

  /** Makes the answer a stream unless it is over in `ms`; the returned function calls that off. */
  #streamIn(ms: number): () => void {
    return this.#link.timer.after(ms, () => this.#client.startStream());
  }

  #failed(cause: unknown): void {
    if (this.#client.isEnded) return;
    if (cause instanceof SessionGone) return this.abandon()();
    this.#client.fail(reportFailure(this.#log, this.#link.upstream, cause));
  }
}
