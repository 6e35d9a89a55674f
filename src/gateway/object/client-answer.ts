/**
 * The answer to one POST of the client. It is JSON if it is complete soon, and a stream otherwise: then
 * each message is stored in the log before it is sent. docs/mcp.md draws the states.
 */
import { refuse, succeed, type Outcome } from "../../core/errors.ts";
import type { ExchangeAnswer, ExchangeRequest, Failure } from "../contract.ts";
import { RPC_CODES, rpcError, type RequestId, type WrittenMessage } from "../json-rpc.ts";
import { FAILURES } from "../upstream/failure.ts";
import type { KeptHeaders } from "../upstream/meaning.ts";
import type { OpenExchange } from "./exchange-table.ts";
import { PendingRequests } from "./pending-requests.ts";
import type { GatewayStreams } from "./streams.ts";
import { Turn } from "./turn.ts";

type State =
  /** The client's POST is not answered yet. */
  | { readonly kind: "waiting" }
  /** The answer goes to a stream; `row` survives a restart of the object. */
  | { readonly kind: "streaming"; readonly row: OpenExchange }
  | { readonly kind: "ended" };

/** The part of the answer to a client that an exchange uses. */
export type Answering = Pick<ClientAnswer, keyof ClientAnswer>;

interface ClientAnswerParts {
  readonly request: Pick<ExchangeRequest, "pending" | "batch" | "delivery">;
  readonly streams: GatewayStreams;
  /** Called for a response that answers no request of this POST. */
  readonly onStray: () => void;
  /**
   * Goes on with an answer that has a stream already: the object's memory was lost in the middle of it, or its
   * client was asked for something. `parked`: requests that wait for the client.
   */
  readonly resumed?:
    | { readonly row: OpenExchange; readonly parked?: readonly RequestId[] }
    | undefined;
}

export class ClientAnswer {
  /** The answer to the POST. */
  readonly answer: Promise<Outcome<ExchangeAnswer>>;
  readonly #resolve: (answer: Outcome<ExchangeAnswer>) => void;
  readonly #streams: GatewayStreams;
  readonly #onStray: () => void;
  readonly #asked: readonly RequestId[];
  readonly #isBatch: boolean;
  /** Whether the client is a legacy one: it reads every answer on the session's one stream, and its POST is answered 202. */
  readonly isLegacy: boolean;
  /** The event after which the upstream's stream can be resumed once all that came is stored. */
  resumesAfter: () => string | undefined = () => undefined;
  /** Never set, unlike `EraLeg.drained`: the log holds the messages, so they wait for no client in memory. */
  readonly drained: Promise<void> | undefined = undefined;
  readonly #pending: PendingRequests;
  #state: State = { kind: "waiting" };
  /** Messages for the stream that are yet to be stored and sent. */
  readonly #turn = new Turn();

  constructor({ request, streams, onStray, resumed }: ClientAnswerParts) {
    // Not the request itself: it holds the body.
    this.#asked = resumed?.row.asked ?? request.pending;
    this.#isBatch = request.batch;
    this.isLegacy = request.delivery === "standalone";
    this.#streams = streams;
    this.#onStray = onStray;
    this.#pending = new PendingRequests(this.#asked, resumed?.row.pending, resumed?.parked);
    const { promise, resolve } = Promise.withResolvers<Outcome<ExchangeAnswer>>();
    this.answer = promise;
    this.#resolve = resolve;
    if (!resumed) return;
    const { row } = resumed;
    this.#state = { kind: "streaming", row };
    resolve(succeed({ kind: "stream", stream: row.stream }));
  }

  /** Requests that the client has no answer to. */
  get pending(): readonly RequestId[] {
    return this.#pending.ids;
  }

  /** Requests that the upstream has to answer. */
  get open(): readonly RequestId[] {
    return this.#pending.open;
  }

  /** The row of its stream, if it has one. */
  get row(): OpenExchange | undefined {
    return this.#state.kind === "streaming" ? this.#state.row : undefined;
  }

  /** Whether the client's POST is not answered yet. */
  get isWaiting(): boolean {
    return this.#state.kind === "waiting";
  }

  get isEnded(): boolean {
    return this.#state.kind === "ended";
  }

  /** Answers a request of the client with an error, because it cancelled the request. */
  cancel(id: RequestId): void {
    this.answerFor(id, rpcError(FAILURES.cancelled.code, FAILURES.cancelled.message, id));
  }

  /**
   * The session has ended, so nothing more is stored. Returns a function that answers with an error each request
   * that waits for the upstream. `ParkedCalls` answers those that wait for the client.
   */
  abandon(): () => void {
    const state = this.#state;
    this.#state = { kind: "ended" };
    return () => {
      if (state.kind === "streaming") {
        for (const id of this.open) {
          const error = rpcError(RPC_CODES.sessionNotFound, "Session not found", id);
          this.#streams.sendLast(state.row.stream, error);
        }
      }
      this.end(refuse("session_not_found"));
    };
  }

  /** Answers those of these requests that wait for the upstream with this failure. Answers that came before are kept. */
  fail(failure: Failure, asked: readonly RequestId[]): void {
    if (this.isLegacy && !failure.headers) this.startStream();
    if (this.isWaiting && !this.#pending.hasHeld)
      return this.end(succeed({ kind: "failed", failure }));
    for (const id of this.open) {
      if (asked.includes(id)) this.#take(id, rpcError(failure.code, failure.message, id));
    }
    this.flush();
  }

  /**
   * The upstream asks the client for something before it answers this request. `questionsFor` gets the exchange,
   * stores the request in the transaction that stores its questions to the client, and returns these.
   */
  park(id: RequestId, questionsFor: (exchange: number) => readonly string[]): void {
    this.startStream();
    this.flush();
    if (this.#state.kind !== "streaming") return;
    this.#pending.park(id);
    this.#streams.ask(this.#state.row, questionsFor);
  }

  /** The client has answered the questions, or the request no longer waits for the client. */
  unpark(id: RequestId): void {
    this.#pending.unpark(id);
  }

  /** Answers a request in place of the upstream. */
  answerFor(id: RequestId, text: string): void {
    if (!this.#pending.has(id) || this.isEnded) return;
    this.#take(id, text);
    this.flush();
  }

  /** Handles a message that came as part of the upstream's answer. Returns whether it is for the client. */
  message(written: WrittenMessage): boolean {
    if (this.isEnded) return false;
    if (written.message.kind === "response") {
      const answer = this.#pending.answeredBy(written);
      if (answer) this.#take(answer.id, answer.text);
      else this.#onStray();
      return answer !== undefined;
    }
    this.startStream();
    if (this.#state.kind !== "streaming") return false;
    this.#gather(written.text);
    return true;
  }

  /** Handles the answer to a pending request. */
  #take(id: RequestId, data: string): void {
    if (this.isLegacy) this.startStream();
    if (this.#state.kind !== "streaming") {
      const answers = this.#pending.hold(id, data);
      if (answers) this.answerJson(200, answers);
      return;
    }
    this.#gather(data);
    this.#pending.answered(id);
    if (this.#pending.isEmpty) this.flush();
  }

  /** Keeps a message of the stream until its turn ends, by `flush`. */
  #gather(text: string): void {
    // The place to resume at lies behind messages that are yet to be stored.
    if (!this.#turn.fits(text)) this.flush(false);
    this.#turn.add(text);
  }

  /**
   * Stores and sends what this turn has gathered, together: a message alone would cost a commit, and
   * an answer alone the ids that are still pending after it.
   * `isWholeTurn` false: more messages of the same turn follow.
   */
  flush(isWholeTurn = true): void {
    if (this.#state.kind !== "streaming") return;
    const { row } = this.#state;
    const { pending } = this;
    const texts = this.#turn.take();
    if (texts.length > 0) {
      this.#streams.say(row, texts, pending, isWholeTurn ? this.resumesAfter() : undefined);
    }
    if (pending.length > 0) {
      this.#state = { kind: "streaming", row: { ...row, pending } };
      return;
    }
    this.#state = { kind: "ended" };
    if (!this.isLegacy) this.#streams.endStream(row.stream);
  }

  /** Answers the POST with JSON, the whole answer. */
  answerJson(status: number, answers: readonly string[], headers?: KeptHeaders): void {
    const body = this.#isBatch ? `[${answers.join(",")}]` : (answers[0] ?? "");
    this.#pending.clear();
    this.end(succeed({ kind: "json", status, body, ...(headers && { headers }) }));
  }

  /** Answers by a stream, because the answer takes long or is one. From here on the messages go through the log. */
  startStream(): void {
    if (!this.isWaiting) return;
    const { isLegacy } = this;
    if (this.#pending.isEmpty) {
      // A legacy client hears of a notification that failed only where its credential was refused.
      if (isLegacy) this.#resolve(succeed({ kind: "accepted" }));
      return;
    }
    const row = this.#streams.beginExchange([...this.#asked], isLegacy, this.resumesAfter());
    this.#state = { kind: "streaming", row };
    this.#resolve(
      succeed(isLegacy ? { kind: "accepted" } : { kind: "stream", stream: row.stream }),
    );
    for (const [id, data] of this.#pending.release()) this.#take(id, data);
    this.flush();
  }

  /** Ends the answer. The client gets `answer` unless its POST is answered already. */
  end(answer: Outcome<ExchangeAnswer>): void {
    this.#state = { kind: "ended" };
    this.#resolve(answer);
  }
}
