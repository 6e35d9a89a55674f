/** The calls of stateless clients that are under way in a session. Finds the call that a message belongs to, if it names none. */
import { ERA_LINGER_MS } from "../../core/limits.ts";
import { memberText } from "../../wire/json-text.ts";
import type { EraRequest, ExchangeRequest } from "../contract.ts";
import { CHANGES, heardOf } from "../eras/modern-answer.ts";
import { messagesIn, RPC_CODES, rpcError, type RequestId } from "../json-rpc.ts";
import type { EraAnswer } from "./era-answer.ts";
import type { EraDoubt } from "./era-doubt.ts";
import type { OpenExchange } from "./exchange-table.ts";
import type { Exchange } from "./exchange.ts";

interface Running {
  readonly exchange: Exchange;
  readonly answer: EraAnswer;
  /** The credentials with which it was begun. */
  readonly headers: ExchangeRequest["headers"];
  readonly era: Pick<EraRequest, "slot" | "task">;
}

interface RunningParts {
  readonly doubt: EraDoubt;
  /** The calls that wait for the server, as they are stored: those of earlier lives of the object too. */
  readonly stored: () => readonly OpenExchange[];
  /** The upstream session; undefined where the server does not tell its sessions apart. */
  readonly sid: () => string | undefined;
  /** The capabilities of the session's clients. */
  readonly capabilities: () => unknown;
  /** Sends the server the answer to a question of its own. */
  readonly reply: (text: string, headers: ExchangeRequest["headers"]) => void;
  /** Ends the session. */
  readonly over: (headers: ExchangeRequest["headers"]) => void;
  /** Calls a function after so many milliseconds. */
  readonly after: (ms: number, work: () => void) => void;
  /** Whether a task is still to store the answer to its call. */
  readonly isUntaken: (upstreamId: RequestId) => boolean;
}

/** Questions about no call that wait for one. */
const MAX_UNASKED = 16;
/** It asks about the client, of which every call knows as much. */
const OF_THE_CLIENT = "roots/list";
const NOT_NAMED =
  "The question names no call, and may be another's than that of the call under way";

export class EraRunning {
  readonly #parts: RunningParts;
  /** By the request's id at the upstream. */
  readonly #calls = new Map<RequestId, Running>();
  /** Questions about the client that came with no call under way, and the upstream session of each. */
  readonly #waiting: { readonly text: string; readonly sid: string | undefined }[] = [];
  #isOver = false;

  constructor(parts: RunningParts) {
    this.#parts = parts;
  }

  /** A call is under way, until its exchange ends. */
  add(upstreamId: RequestId, call: Running): void {
    const { exchange, answer } = call;
    const { isAskable } = answer;
    this.#calls.set(upstreamId, call);
    if (isAskable) this.#note();
    void exchange.ended.then(() => {
      this.#calls.delete(upstreamId);
      if (isAskable && !this.#isOver) this.#ended(upstreamId, call);
    });
    for (const { text, sid } of isAskable ? this.#waiting.splice(0) : []) {
      if (sid === this.#parts.sid()) answer.asked(text, true);
    }
  }

  get(upstreamId: RequestId): Running | undefined {
    return this.#calls.get(upstreamId);
  }

  has(upstreamId: RequestId): boolean {
    return this.#calls.has(upstreamId);
  }

  values(): Iterable<Running> {
    return this.#calls.values();
  }

  /** Whether any call is under way here. */
  get isIdle(): boolean {
    return this.#calls.size === 0;
  }

  /** How many calls the server may have under way in which it may ask. */
  get askable(): number {
    const asking = [...this.#calls.values()].filter(({ answer }) => answer.mayAsk);
    return asking.length + this.#left.length;
  }

  /** The session has ended. */
  clear(): void {
    this.#isOver = true;
    this.#calls.clear();
  }

  /** Takes messages of the upstream that belong to no call. Returns those for the clients that listen. */
  unasked(texts: readonly string[]): string[] {
    return texts.filter((text) => {
      const [only] = messagesIn(text);
      if (only?.message.kind === "notification") {
        if (only.message.method === "notifications/progress") this.progress(undefined, text);
        if (only.message.method === "notifications/message") this.#log(text);
        return CHANGES.has(only.message.method);
      }
      if (only?.message.kind === "request") this.#ask(text);
      return false;
    });
  }

  #ask(text: string): void {
    const { doubt, capabilities, sid } = this.#parts;
    const heard = heardOf(text, capabilities());
    if (heard.kind === "answered") return this.#reply(heard.answer);
    if (heard.kind !== "ask") return;
    if (heard.ask.method === OF_THE_CLIENT) return this.#askAnybody(text);
    if (sid() !== undefined && doubt.learn()) this.#note();
    const call = this.#asker;
    if (call) return call.answer.asked(text, false);
    this.#reply(rpcError(RPC_CODES.internalError, NOT_NAMED, heard.ask.id));
  }

  /** The one call that can have asked; undefined where it may be another. */
  get #asker(): Running | undefined {
    const { doubt, sid } = this.#parts;
    if (doubt.isInDoubt || sid() === undefined || this.askable !== 1) return undefined;
    return this.#askable[0];
  }

  /** Asks about the client in a call that somebody waits for, else in any call, else in the next one. */
  #askAnybody(text: string): void {
    const askable = this.#askable;
    const call = askable.find(({ answer }) => answer.isAttended) ?? askable[0];
    if (call) return call.answer.asked(text, true);
    this.#waiting.push({ text, sid: this.#parts.sid() });
    if (this.#waiting.length > MAX_UNASKED) this.#waiting.shift();
  }

  get #askable(): Running[] {
    return [...this.#calls.values()].filter(({ answer }) => answer.isAskable);
  }

  /** Calls that were under way when the object's memory was lost, and that are not taken up again yet. */
  get #left(): OpenExchange[] {
    const { stored, isUntaken } = this.#parts;
    const isLeft = (id: RequestId) => !this.#calls.has(id) && !isUntaken(id);
    return stored().filter(({ asked }) => asked.every(isLeft));
  }

  /** Has the next life of the object know that calls are under way. */
  #note(): void {
    const { askable } = this;
    if (this.#parts.doubt.asksAside && askable > 0) this.#parts.doubt.atWork(askable === 1);
  }

  #ended(id: RequestId, { answer: { isAnswered, isAttended }, era, headers }: Running): void {
    const { doubt, after, over, isUntaken } = this.#parts;
    // No other call finds the session of a task. It stays while it has an answer that the task has not read.
    const isSole = era.task !== undefined && era.task.id === era.slot;
    if (isSole && (isAttended || !isAnswered)) {
      return after(ERA_LINGER_MS, () => {
        if (!this.#isOver && !isUntaken(id)) over(headers);
      });
    }
    if (!isAnswered) return doubt.givenUp();
    // The next call mostly comes soon.
    if (doubt.asksAside) {
      after(ERA_LINGER_MS, () => {
        if (!this.#isOver && this.askable === 0) doubt.atRest();
      });
    }
  }

  #reply(text: string): void {
    const [call] = this.#calls.values();
    this.#parts.reply(text, call?.headers ?? {});
  }

  /** `token` undefined: the notification has it. */
  progress(token: RequestId | undefined, text: string): void {
    const named = token ?? memberText(memberText(text, "params") ?? "", "progressToken") ?? "";
    this.#calls.get(named)?.answer.progressed(text);
  }

  /** A log message that names no call goes to the first call that asked for its level. */
  #log(text: string): void {
    for (const { answer } of this.#calls.values()) if (answer.logged(text)) return;
  }
}
