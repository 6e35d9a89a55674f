/**
 * The calls of tasks that a session carries. A task's object may be gone without a sign: what was written to it last
 * is lost then, and the server has answered for good. So an answer is kept here until the task has stored it.
 */
import { ERA_LINGER_MS } from "../../core/limits.ts";
import type { EraRequest, ExchangeRequest } from "../contract.ts";
import type { RequestId } from "../json-rpc.ts";
import type { WakeTask } from "../upstream/upstream.ts";
import { answeredAtOnce, busy, type Carried } from "./era-carried.ts";
import type { EraDoubt } from "./era-doubt.ts";
import { cancelled } from "./era-places.ts";
import type { EraSender } from "./era-sender.ts";
import type { EraStates } from "./era-states.ts";
import type { UpstreamLink } from "./upstream-link.ts";

interface EraTasksParts {
  readonly link: UpstreamLink;
  readonly states: EraStates;
  /** Whether a call is under way. */
  readonly isRunning: (id: RequestId) => boolean;
  readonly doubt: Pick<EraDoubt, "givenUp">;
  readonly sender: Pick<EraSender, "post">;
  /** Cancels a call that is under way. */
  readonly cancel: (id: RequestId, reason: string) => void;
  readonly wakeTask: WakeTask;
}

/** An answer that its task has not stored. */
interface Untaken {
  /** The server's response. Undefined: the log has it by now. */
  readonly text: string | undefined;
  readonly callOff: () => void;
}

/** Why the upstream is to stop. */
const CANCELLED = "The task was cancelled";

export class EraTasks {
  readonly #parts: EraTasksParts;
  /** By the call's id at the upstream. */
  readonly #untaken = new Map<RequestId, Untaken>();

  constructor(parts: EraTasksParts) {
    this.#parts = parts;
  }

  /** The upstream's id of a task's call. An earlier request, which was answered by a question, may have begun it. */
  callOf({ pending }: ExchangeRequest, { requestState }: EraRequest): RequestId {
    const asked = requestState === undefined ? undefined : this.#parts.states.callOf(requestState);
    return asked ?? pending[0] ?? "";
  }

  /** Cancels a task's call at the server. */
  cancel(request: ExchangeRequest, era: EraRequest): Carried {
    const { link, isRunning, doubt, sender, cancel } = this.#parts;
    const id = this.callOf(request, era);
    if (isRunning(id)) {
      cancel(id, CANCELLED);
      return done(era);
    }
    const left = link.streams.openExchanges().find(({ asked }) => asked.includes(id));
    if (!left) return era.slot === undefined ? done(era) : busy();
    link.streams.say(left, [], []);
    doubt.givenUp();
    sender.post(cancelled(id, CANCELLED), request.headers);
    return done(era);
  }

  /** A task has stored the answer to its call. */
  taken(request: ExchangeRequest, era: EraRequest): Carried {
    const isHere = this.#take(this.callOf(request, era));
    return isHere || era.slot === undefined ? done(era) : busy();
  }

  /** An answer is about to be given to a task. If the task does not take it in time, the log keeps it. */
  give(id: RequestId, text: string, taskId: string): void {
    this.#take(id);
    const callOff = this.#parts.link.timer.after(ERA_LINGER_MS, () => {
      this.#untaken.set(id, { text: undefined, callOff: () => undefined });
      this.#log(id, text);
      this.wake(taskId);
    });
    this.#untaken.set(id, { text, callOff });
  }

  /** Whether a task is still to store the answer to this call. */
  isUntaken(id: RequestId): boolean {
    return this.#untaken.has(id);
  }

  /** The answer that a task is still to store, if it is not in the log. */
  untaken(id: RequestId): string | undefined {
    return this.#untaken.get(id)?.text;
  }

  /** Has a task's object come for its call. Where that fails, it finds what there is when it is next asked for. */
  wake(taskId: string): void {
    const { wakeTask, link } = this.#parts;
    void wakeTask(link.upstream.name, taskId).catch(() => undefined);
  }

  /** The session has ended. */
  end(): void {
    for (const id of this.#untaken.keys()) this.#take(id);
  }

  /** Returns whether the answer was still to be stored. */
  #take(id: RequestId): boolean {
    this.#untaken.get(id)?.callOff();
    return this.#untaken.delete(id);
  }

  #log(id: RequestId, text: string): void {
    const { states, link } = this.#parts;
    const { streams } = link;
    const exchange = streams.beginExchange([id], false);
    const place = { stream: exchange.stream, seq: streams.lastSeq, upstreamId: id };
    states.leave(place, Date.now());
    streams.say(exchange, [text], []);
  }
}

function done({ id }: EraRequest): Carried {
  const body = `{"jsonrpc":"2.0","id":${id},"result":{}}`;
  return answeredAtOnce({ kind: "json", status: 200, body });
}
