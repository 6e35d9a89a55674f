/** The task that an object keeps: every change is stored first, and then told to the readers of its stream. */
import { SESSION_TYPE_TASK } from "../../core/content.ts";
import type { SessionContent } from "../../core/host.ts";
import { FIRST_TASK_LOOK_MS, LONGEST_TASK_LOOK_MS } from "../../core/limits.ts";
import { describeFailure, type Logger } from "../../logger.ts";
import type { EventChannel } from "../../stream/event-channel.ts";
import type { EventWithAside } from "../../stream/event-log.ts";
import { exceeds } from "../../wire/bytes.ts";
import { STATUS_EVENT } from "./contract.ts";
import { TaskStore, type StoredCall } from "./store.ts";
import {
  ended,
  isEnded,
  isToBeWoken,
  stateOf,
  taskText,
  untoldText,
  type TaskEnd,
  type TaskState,
} from "./task.ts";

/** Stands beside an event in place of a state that has no room there. */
const ELSEWHERE = "elsewhere";
/** UTF-16 units that stand beside an event: the two have one row. */
const MOST_UNTOLD = 64 * 1024;

export interface Task {
  readonly call: StoredCall;
  readonly state: TaskState;
}

export interface KeptTaskParts {
  readonly storage: DurableObjectStorage;
  /** The session, while there is one. */
  readonly session: () => Pick<SessionContent, "type" | "taskCall"> | null;
  readonly stream: () => {
    /** Appends an event to the session's stream, and ends that if `ends`. `store` runs in the same transaction. */
    readonly byTask: (event: EventWithAside, ends: boolean, store: () => void) => void;
    readonly ofTask: Pick<EventChannel, "newest" | "changeAside"> | undefined;
  };
  /** Makes sure that the object wakes at this time. */
  readonly wakeBy: (at: number) => void;
  readonly eventMaxBytes: number;
  readonly log: Logger;
}

export class KeptTask {
  readonly #parts: KeptTaskParts;
  readonly #store: TaskStore;
  /** Undefined: not looked for yet. Null: there is none. */
  #loaded: Task | null | undefined;
  /** When a task at work is to be looked at; undefined: it is not known. */
  #lookAt: number | undefined;
  /** How the task has ended, while that could not be stored, and the next try to store it. */
  #owed: TaskEnd | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: KeptTaskParts) {
    this.#parts = parts;
    this.#store = new TaskStore(parts.storage);
  }

  /** The session's task; undefined if it has none. */
  get task(): Task | undefined {
    const session = this.#parts.session();
    if (session?.type !== SESSION_TYPE_TASK) return undefined;
    if (this.#loaded === undefined) this.#loaded = this.#load(session) ?? null;
    return this.#loaded ?? undefined;
  }

  get isAtWork(): boolean {
    return this.task?.state.status === "working";
  }

  /** When the object is to look at the task, in milliseconds since the epoch; Infinity: never. */
  get lookAt(): number {
    if (this.#lookAt !== undefined) return this.#lookAt;
    const { task } = this;
    const isDue = task && isToBeWoken(task.state);
    return isDue ? (this.#lookAt = Date.now() + FIRST_TASK_LOOK_MS) : Infinity;
  }

  /** A task is to be made: the session's first alarm is to be the first look, so that one alarm is set and not two. */
  expect(state: TaskState, now: number): void {
    this.#lookAt = isToBeWoken(state) ? now + FIRST_TASK_LOOK_MS : Infinity;
  }

  /** Stores a new task in the session, which has just been made. */
  create(call: StoredCall, state: TaskState, now: number): void {
    this.#tell(call, state, () => this.#store.create(call));
    this.#loaded = { call, state };
    if (isToBeWoken(state)) this.lookAgain(now);
  }

  /** Nobody else changes the state. */
  change(next: TaskState): void {
    const { task } = this;
    if (!task || next === task.state) return;
    const { call, state: before } = task;
    const isTold = taskText(call.facts, next) !== taskText(call.facts, before);
    if (isTold) this.#tell(call, next);
    // A later place of the upstream's stream waits for the next event: nothing that was told lies between.
    else if (canResume(next) !== canResume(before)) {
      const { aside, store } = this.#aside(next);
      this.#parts.storage.transactionSync(() => {
        store();
        this.#parts.stream().ofTask?.changeAside(aside);
      });
    }
    this.#loaded = { call, state: next };
    if (!isToBeWoken(next)) this.#lookAt = undefined;
    else if (!isToBeWoken(before)) this.lookAgain(Date.now());
  }

  /** Takes a change that a later one makes up for, where it cannot be stored now. */
  hear(next: TaskState): void {
    this.#try(() => this.change(next));
  }

  /** Ends the task. An end that cannot be stored now is owed: it comes before any other end, and is tried again. */
  end(end: TaskEnd): void {
    this.#owed ??= end;
    this.#try(() => this.#end(end));
    if (this.owesEnd) this.#again ??= setTimeout(() => this.#endAgain(end), FIRST_TASK_LOOK_MS);
  }

  /** Cancels the task. Where that cannot be stored, this throws, and nothing has happened. */
  cancel(): void {
    this.#end({ status: "cancelled" });
  }

  /** Whether the task has ended, and that is still to be stored. */
  get owesEnd(): boolean {
    return this.#owed !== undefined;
  }

  /** Sets the next look at a task at work: the older it is, the later. */
  lookAgain(now: number): void {
    const age = now - (this.task?.call.facts.createdAt ?? now);
    const inMs = Math.min(Math.max(3 * age, FIRST_TASK_LOOK_MS), LONGEST_TASK_LOOK_MS);
    this.#lookAt = now + inMs;
    this.#parts.wakeBy(this.#lookAt);
  }

  /** The session has ended. */
  forget(): void {
    this.#loaded = undefined;
    this.#lookAt = undefined;
    this.#settle();
  }

  #endAgain(end: TaskEnd): void {
    this.#again = undefined;
    if (this.owesEnd) this.end(end);
  }

  /** Nothing is owed any more. */
  #settle(): void {
    this.#owed = undefined;
    clearTimeout(this.#again);
    this.#again = undefined;
  }

  #end(end: TaskEnd): void {
    const { task } = this;
    if (task) this.change(ended(task.state, this.#owed ?? end, Date.now()));
    this.#settle();
  }

  #try(change: () => void): void {
    try {
      change();
    } catch (cause) {
      this.#parts.log.warn("task.unstored", { cause: describeFailure(cause) });
    }
  }

  #load({ taskCall }: Pick<SessionContent, "taskCall">): Task | undefined {
    const call = this.#store.call(taskCall);
    const { data, aside = "" } = this.#parts.stream().ofTask?.newest ?? {};
    if (!call || data === undefined) return undefined;
    return { call, state: aside === ELSEWHERE ? this.#store.state : stateOf(data, aside) };
  }

  /** Stores a state with the event that tells of it, and tells. `create` runs in the same transaction. */
  #tell({ facts }: StoredCall, state: TaskState, create?: () => void): void {
    const whole = taskText(facts, state);
    const isTooLarge = exceeds(whole, this.#parts.eventMaxBytes - STATUS_EVENT.length);
    // `tasks/get` has the rest.
    const data = isTooLarge ? taskText(facts, state, false) : whole;
    const { aside, store } = this.#aside(state, data === whole);
    const event = { event: STATUS_EVENT, data, aside: aside || undefined };
    this.#parts.stream().byTask(event, isEnded(state), () => {
      create?.();
      store();
    });
  }

  /** The text that stands beside the event of a state, and what stores the state where that has no room there. */
  #aside(state: TaskState, isTold = true): { readonly aside: string; readonly store: () => void } {
    const aside = untoldText(state);
    if (isTold && aside.length <= MOST_UNTOLD) return { aside, store: () => undefined };
    return { aside: ELSEWHERE, store: () => this.#store.saveState(state) };
  }
}

function canResume({ lastEventId }: TaskState): boolean {
  return lastEventId !== undefined;
}
