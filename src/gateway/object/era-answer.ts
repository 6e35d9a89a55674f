/**
 * Gives the answer of a server with sessions to a stateless client. A question of the server ends the client's
 * request (`input_required`). The log keeps what the server says until the client repeats the request.
 */
import { ERA_GATHER_MS } from "../../core/limits.ts";
import { FAILURES } from "../upstream/failure.ts";
import type { Outcome } from "../../core/errors.ts";
import type { ExchangeAnswer, Failure } from "../contract.ts";
import {
  heardOf,
  inputRequired,
  isLoud,
  modernResponse,
  withToken,
  type Ask,
} from "../eras/modern-answer.ts";
import { stateIn } from "../eras/slots.ts";
import { ASKING_METHODS, mayBeAsked, METHOD_NOT_FOUND } from "../eras/wire.ts";
import {
  messagesIn,
  requestMeant,
  rpcError,
  type RequestId,
  type WrittenMessage,
} from "../json-rpc.ts";
import type { KeptHeaders } from "../upstream/meaning.ts";
import type { Answering } from "./client-answer.ts";
import type { EraLeg } from "./era-leg.ts";
import { EraCallLog } from "./era-call-log.ts";
import type { EraStates } from "./era-states.ts";
import type { EraTasks } from "./era-tasks.ts";
import type { OpenExchange } from "./exchange-table.ts";
import type { GatewayStreams } from "./streams.ts";

interface EraAnswerParts {
  /** The request's id at the upstream, and its progress token there. */
  readonly upstreamId: RequestId;
  readonly streams: GatewayStreams;
  readonly states: EraStates;
  /** Milliseconds for which a question may wait. */
  readonly waitsMs: number;
  /** Sends the upstream the answer to a question of its own. */
  readonly reply: (text: string) => void;
  /** Handles a message that is about no request. */
  readonly unasked: (text: string) => void;
  /** Whether a question on the call's stream is of this call. A server of one stream sends those of all calls there. */
  readonly namesCalls: boolean;
  /** Hands progress to the call that it is of. */
  readonly progress: (token: RequestId, text: string) => void;
  readonly onStray: () => void;
  readonly tasks: Pick<EraTasks, "give" | "wake">;
  /** Calls a function after so many milliseconds. Returns what calls that off. */
  readonly after: (ms: number, work: () => void) => () => void;
  /** The stream in the log, where the client has been asked before. */
  readonly row?: OpenExchange | undefined;
}

export class EraAnswer implements Answering {
  readonly answer: Promise<Outcome<ExchangeAnswer>>;
  readonly isLegacy = false;
  /** Only a call that waits for a client with a session is looked for by its row. */
  readonly row = undefined;
  resumesAfter: () => string | undefined = () => undefined;
  readonly #parts: EraAnswerParts;
  /** The client's request that waits; undefined while the client is asked. */
  #leg: EraLeg | undefined;
  readonly #log: EraCallLog;
  #asks: Ask[] = [];
  /** Those of `#asks` that any other call could be asked as well, as they came. */
  #forAnyCall: string[] = [];
  /** Calls off the moment for which more questions are waited for. */
  #gathering: (() => void) | undefined;
  #isEnded = false;
  /** The server has answered: it does nothing more for the call. */
  isAnswered = false;
  readonly #mayBeAsked: boolean;
  /** The call is a task's: who leaves it does not cancel it. */
  #isKept = false;
  /** The task whose object has left the call, and has not come back for it. */
  #leftBy: string | undefined;

  constructor(leg: EraLeg, parts: EraAnswerParts) {
    this.#leg = leg;
    this.#parts = parts;
    this.#log = new EraCallLog(parts.upstreamId, parts.streams, parts.row);
    this.answer = leg.answer;
    this.#mayBeAsked = mayBeAsked(leg.request);
  }

  get pending(): readonly RequestId[] {
    return this.#isEnded ? [] : [this.#parts.upstreamId];
  }

  get open(): readonly RequestId[] {
    return this.pending;
  }

  get isWaiting(): boolean {
    return !this.#isEnded && (this.#leg?.isWaiting ?? false);
  }

  get drained(): Promise<void> | undefined {
    return this.#leg?.drained;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Whether the server may ask something for this call, also where nobody waits for it any more. */
  get mayAsk(): boolean {
    return !this.isAnswered && this.#mayBeAsked;
  }

  /** Whether the server may ask the client now, or soon. */
  get isAskable(): boolean {
    return !this.#isEnded && this.#mayBeAsked;
  }

  /** Whether a request of the client waits. */
  get isAttended(): boolean {
    return this.#leg !== undefined;
  }

  /**
   * The client has repeated its request: it gets the messages after `seq`, and those to come. The gateway asks
   * it again the questions that are `missing`.
   */
  attend(leg: EraLeg, seq: number, missing: readonly Ask[]): void {
    this.#leg = leg;
    this.#leftBy = undefined;
    this.#asks = [...missing];
    for (const message of this.#log.after(seq)) this.#handle(leg, message);
    this.flush();
  }

  /** The call is a task's now. Its row lets another life of the object resume the upstream's stream. */
  keep(): void {
    this.#isKept = true;
    this.#note();
  }

  /**
   * The client, or the task, that waited by this leg has gone. Returns whether the call goes on without it: then
   * the server's messages are logged until `takeUp`.
   */
  detach(leg: EraLeg): boolean {
    if (!this.#isKept || this.#isEnded) return false;
    if (this.#leg !== leg) return true;
    this.#leg = undefined;
    this.#leftBy = leg.request.task?.id;
    this.#parts.states.leave(this.#log.place(this.resumesAfter()), Date.now());
    return true;
  }

  /** The call's task has come back for it. */
  takeUp(leg: EraLeg, seq: number): void {
    this.attend(leg, seq, this.#asks);
  }

  message(written: WrittenMessage): boolean {
    if (this.#isEnded) return false;
    if (this.#parts.namesCalls || written.message.kind !== "request") return this.#take(written);
    this.#parts.unasked(written.text);
    return true;
  }

  /** The server asks this call, in a question that names no call. `isForAnyCall`: another call may answer it as well. */
  asked(text: string, isForAnyCall: boolean): void {
    const before = this.#asks.length;
    for (const message of messagesIn(text)) this.#take(message);
    if (isForAnyCall && this.#asks.length > before) this.#forAnyCall.push(text);
    this.flush();
  }

  /** Progress of this call has come by the stream of another. */
  progressed(text: string): void {
    const token = this.#leg?.request.progressToken;
    if (token !== undefined) this.#leg?.send(withToken(text, token));
  }

  /** A log message that names no call has come. Returns whether this call's client asked for its level. */
  logged(text: string): boolean {
    const leg = this.#isEnded ? undefined : this.#leg;
    const heard = heardOf(text, {});
    if (!leg || heard.kind !== "log" || !isLoud(heard.level, leg.request.logLevel)) return false;
    leg.send(text);
    return true;
  }

  flush(): void {
    this.#note();
    if (!this.#leg) return this.#store(this.resumesAfter());
    if (this.#isEnded || this.#asks.length === 0) return;
    this.#gathering ??= this.#parts.after(ERA_GATHER_MS, () => {
      this.#gathering = undefined;
      this.#park();
    });
  }

  fail(failure: Failure): void {
    if (this.#isEnded) return;
    const leg = this.#leg;
    this.#asks = [];
    if (!leg) {
      this.#log.add(rpcError(failure.code, failure.message, this.#parts.upstreamId));
      return this.#over();
    }
    this.#over();
    leg.fail(failure);
  }

  /** Its server speaks the client's revision now: the client comes back, and needs no bridge. */
  park(): void {
    this.fail(FAILURES.changed);
  }

  unpark(): void {
    // Nothing waits for the client here.
  }

  answerFor(_id: RequestId, text: string): void {
    for (const message of messagesIn(text)) this.message(message);
    this.flush();
  }

  cancel(id: RequestId): void {
    if (id !== this.#parts.upstreamId) return;
    this.#leftBy = undefined;
    this.fail(FAILURES.cancelled);
  }

  abandon(): () => void {
    this.#isEnded = true;
    return () => this.#leg?.fail(FAILURES.interrupted);
  }

  answerJson(status: number, answers: readonly string[], headers?: KeptHeaders): void {
    const leg = this.#leg;
    const [text = ""] = answers;
    if (leg) this.#finish(leg, text, status, headers);
    else this.#over(true);
  }

  startStream(): void {
    if (!this.#isEnded) this.#leg?.open();
  }

  end(answer: Outcome<ExchangeAnswer>): void {
    if (answer.ok && answer.value.kind === "failed") return this.fail(answer.value.failure);
    this.fail(FAILURES.interrupted);
  }

  #take(written: WrittenMessage): boolean {
    if (this.#leg) return this.#handle(this.#leg, written);
    if (!this.#log.fits(written.text)) this.#store(undefined);
    this.#log.add(written.text);
    if (this.#answers(written)) this.#over(true);
    return true;
  }

  #handle(leg: EraLeg, written: WrittenMessage): boolean {
    const { parts, request } = { parts: this.#parts, request: leg.request };
    const heard = heardOf(written.text, request.capabilities);
    switch (heard.kind) {
      case "response":
        if (!this.#answers(written)) {
          parts.onStray();
          return false;
        }
        this.#finish(leg, written.text);
        return true;
      case "ask":
        if (ASKING_METHODS.has(request.method)) this.#asks.push(heard.ask);
        else
          parts.reply(rpcError(METHOD_NOT_FOUND, "The client cannot be asked now", heard.ask.id));
        return true;
      case "answered":
        parts.reply(heard.answer);
        return true;
      case "progress":
        if (heard.token === parts.upstreamId) this.progressed(written.text);
        else if (heard.token !== undefined) parts.progress(heard.token, written.text);
        return true;
      case "log":
        if (isLoud(heard.level, request.logLevel)) leg.send(written.text);
        return true;
      case "change":
        parts.unasked(written.text);
        return true;
      case "ignored":
        return false;
    }
  }

  /** The server has answered. A task's call that can be resumed is not over before the task has the answer. */
  #finish(leg: EraLeg, text: string, status?: number, headers?: KeptHeaders): void {
    const { method, id, task } = leg.request;
    const isKept = task !== undefined && this.#isKept;
    this.#over(true, isKept && this.#log.isResumable);
    if (isKept) this.#parts.tasks.give(this.#parts.upstreamId, text, task.id, this.#log);
    leg.finish(modernResponse(method, id, text), status, headers);
  }

  #answers({ message }: WrittenMessage): boolean {
    if (message.kind !== "response" || message.id === undefined) return false;
    const { upstreamId } = this.#parts;
    return requestMeant(message.id, [upstreamId], [upstreamId]) !== undefined;
  }

  /** Ends the client's request with the questions. All that its repetition needs is stored first. */
  #park(): void {
    const leg = this.#leg;
    if (!leg || this.#isEnded) return;
    const round = crypto.randomUUID().slice(0, 8);
    const asks = new Map(this.#asks.map((ask, n) => [`${round}-${n}`, ask]));
    const { states, waitsMs } = this.#parts;
    const { id, method, name, slot } = leg.request;
    const now = Date.now();
    const expiresAt = now + waitsMs;
    const place = this.#log.place(this.resumesAfter());
    const state = { ...place, askedAt: now, method, name, asks: [...asks], expiresAt };
    const text = inputRequired(id, asks, stateIn(slot, states.add(state, now)));
    this.#asks = [];
    this.#forAnyCall = [];
    this.#leg = undefined;
    leg.finish(text);
  }

  /** Where the upstream's stream can be resumed, stores that for another life of the object, and tells the call's task. */
  #note(): void {
    if (this.#isEnded) return;
    const after = this.resumesAfter();
    if (after !== undefined || this.#log.isResumable) this.#leg?.atServer();
    if (after !== undefined) this.#log.resumable(after, this.#isKept);
  }

  /** The server has answered, or is not waited for any more. */
  #over(isAnswered = false, staysOpen = false): void {
    this.#isEnded = true;
    this.isAnswered = isAnswered;
    this.#gathering?.();
    for (const text of this.#forAnyCall.splice(0)) this.#parts.unasked(text);
    if (!this.#leg) return this.#store(this.resumesAfter());
    if (!staysOpen) this.#log.close();
  }

  /** Stores what came while nobody waited for it. If the object of a task has gone, has that come for it. */
  #store(resumesAfter: string | undefined): void {
    if (!this.#log.store(this.pending, resumesAfter)) return;
    if (this.#leftBy !== undefined) this.#parts.tasks.wake(this.#leftBy);
  }
}
