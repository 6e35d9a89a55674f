/**
 * The task of a session's object. A tool call of a client that knows of tasks begins here, because nothing
 * that is under way can move to another object. Until it has taken `afterMs` nothing is stored, and its answer
 * goes back as it comes. Then the session is made, and the call goes on without its client.
 */
import type { Config } from "../../config/service.ts";
import type { Caller } from "../../core/caller.ts";
import { SESSION_TYPE_TASK, type SessionType } from "../../core/content.ts";
import { refuse, SessionError, succeed, unwrap, type Outcome } from "../../core/errors.ts";
import type { SessionContent } from "../../core/host.ts";
import type { SessionId } from "../../core/id.ts";
import { TASK_REPEAT_MS } from "../../core/limits.ts";
import { bodies, NO_ROOM } from "../../http/held-bytes.ts";
import { describeFailure, type Logger } from "../../logger.ts";
import { exceeds } from "../../wire/bytes.ts";
import { sleep } from "../../wire/timers.ts";
import { RPC_CODES, type WrittenMessage } from "../json-rpc.ts";
import { FAILURES, reportFailure } from "../upstream/failure.ts";
import type { TaskAnswer, TaskAsk } from "./contract.ts";
import { KeptTask, type KeptTaskParts, type Task } from "./kept-task.ts";
import { CallRoutes, resumedAfter, taskOf, type CallRoutesParts } from "./call-routes.ts";
import { QuickCall } from "./quick-call.ts";
import type { StoredCall } from "./store.ts";
import {
  begun,
  createdText,
  isEnded,
  taskText,
  withAnswers,
  withEventId,
  withMessage,
  withQuestions,
  type Repeat,
} from "./task.ts";
import {
  isAnswerTo,
  outcomeOf,
  progressIn,
  repeated,
  repeatsBegin,
  responseIn,
  responseText,
} from "./text.ts";
import { errorText, type Heard, type Run } from "./upstream-call.ts";

type Headers = Readonly<Record<string, string>>;
type CallAsk = TaskAsk & { readonly kind: "call" };

export interface TaskHostParts extends Omit<KeptTaskParts, "eventMaxBytes">, CallRoutesParts {
  /** Makes the session of the task. */
  readonly make: (id: SessionId, content: SessionContent) => Outcome<unknown>;
  /** Ends the session again, if it was made: its task could not be stored. */
  readonly unmake: () => void;
  /** Runs `make` if the owner may have one more. Throws a SessionError (`rate_limited`) otherwise. */
  readonly admit: (
    id: SessionId,
    owner: string | undefined,
    make: () => Promise<void>,
  ) => Promise<void>;
  readonly limits: Pick<Config, "bodyMaxBytes" | "eventMaxBytes" | "streamBufferBytes">;
  readonly log: Logger;
}

const RESTARTED = "The service was restarted during the call, and its answer is lost";
const TOO_LONG = "The answers of a round have together more than BODY_MAX_BYTES";
const NOT_CONFIGURED = "The upstream is not configured any more";

export class TaskHost {
  readonly #parts: TaskHostParts;
  readonly #kept: KeptTask;
  readonly #routes: CallRoutes;
  /** The task's call, while this object has it under way. */
  #run: Run | undefined;
  /** The call that may become the task, until its client is answered. */
  #quickCall: QuickCall | undefined;

  constructor(parts: TaskHostParts) {
    this.#parts = parts;
    this.#routes = new CallRoutes(parts);
    this.#kept = new KeptTask({ ...parts, eventMaxBytes: parts.limits.eventMaxBytes });
  }

  /** When the object is to wake for the task, in milliseconds since the epoch; Infinity: never. */
  get wakeAt(): number {
    return this.#kept.lookAt;
  }

  /** Carries a tool call. The calling code has seen that the object has no session. */
  async call(caller: Caller, taskId: SessionId, ask: CallAsk): Promise<Outcome<TaskAnswer>> {
    const settings = this.#routes.configured(ask.upstream)?.tasks;
    if (!settings) return refuse("session_not_found");
    const { afterMs, ttlMs } = settings;
    const abort = new AbortController();
    const task = { id: taskId, afterMs, withinMs: afterMs + ttlMs };
    const upstream = this.#routes.to(ask, task, ask.headers, abort.signal);
    if (!upstream) return refuse("session_not_found");
    const hold = bodies.hold();
    if (!hold.grow(ask.body.length)) return refuse("unavailable", NO_ROOM);
    const { limits } = this.#parts;
    const late = (call: QuickCall): void => void this.#late(call);
    const owner = ask.owner ?? caller.subject;
    const where = { upstream, settings, abort };
    const run = new QuickCall({ ask, taskId, owner, ...where, hold, limits, late });
    this.#quickCall = run;
    void this.#follow(run, run.call.send(run.body));
    const answer = await run.answer;
    this.#quickCall = undefined;
    return succeed(answer);
  }

  /**
   * Answers a request about the task. `type` is that of the session that the caller owns here, if there is one, and
   * `lastEventId` the place of its stream.
   */
  answer(
    ask: TaskAsk,
    type: SessionType | undefined,
    lastEventId: string | undefined,
  ): Outcome<TaskAnswer> {
    if (ask.kind === "leave") return this.#leave();
    this.takeUp();
    const { task } = this.#kept;
    const isOf = task?.call.upstream === ask.upstream && type === SESSION_TYPE_TASK;
    if (!isOf || ask.kind === "call") return refuse("session_not_found");
    switch (ask.kind) {
      case "get":
        return succeed(this.#shown(lastEventId));
      case "update":
        return this.#update(ask);
      case "cancel":
        this.#cancel();
        return succeed({ kind: "done" });
    }
  }

  /** Takes up a task at work that was lost with the object's memory, or could not be stored; or has it fail. */
  takeUp(): void {
    const { task } = this.#kept;
    if (task?.state.status !== "working" || this.#run) return;
    const { lastEventId } = task.state;
    if (lastEventId === undefined || this.#kept.owesEnd) return this.#lost(RESTARTED);
    const run = this.#newRun(task.call, task.call.headers);
    if (!run) return this.#lost(NOT_CONFIGURED);
    void this.#follow(run, run.call.resume(task.call.url, lastEventId));
  }

  /** The alarm has fired. If the object was lost, this has loaded it. */
  wake(now: number): void {
    const wasLost = !this.#run;
    this.takeUp();
    // The bridge says only later whether a call that was taken up is to be looked at.
    if (this.#kept.isAtWork && (wasLost || this.wakeAt <= now)) this.#kept.lookAgain(now);
  }

  /** Before the session ends, with which its task is gone: returns a function that cancels its call. */
  farewell(): () => void {
    const giveUp = this.#givingUp();
    return () => {
      this.#kept.forget();
      giveUp();
    };
  }

  #shown(lastEventId = ""): TaskAnswer {
    const { task } = this.#kept;
    return { kind: "task", text: task ? taskText(task.call.facts, task.state) : "", lastEventId };
  }

  /** Cancels the call, or the task that it has become. */
  #leave(): Outcome<TaskAnswer> {
    if (this.#quickCall && !this.#quickCall.isOver) this.#quickCall.fail(FAILURES.cancelled);
    else this.#cancel();
    return succeed({ kind: "done" });
  }

  #cancel(): void {
    const giveUp = this.#givingUp();
    this.#kept.cancel();
    giveUp();
  }

  #update({ answers, headers }: TaskAsk & { readonly kind: "update" }): Outcome<TaskAnswer> {
    const { task } = this.#kept;
    if (!task) return refuse("session_not_found");
    const { state, repeat } = withAnswers(task.state, answers, Date.now());
    const all = Object.values((repeat ?? state).answers ?? {}).join("");
    if (exceeds(all, this.#parts.limits.bodyMaxBytes)) return refuse("payload_too_large", TOO_LONG);
    // The bridge knows whether the answers have reached it.
    this.#kept.change(repeat ? withEventId(state, resumedAfter(task.call)) : state);
    if (repeat) this.#repeat(task, repeat, headers);
    return succeed({ kind: "done" });
  }

  /** Handles what a call brings, until it has its answer. */
  async #follow(run: Run, heard: AsyncGenerator<Heard>): Promise<void> {
    try {
      for await (const one of heard) {
        if (this.#isDone(run)) return;
        const quick = this.#quick(run);
        if (quick ? quick.take(one) : this.#take(run, one)) return this.#taken(run);
      }
      if (!this.#isDone(run)) this.#failed(run, undefined);
    } catch (cause) {
      if (!this.#isDone(run)) this.#failed(run, cause);
    } finally {
      if (this.#run === run) this.#run = undefined;
    }
  }

  /** Tells the bridge that an answer has arrived. Until then the bridge keeps the answer to a call that may be a task's. */
  #taken(run: Run): void {
    const { task } = this.#kept;
    if (task && isEnded(task.state) && !this.#kept.owesEnd) {
      this.#routes.taken(task.call, taskOf(task.call), run.headers);
    } else if (!task && run instanceof QuickCall && run.isLate) {
      this.#routes.taken(run.ask, { id: run.taskId, afterMs: 0, withinMs: 1 }, run.headers);
    }
  }

  /** A call that is no task yet. */
  #quick(run: Run): QuickCall | undefined {
    return run instanceof QuickCall && !run.isOver ? run : undefined;
  }

  /** Whether nobody wants to know more of a call. */
  #isDone(run: Run): boolean {
    return this.#run !== run && !this.#quick(run);
  }

  /** Takes what the task's call brings. Returns whether that was its answer. */
  #take(run: Run, heard: Heard): boolean {
    if (heard.kind === "whole") {
      const { body, status } = heard;
      const text = typeof body === "string" ? body : new TextDecoder().decode(body);
      const response = responseIn(text, run);
      if (response) this.#settle(run, response);
      else this.#failed(run, new Error(`status ${status}, and no answer to the call`));
      return true;
    }
    const { task } = this.#kept;
    if (!task) return true;
    let state = withEventId(task.state, run.call.lastEventId);
    for (const one of heard.messages) {
      if (isAnswerTo(run, one)) {
        this.#settle(run, one);
        return true;
      }
      state = withMessage(state, progressIn(one.text, run.token), Date.now());
    }
    this.#kept.hear(state);
    return false;
  }

  #settle({ headers }: Run, response: WrittenMessage): void {
    this.#run = undefined;
    const { task } = this.#kept;
    if (!task) return;
    const outcome = outcomeOf(response);
    if (outcome.kind === "ended") return this.#kept.end(outcome.end);
    const { requests, requestState } = outcome.asked;
    if (Object.keys(requests).length > 0) {
      return this.#kept.change(withQuestions(task.state, outcome.asked, Date.now()));
    }
    // The upstream only wants its state back.
    const { lastEventId: _, ...state } = task.state;
    this.#kept.change(state);
    const repeat = { answers: {}, ...(requestState !== undefined && { requestState }) };
    this.#repeat(task, repeat, headers, TASK_REPEAT_MS);
  }

  /** Sends the call once more, with answers. It is stored already that it is at work: no restart sends it again. */
  #repeat({ call }: Task, repeat: Repeat, given: Headers, afterMs = 0): void {
    const run = this.#newRun(call, { ...given, ...call.headers });
    if (!run) return this.#lost(NOT_CONFIGURED);
    const body = repeated(call.body, repeat, repeatsBegin(call.facts.taskId));
    const send = async (): Promise<void> => {
      if (afterMs > 0) await sleep(afterMs, run.abort.signal);
      if (this.#run === run) await this.#follow(run, run.call.send(body));
    };
    void send();
  }

  #newRun(stored: StoredCall, headers: Headers): Run | undefined {
    return (this.#run = this.#routes.run(stored, headers, this.#parts.limits.bodyMaxBytes));
  }

  #lost(message: string): void {
    this.#kept.end({ status: "failed", error: errorText(message), message });
  }

  /** A call has no answer. `cause` undefined: the upstream ended it without one. */
  #failed(run: Run, cause: unknown): void {
    const failure =
      cause === undefined ? FAILURES.closed : reportFailure(this.#parts.log, run.upstream, cause);
    const quick = this.#quick(run);
    if (quick) return quick.fail(failure);
    const { code, message } = failure;
    this.#kept.end({ status: "failed", error: errorText(message, code), message });
  }

  /** Returns a function that cancels what the upstream has of the task as it is now. */
  #givingUp(): () => void {
    const { task } = this.#kept;
    return () => {
      const run = this.#run;
      this.#run = undefined;
      if (run) run.abort.abort();
      // A server that keeps sessions waits for answers in the middle of the call.
      else if (task && !isEnded(task.state)) this.#routes.cancel(task.call);
    };
  }

  /** A call has not answered in time for a plain answer: it becomes a task. */
  async #late(call: QuickCall): Promise<void> {
    try {
      await this.#parts.admit(call.taskId, call.owner, () => this.#makeTask(call));
    } catch (cause) {
      if (call.isOver) return;
      this.#kept.forget();
      this.#parts.unmake();
      if (cause instanceof SessionError) {
        const { status, message } = cause;
        return call.fail({ status, code: RPC_CODES.serverError, message });
      }
      this.#parts.log.warn("task.unmade", { cause: describeFailure(cause) });
      call.fail(FAILURES.taskUnmade);
    }
  }

  async #makeTask(quick: QuickCall): Promise<void> {
    // The call may have its answer by now: the owner's tasks were counted meanwhile.
    if (quick.isOver) return;
    const { call, taskId, ask } = quick;
    const now = Date.now();
    const stored = quick.toStore(now);
    const state = withMessage(withEventId(begun(now), call.lastEventId), quick.progress, now);
    this.#kept.expect(state, now);
    unwrap(this.#parts.make(taskId, quick.toSession(stored)));
    this.#kept.create(stored, state, now);
    this.#run = quick;
    quick.becomesTask();
    // The client must not hear of a task that a crash could undo.
    await this.#parts.storage.sync();
    quick.tell(responseText(ask.id, createdText(stored.facts, state)));
  }
}
