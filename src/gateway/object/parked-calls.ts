/**
 * The calls that wait for an answer of the client (`input_required` of 2026-07-28). While they wait they are rows,
 * and nothing of them is in memory: a person may think for as long as the session lives. When the client has
 * answered, this sends the call again. The call's answer goes to the stream on which the client waits, whether
 * or not the object has left memory in between.
 */
import { memberText } from "../../wire/json-text.ts";
import { againRequest } from "../eras/requests.ts";
import { questionsOf, type Asked } from "../eras/results.ts";
import {
  requestMeant,
  RPC_CODES,
  rpcError,
  withId,
  type RequestId,
  type WrittenMessage,
} from "../json-rpc.ts";
import { STANDALONE_STREAM } from "../contract.ts";
import { FAILURES } from "../upstream/failure.ts";
import { ClientAnswer, type Answering } from "./client-answer.ts";
import { isQuestion, newQuestionId, type AnsweredCall, type ParkedCall } from "./rounds.ts";
import type { GatewayStreams } from "./streams.ts";

/** A call that is sent again. */
export interface Again {
  readonly client: Answering;
  /** The id that the client gave the call. */
  readonly request: RequestId;
  /** The id under which it is sent. */
  readonly sentAs: RequestId;
  readonly body: string;
  /** Where the server has asked for nothing but time: since when, in milliseconds since the epoch. */
  readonly idleSince?: number | undefined;
}

interface ParkedCallsParts {
  readonly streams: GatewayStreams;
  /** The capabilities of the session's client. */
  readonly capabilities: () => Readonly<Record<string, unknown>>;
  /** The answer of an exchange of which something runs. */
  readonly running: (exchange: number) => Answering | undefined;
  /** Sends a call again. */
  readonly begin: (again: Again) => void;
  /** A response came that answers nothing. */
  readonly onStray: () => void;
}

export class ParkedCalls {
  readonly #parts: ParkedCallsParts;

  constructor(parts: ParkedCallsParts) {
    this.#parts = parts;
  }

  /** The server has answered a call with what it asks for. */
  park(
    client: Answering,
    request: RequestId,
    body: string,
    asked: Asked,
    idleSince = Date.now(),
  ): void {
    const { streams, capabilities, begin } = this.#parts;
    const verdict = questionsOf(asked, request, capabilities(), newQuestionId);
    if (verdict.kind === "refused") return client.answerFor(request, verdict.answer);
    const { questions, texts } = verdict;
    if (questions.length > 0) {
      const units = body.length + (asked.state?.length ?? 0);
      if (!streams.rounds.hasRoomFor(units)) {
        const problem = "Too many calls of the session wait for its client";
        return client.answerFor(request, rpcError(RPC_CODES.internalError, problem, request));
      }
      return client.park(request, (exchange) => {
        streams.rounds.park({ exchange, request, body, state: asked.state, questions });
        return texts;
      });
    }
    const sentAs = newCallId();
    begin({
      client,
      request,
      sentAs,
      body: againRequest(body, sentAs, {}, asked.state),
      idleSince,
    });
  }

  /**
   * Takes the client's answers to questions. Returns whether the messages held nothing else. A second answer, and
   * an answer to a call that waits no more, count as taken.
   */
  take(messages: readonly WrittenMessage[]): boolean {
    let isAll = true;
    for (const { message, text } of messages) {
      if (message.kind !== "response" || !message.id || !isQuestion(message.id)) isAll = false;
      else this.#answer(message.id, text, message.error);
    }
    return isAll;
  }

  /** The client has cancelled these requests. */
  cancel(ids: readonly RequestId[]): void {
    if (ids.length === 0) return;
    const parked = this.#parts.streams.rounds.parked();
    for (const id of ids) {
      const open = parked.map(({ request }) => request);
      const meant = requestMeant(id, open, open);
      const call = parked.find(({ request }) => request === meant);
      if (!call) continue;
      this.#parts.streams.rounds.remove(call);
      this.#clientOf(call)?.cancel(call.request);
    }
  }

  /** Returns a function that answers each call without storing that: its session ends. */
  farewell(): () => void {
    const { streams } = this.#parts;
    const calls = streams.rounds.parked().flatMap(({ exchange, request }) => {
      const stream = streams.openExchange(exchange)?.stream;
      return stream === undefined ? [] : [{ stream, request }];
    });
    return () => {
      for (const { stream, request } of calls) {
        const error = rpcError(RPC_CODES.sessionNotFound, "Session not found", request);
        streams.sendLast(stream, error);
      }
    };
  }

  /** The session has another owner, who must not answer in place of the last one. */
  drop(): void {
    const { code, message } = FAILURES.interrupted;
    for (const call of this.#parts.streams.rounds.parked()) {
      this.#parts.streams.rounds.remove(call);
      this.#clientOf(call)?.answerFor(call.request, rpcError(code, message, call.request));
    }
  }

  #answer(id: RequestId, text: string, error?: Readonly<Record<string, unknown>>): void {
    const { rounds } = this.#parts.streams;
    if (error) {
      const call = rounds.waitingFor(id);
      if (!call) return this.#parts.onStray();
      rounds.remove(call);
      const { code, message } = error;
      const answer = rpcError(
        typeof code === "number" ? code : RPC_CODES.internalError,
        `The client did not answer what the upstream asks for: ${String(message)}`,
        call.request,
      );
      return this.#clientOf(call)?.answerFor(call.request, answer);
    }
    if (!rounds.waitingFor(id)) return this.#parts.onStray();
    const answered = rounds.answer(id, memberText(text, "result") ?? "{}");
    if (answered) this.#send(answered);
  }

  /** From here on a restart answers the call as interrupted: the server may have got it. */
  #send(call: AnsweredCall): void {
    const client = this.#clientOf(call);
    if (!client) return;
    const { request, state } = call;
    const sentAs = newCallId();
    const body = againRequest(call.body, sentAs, Object.fromEntries(call.answers), state);
    this.#parts.begin({ client, request, sentAs, body });
  }

  /** The answer to the POST of a call that waits no more, with the stream that it has. */
  #clientOf({ exchange, request }: ParkedCall): Answering | undefined {
    const { streams, running, onStray } = this.#parts;
    const known = running(exchange);
    known?.unpark(request);
    if (known) return known;
    const row = streams.openExchange(exchange);
    if (!row) return undefined;
    const delivery = row.stream === STANDALONE_STREAM ? "standalone" : "own";
    const parked = streams.rounds.parked(exchange).map((one) => one.request);
    return new ClientAnswer({
      request: { pending: row.asked, batch: false, delivery },
      streams,
      onStray,
      resumed: { row, parked },
    });
  }
}

/** A call that is sent again has an id of its own. */
function newCallId(): RequestId {
  return JSON.stringify(`holdfast-again-${crypto.randomUUID()}`);
}

/** The client knows a call that is sent again by the id that it gave it. */
export function asClientKnows(written: WrittenMessage, again: Again | undefined): WrittenMessage {
  const { message, text } = written;
  if (!again || message.kind !== "response" || message.id === undefined) return written;
  if (requestMeant(message.id, [again.sentAs], [again.sentAs]) === undefined) return written;
  return { message: { ...message, id: again.request }, text: withId(text, again.request) };
}
