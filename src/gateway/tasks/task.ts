/**
 * A task as the Tasks extension defines it (SEP-2663, schema 2026-07-28): what it may become, and how it is
 * shown. Pure: times are arguments, in milliseconds since the epoch. Texts of JSON stay as they were written.
 */

import { memberText, membersOf } from "../../wire/json-text.ts";

export type TaskStatus = "working" | "input_required" | "completed" | "failed" | "cancelled";

/** The members of a task that never change. */
export interface TaskFacts {
  readonly taskId: string;
  readonly createdAt: number;
  /** How long it lives from `createdAt` on, in milliseconds. */
  readonly ttlMs: number;
  readonly pollIntervalMs: number;
}

export interface TaskState {
  readonly status: TaskStatus;
  readonly message?: string;
  readonly updatedAt: number;
  /** How many times the upstream has asked. */
  readonly rounds: number;
  /** While it is `input_required`: the requests, as JSON, by a key that no other question of the task has or had. */
  readonly questions?: Readonly<Record<string, string>>;
  /** The answers of this round so far, as JSON, by the upstream's names. */
  readonly answers?: Readonly<Record<string, string>>;
  /** The upstream's `requestState`, which it gets back with the answers, as JSON. */
  readonly requestState?: string;
  /** Of a completed task, as JSON. */
  readonly result?: string;
  /** Of a failed task, as JSON. */
  readonly error?: string;
  /** The upstream's stream can be taken up after this event. */
  readonly lastEventId?: string;
}

export function begun(now: number): TaskState {
  return { status: "working", updatedAt: now, rounds: 0 };
}

/** Whether nothing can happen to it any more. */
export function isEnded({ status }: TaskState): boolean {
  return status !== "working" && status !== "input_required";
}

/** The upstream has told how far it is. Only a task at work can hear that. */
export function withMessage(state: TaskState, message: string | undefined, now: number): TaskState {
  if (message === undefined || state.status !== "working" || state.message === message)
    return state;
  return { ...state, message, updatedAt: now };
}

/** The upstream's stream can be taken up after a later event. That is no change which a client sees. */
export function withEventId(state: TaskState, lastEventId: string | undefined): TaskState {
  if (lastEventId === undefined || lastEventId === state.lastEventId) return state;
  return state.status === "working" ? { ...state, lastEventId } : state;
}

/**
 * Places in the stream of a call over the bridge, which knows the real place itself. `AT_BRIDGE`: the bridge alone has
 * the rest. `AT_SERVER`: the server can be asked for the rest, also after a restart of everything.
 */
export const AT_BRIDGE = "0";
export const AT_SERVER = "1";

/** Whether the object must wake by itself after a restart: a call at work can be taken up then. */
export function isToBeWoken({ status, lastEventId }: TaskState): boolean {
  return status === "working" && lastEventId !== undefined && lastEventId !== AT_BRIDGE;
}

/** The questions that an upstream asks in one answer. */
export interface Asked {
  /** The requests as JSON, by the upstream's names. At least one. */
  readonly requests: Readonly<Record<string, string>>;
  readonly requestState?: string | undefined;
}

/** The upstream needs answers before it goes on. */
export function withQuestions(
  state: TaskState,
  { requests, requestState }: Asked,
  now: number,
): TaskState {
  if (state.status !== "working") return state;
  const rounds = state.rounds + 1;
  const questions = Object.entries(requests).map(
    ([name, request]) => [`${rounds}.${name}`, request] as const,
  );
  return {
    status: "input_required",
    updatedAt: now,
    rounds,
    questions: Object.fromEntries(questions),
    answers: {},
    ...(requestState !== undefined && { requestState }),
  };
}

/** The name that the upstream gave to a question in its round. */
export function nameIn(key: string): string {
  return key.slice(key.indexOf(".") + 1);
}

/** The request to the upstream once the client has answered every question of a round. */
export interface Repeat {
  /** As JSON, by the upstream's names. */
  readonly answers: Readonly<Record<string, string>>;
  readonly requestState?: string;
}

/**
 * Takes answers, as JSON by the task's keys. A key that is not asked, or not any more, is ignored. With the
 * last answer the task is at work again, and `repeat` is what the upstream is to be sent, once.
 */
export function withAnswers(
  state: TaskState,
  given: Readonly<Record<string, string>>,
  now: number,
): { readonly state: TaskState; readonly repeat?: Repeat } {
  const { status, rounds, questions = {}, answers = {}, requestState } = state;
  if (status !== "input_required") return { state };
  const meant = Object.entries(questions).filter(([key]) => Object.hasOwn(given, key));
  if (meant.length === 0) return { state };
  const all = Object.fromEntries([
    ...Object.entries(answers),
    ...meant.map(([key]) => [nameIn(key), given[key] ?? "null"]),
  ]) as Record<string, string>;
  const open = Object.entries(questions).filter(([key]) => !Object.hasOwn(given, key));
  if (open.length > 0) {
    const left = Object.fromEntries(open);
    return { state: { ...state, updatedAt: now, questions: left, answers: all } };
  }
  return {
    state: { status: "working", updatedAt: now, rounds },
    repeat: { answers: all, ...(requestState !== undefined && { requestState }) },
  };
}

export type TaskEnd =
  /** `result` as JSON. */
  | { readonly status: "completed"; readonly result: string }
  /** `error` as JSON. */
  | { readonly status: "failed"; readonly error: string; readonly message?: string }
  | { readonly status: "cancelled" };

/** Ends the task, unless it has ended. */
export function ended(state: TaskState, end: TaskEnd, now: number): TaskState {
  if (isEnded(state)) return state;
  return { ...end, updatedAt: now, rounds: state.rounds };
}

/** The members of a `Task` that change. */
interface Shown {
  readonly status: TaskStatus;
  readonly statusMessage?: string;
  readonly lastUpdatedAt: string;
}

/** The members of a `Task`, as an object. */
function shown(facts: TaskFacts, state: TaskState) {
  const { taskId, createdAt, ttlMs, pollIntervalMs } = facts;
  const { status, message, updatedAt } = state;
  return {
    taskId,
    status,
    ...(message !== undefined && { statusMessage: message }),
    createdAt: new Date(createdAt).toISOString(),
    lastUpdatedAt: new Date(updatedAt).toISOString(),
    ttlMs,
    pollIntervalMs,
  };
}

/** The task with what belongs to its status, a `DetailedTask`, as JSON. `payload` false leaves that out. */
export function taskText(facts: TaskFacts, state: TaskState, payload = true): string {
  const head = JSON.stringify(shown(facts, state)).slice(0, -1);
  return `${head}${payload ? payloadOf(state) : ""}}`;
}

function payloadOf({ questions, result, error }: TaskState): string {
  if (result !== undefined) return `,"result":${result}`;
  if (error !== undefined) return `,"error":${error}`;
  if (!questions) return "";
  const asked = Object.entries(questions).map(
    ([key, request]) => `${JSON.stringify(key)}:${request}`,
  );
  return `,"inputRequests":{${asked.join(",")}}`;
}

/** The members of a state that a restart needs and its `taskText` lacks, as JSON; empty: there are none. */
export function untoldText(state: TaskState): string {
  if (isEnded(state)) return "";
  const { rounds, answers, requestState, lastEventId } = state;
  const text = JSON.stringify({ rounds: rounds || undefined, answers, requestState, lastEventId });
  return text === "{}" ? "" : text;
}

/** The state of these two texts: its `taskText`, with what belongs to its status, and its `untoldText`. */
export function stateOf(text: string, untold: string): TaskState {
  // Only this module writes them.
  const { status, statusMessage: message, lastUpdatedAt } = JSON.parse(text) as Shown;
  const questions = membersOf(memberText(text, "inputRequests"));
  const [result, error] = [memberText(text, "result"), memberText(text, "error")];
  return {
    rounds: 0,
    ...(untold !== "" && (JSON.parse(untold) as Partial<TaskState>)),
    status,
    updatedAt: Date.parse(lastUpdatedAt),
    ...(message !== undefined && { message }),
    ...(questions && { questions }),
    ...(result !== undefined && { result }),
    ...(error !== undefined && { error }),
  };
}

/** The result of the call that has become a task, as JSON. */
export function createdText(facts: TaskFacts, state: TaskState): string {
  return JSON.stringify({ resultType: "task", ...shown(facts, state) });
}
