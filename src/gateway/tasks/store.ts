/**
 * Stores what of a task has no room elsewhere: a call that is too long for the session's record, and a state that
 * is too long for the event that tells of it. In parts, because the platform stores at most 2 MB in a value.
 */
import { partsOf } from "../../stream/message-parts.ts";
import type { TaskFacts, TaskState } from "./task.ts";

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
}

/** UTF-16 units of a call that the session's record keeps. */
const MOST_IN_RECORD = 64 * 1024;
/** The keys: what is too long for one value goes on under `KEY:1`, `KEY:2`… */
const CALL = "task-call";
const STATE = "task-state";

export class TaskStore {
  readonly #kv: SyncKvStorage;

  constructor({ kv }: DurableObjectStorage) {
    this.#kv = kv;
  }

  /** Stores a new task's call, in the calling code's transaction. */
  create(call: StoredCall): void {
    if (withSession(call) === undefined) this.#put(CALL, JSON.stringify(call));
  }

  /** The call; undefined if there is none. `taskCall` is what the session's record has of it. */
  call(taskCall: string | undefined): StoredCall | undefined {
    const text = taskCall ?? this.#get(CALL).join("");
    // Only this class writes it.
    return text === "" ? undefined : (JSON.parse(text) as StoredCall);
  }

  /** Stores a state, in the calling code's transaction. */
  saveState(state: TaskState): void {
    const before = this.#get(STATE).length;
    const parts = this.#put(STATE, JSON.stringify(state));
    for (let part = parts; part < before; part++) this.#kv.delete(keyOf(STATE, part));
  }

  /** The state that was stored last. */
  get state(): TaskState {
    return JSON.parse(this.#get(STATE).join("")) as TaskState;
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
