/**
 * The calls of tasks that a session carries. A task's object may be gone without a sign: what was written to it last
 * is lost then, and the server has answered for good. So an answer is kept here until the task has stored it.
 */
import { ERA_LINGER_MS } from "../../core/limits.ts";
import type { EraRequest, ExchangeRequest } from "../contract.ts";
import type { RequestId } from "../json-rpc.ts";
import type { WakeTask } from "../upstream/upstream.ts";
import type { EraCallLog } from "./era-call-log.ts";
import { answeredAtOnce, busy, type Carried } from "./era-carried.ts";
import type { EraDoubt } from "./era-doubt.ts";
import { cancelled } from "./era-places.ts";
import type { EraSender } from "./era-sender.ts";
import type { EraStates } from "./era-states.ts";
import type { OpenExchange } from "./exchange-table.ts";
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
  /** Says that the call is over. Until then another life of the object asks the server for the answer, where it can. */
  readonly close: () => void;
  readonly callOff: () => void;
}

const nothing = (): void => undefined;

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
    // The server has answered, and the task has ended otherwise.
    if (this.#take(id)) return done(era);
    if (isRunning(id)) {
      cancel(id, CANCELLED);
      return done(era);
    }
    const left = this.#leftOf(id);
    if (!left) return era.slot === undefined ? done(era) : busy();
    link.streams.say(left, [], []);
    doubt.givenUp();
    sender.post(cancelled(id, CANCELLED), request.headers);
    return done(era);
  }

  /** A task has stored the answer to its call. */
  taken(request: ExchangeRequest, era: EraRequest): Carried {
    const { isRunning, link } = this.#parts;
    const id = this.callOf(request, era);
    if (this.#take(id)) return done(era);
    // An earlier life of the object has given it.
    const left = isRunning(id) ? undefined : this.#leftOf(id);
    if (left) link.streams.say(left, [], []);
    return left || era.slot === undefined ? done(era) : busy();
  }

  /** An answer is about to be given to a task. If the task does not take it in time, the log keeps it. */
  give(id: RequestId, text: string, taskId: string, log: EraCallLog): void {
    this.#take(id);
    const close = () => log.close();
    const callOff = this.#parts.link.timer.after(ERA_LINGER_MS, () => {
      try {
        this.#keep(text, log);
        this.#untaken.set(id, { text: undefined, close: nothing, callOff: nothing });
      } finally {
        // An answer that could not be stored is still here.
        this.wake(taskId);
      }
    });
    this.#untaken.set(id, { text, close, callOff });
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
    for (const { callOff } of this.#untaken.values()) callOff();
    this.#untaken.clear();
  }

  /** Returns whether the answer was still to be stored. */
  #take(id: RequestId): boolean {
    const untaken = this.#untaken.get(id);
    untaken?.callOff();
    untaken?.close();
    return this.#untaken.delete(id);
  }

  /** A call of an earlier life of the object that is not over. */
  #leftOf(id: RequestId): OpenExchange | undefined {
    return this.#parts.link.streams.openExchanges().find(({ asked }) => asked.includes(id));
  }

  #keep(text: string, log: EraCallLog): void {
    this.#parts.states.leave(log.place(undefined), Date.now());
    log.add(text);
    log.store([], undefined);
  }
}

function done({ id }: EraRequest): Carried {
  const body = `{"jsonrpc":"2.0","id":${id},"result":{}}`;
  return answeredAtOnce({ kind: "json", status: 200, body });
}
