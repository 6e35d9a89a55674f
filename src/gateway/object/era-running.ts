/** Holds the calls of stateless clients that a session has under way, and picks one for a message that names no call. */
import { memberText } from "../../wire/json-text.ts";
import type { ExchangeRequest } from "../contract.ts";
import { CHANGES } from "../eras/modern-answer.ts";
import { messagesIn, type RequestId } from "../json-rpc.ts";
import type { EraAnswer } from "./era-answer.ts";
import type { Exchange } from "./exchange.ts";

interface Running {
  readonly exchange: Exchange;
  readonly answer: EraAnswer;
  /** The credentials with which it was begun. */
  readonly headers: ExchangeRequest["headers"];
}

/** Questions about no call that wait for one. */
const MAX_UNASKED = 16;

export class EraRunning {
  /** By the request's id at the upstream. */
  readonly #calls = new Map<RequestId, Running>();
  /** Questions that came with no call under way. */
  readonly #waiting: string[] = [];

  /** A call is under way, until its exchange ends. */
  add(upstreamId: RequestId, call: Running): void {
    const { exchange, answer } = call;
    this.#calls.set(upstreamId, call);
    void exchange.ended.then(() => this.#calls.delete(upstreamId));
    for (const text of answer.isAskable ? this.#waiting.splice(0) : []) answer.asked(text);
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

  clear(): void {
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

  /** A question that names no call goes to a call whose client waits, or else to one that can still ask. */
  #ask(text: string): void {
    const askable = [...this.#calls.values()].filter(({ answer }) => answer.isAskable);
    const call = askable.find(({ answer }) => answer.isAttended) ?? askable[0];
    if (call) return call.answer.asked(text);
    this.#waiting.push(text);
    if (this.#waiting.length > MAX_UNASKED) this.#waiting.shift();
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
