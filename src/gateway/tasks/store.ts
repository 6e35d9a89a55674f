/**
 * Stores a task in its object, beside the session's record: the call, once, and the state, with each change
 * of it that a restart must not lose. In parts, because the platform stores at most 2 MB in a value.
 */
import { partsOf } from "../../stream/message-parts.ts";
import { begun, withEventId, type TaskFacts, type TaskState } from "./task.ts";

/** The call that has become a task. */
export interface StoredCall {
  readonly facts: TaskFacts;
  /** The upstream's name, and the replica that has the call. */
  readonly upstream: string;
  readonly url: string;
  /** As it was first sent. */
  readonly body: string;
  /** The headers of the call that say what it is. None is a secret. */
  readonly headers: Readonly<Record<string, string>>;
  /** The call's progress token, as JSON. */
  readonly token: string;
  /** The server keeps sessions: the call is carried in the session of this principal. */
  readonly principal?: string;
  /** The upstream's stream could be taken up after this event when the task was made. */
  readonly lastEventId?: string;
}

/** UTF-16 units of a call that the session's record keeps. */
const MOST_IN_RECORD = 64 * 1024;
/** The keys: what is too long for one value goes on under `KEY:1`, `KEY:2`… */
const CALL = "task-call";
const STATE = "task-state";

export class TaskStore {
  readonly #kv: SyncKvStorage;
  /** How many values hold the state; undefined: not known yet. */
  #parts: number | undefined;

  constructor({ kv }: DurableObjectStorage) {
    this.#kv = kv;
  }

  /** Stores a new task, in the calling code's transaction. It is at work: that takes no row. */
  create(call: StoredCall): void {
    if (withSession(call) === undefined) this.#put(CALL, JSON.stringify(call));
    this.#parts = 0;
  }

  /** Stores the state, in the calling code's transaction. */
  save(state: TaskState): void {
    const before = this.#parts ?? this.#get(STATE).length;
    this.#parts = this.#put(STATE, JSON.stringify(state));
    for (let part = this.#parts; part < before; part++) this.#kv.delete(keyOf(STATE, part));
  }

  /** The task; undefined if there is none. `taskCall` is what the session's record has of it. */
  load(
    taskCall: string | undefined,
  ): { readonly call: StoredCall; readonly state: TaskState } | undefined {
    const [call, state] = [taskCall ?? this.#get(CALL).join(""), this.#get(STATE).join("")];
    if (call === "") return undefined;
    // Only this class writes these values.
    const stored = JSON.parse(call) as StoredCall;
    if (state !== "") return { call: stored, state: JSON.parse(state) as TaskState };
    return { call: stored, state: withEventId(begun(stored.facts.createdAt), stored.lastEventId) };
  }

  #put(key: string, text: string): number {
    const parts = partsOf(text);
    parts.forEach((data, part) => this.#kv.put(keyOf(key, part), data));
    return parts.length;
  }

  #get(key: string): string[] {
    const parts: string[] = [];
    for (;;) {
      const part = this.#kv.get<string>(keyOf(key, parts.length));
      if (part === undefined) return parts;
      parts.push(part);
    }
  }
}

/** The call as the session's record keeps it, which costs no row; undefined if it is too long to be written again with each change of the record. */
export function withSession(call: StoredCall): string | undefined {
  const text = JSON.stringify(call);
  return text.length <= MOST_IN_RECORD ? text : undefined;
}

function keyOf(key: string, part: number): string {
  return part === 0 ? key : `${key}:${part}`;
}
