/** The task that an object keeps: every change is stored first, and then told to the readers of its stream. */
import { SESSION_TYPE_TASK } from "../../core/content.ts";
import type { NewEvent, SessionContent } from "../../core/host.ts";
import { FIRST_TASK_LOOK_MS, LONGEST_TASK_LOOK_MS } from "../../core/limits.ts";
import { exceeds } from "../../wire/bytes.ts";
import { resumedAfter } from "./call-routes.ts";
import { STATUS_EVENT } from "./contract.ts";
import { TaskStore, type StoredCall } from "./store.ts";
import {
  begun,
  ended,
  isEnded,
  taskText,
  withEventId,
  withMessage,
  withTold,
  type TaskEnd,
  type TaskState,
} from "./task.ts";

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
    readonly byTask: (event: NewEvent, ends: boolean, store: () => void) => void;
    /** The data of the last event. */
    readonly lastOfTask: () => string | undefined;
  };
  /** Makes sure that the object wakes at this time. */
  readonly wakeBy: (at: number) => void;
  readonly eventMaxBytes: number;
}

export class KeptTask {
  readonly #parts: KeptTaskParts;
  readonly #store: TaskStore;
  /** Undefined: not looked for yet. Null: there is none. */
  #loaded: Task | null | undefined;
  /** When a task at work is to be looked at; undefined: it is not known. */
  #lookAt: number | undefined;

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
    return this.isAtWork ? (this.#lookAt = Date.now() + FIRST_TASK_LOOK_MS) : Infinity;
  }

  /** A task is to be made: the session's first alarm is to be the first look, so that one alarm is set and not two. */
  expect(now: number): void {
    this.#lookAt = now + FIRST_TASK_LOOK_MS;
  }

  /** Stores a new task in the session, which has just been made. Returns its state. */
  create(call: StoredCall, message: string | undefined, now: number): TaskState {
    const state = withMessage(withEventId(begun(now), call.lastEventId), message, now);
    this.#parts
      .stream()
      .byTask(this.#event(call, state).event, false, () => this.#store.create(call));
    this.#loaded = { call, state };
    this.lookAgain(now);
    return state;
  }

  /** Nobody else changes the state. */
  change(next: TaskState): void {
    const { task } = this;
    if (!task || next === task.state) return;
    const { call, state: before } = task;
    const isWorking = next.status === "working";
    const isAtWork = isWorking && before.status === "working";
    const { event, isWhole } = this.#event(call, next);
    // The last event of the stream is kept as long as the task, and says as much.
    const isTelling = isWorking || (isEnded(next) && isWhole);
    const resumesAfter = isAtWork ? before.lastEventId : resumedAfter(call);
    const isStored = !isTelling || (isWorking && next.lastEventId !== resumesAfter);
    // How far the upstream is need not outlive the object, unless its stream does.
    const store = (): void => {
      if (isStored) this.#store.save(next);
    };
    const isTold = taskText(call.facts, next) !== taskText(call.facts, before);
    if (isTold) this.#parts.stream().byTask(event, isEnded(next), store);
    else store();
    this.#loaded = { call, state: next };
    if (next.status !== "working") this.#lookAt = undefined;
    else if (!isAtWork) this.lookAgain(next.updatedAt);
  }

  end(end: TaskEnd): void {
    const { task } = this;
    if (task) this.change(ended(task.state, end, Date.now()));
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
  }

  #load({ taskCall }: Pick<SessionContent, "taskCall">): Task | undefined {
    const task = this.#store.load(taskCall);
    if (!task) return undefined;
    const told = this.#parts.stream().lastOfTask() ?? "";
    return { ...task, state: withTold(task.state, told, resumedAfter(task.call)) };
  }

  #event({ facts }: StoredCall, state: TaskState): { event: NewEvent; isWhole: boolean } {
    const whole = taskText(facts, state);
    const isWhole = !exceeds(whole, this.#parts.eventMaxBytes - STATUS_EVENT.length);
    // `tasks/get` has the rest.
    const data = isWhole ? whole : taskText(facts, state, false);
    return { event: { event: STATUS_EVENT, data }, isWhole };
  }
}
