/**
 * Stores the state of a server of one's own and the times at which to wake it. The end of the session
 * clears both, with everything else in the object's storage.
 */
import { MAX_STATE_BYTES, MAX_STATE_KEYS, MAX_WAKES } from "../../core/limits.ts";
import { utf8Length } from "../../wire/bytes.ts";
import type { ServerState } from "./contract.ts";

const STATE = "server-state:";
const WAKES = "server-wakes";

export class ServerStore implements ServerState {
  readonly #storage: DurableObjectStorage;
  /**
   * `new`: the session is made when the server has answered `initialize`. Until then memory alone holds
   * everything, since a session that is not made must leave nothing behind.
   */
  #phase: "new" | "kept" | "over";
  /** JSON by key. Undefined: not read yet. */
  #texts: Map<string, string> | undefined;
  #bytes = 0;
  /** In ascending order. Undefined: not read yet. */
  #wakes: readonly number[] | undefined;

  constructor(storage: DurableObjectStorage, isNew: boolean) {
    this.#storage = storage;
    this.#phase = isNew ? "new" : "kept";
  }

  get isNew(): boolean {
    return this.#phase === "new";
  }

  /** The session is made. */
  keep(): void {
    if (this.#phase !== "new") return;
    this.#phase = "kept";
    for (const [key, text] of this.#entries) this.#storage.kv.put(STATE + key, text);
    if (this.#times.length > 0) this.#storage.kv.put(WAKES, this.#times);
  }

  /** The session has ended, or there will be none: nothing more is stored. */
  end(): void {
    this.#phase = "over";
  }

  get<T>(key: string): T | undefined {
    this.#mustLive();
    const text = this.#entries.get(key);
    return text === undefined ? undefined : (JSON.parse(text) as T);
  }

  put(key: string, value: unknown): void {
    this.#mustLive();
    const text: unknown = JSON.stringify(value, refuseNoNumber);
    // The storage would change a key that is not well-formed, so the next life would not find it.
    if (typeof key !== "string" || !key.isWellFormed() || typeof text !== "string") {
      throw new TypeError("state.put takes a text and a value that JSON can hold");
    }
    const before = this.#entries.get(key);
    const bytes = this.#bytes + sizeOf(key, text) - sizeOf(key, before);
    if (bytes > MAX_STATE_BYTES) {
      throw new RangeError(`the session's state would have ${bytes} of ${MAX_STATE_BYTES} bytes`);
    }
    if (before === undefined && this.#entries.size >= MAX_STATE_KEYS) {
      throw new RangeError(`the session's state has ${MAX_STATE_KEYS} keys, and may have no more`);
    }
    if (text === before) return;
    if (this.#phase === "kept") this.#storage.kv.put(STATE + key, text);
    this.#entries.set(key, text);
    this.#bytes = bytes;
  }

  delete(key: string): boolean {
    this.#mustLive();
    const before = this.#entries.get(key);
    if (before === undefined) return false;
    if (this.#phase === "kept") this.#storage.kv.delete(STATE + key);
    this.#entries.delete(key);
    this.#bytes -= sizeOf(key, before);
    return true;
  }

  list<T>({ prefix = "" }: { readonly prefix?: string | undefined } = {}): Map<string, T> {
    this.#mustLive();
    const keys = [...this.#entries.keys()].filter((key) => key.startsWith(prefix));
    // Without a comparison, `sort` goes by code units.
    return new Map(keys.toSorted().map((key) => [key, this.get<T>(key) as T]));
  }

  /** The earliest time at which the server is to be woken; Infinity if there is none. */
  get nextWake(): number {
    return this.#phase === "over" ? Infinity : (this.#times[0] ?? Infinity);
  }

  /** The times that have come, the earliest first. */
  wakesDue(now: number): readonly number[] {
    return this.#times.filter((at) => at <= now);
  }

  addWake(at: number): void {
    this.#mustLive();
    if (this.#times.includes(at)) return;
    if (this.#times.length >= MAX_WAKES) {
      throw new RangeError(`the session is to be woken ${MAX_WAKES} times, and may be no more`);
    }
    this.#saveWakes([...this.#times, at].toSorted((a, b) => a - b));
  }

  /** The server was woken for this time. */
  dropWake(at: number): void {
    if (this.#phase !== "over") this.#saveWakes(this.#times.filter((one) => one !== at));
  }

  #saveWakes(times: readonly number[]): void {
    if (this.#phase === "kept") {
      if (times.length > 0) this.#storage.kv.put(WAKES, times);
      else this.#storage.kv.delete(WAKES);
    }
    this.#wakes = times;
  }

  #mustLive(): void {
    if (this.#phase === "over") throw new Error("the session of this server has ended");
  }

  get #times(): readonly number[] {
    if (this.#phase === "new") return this.#wakes ?? [];
    return (this.#wakes ??= this.#storage.kv.get<readonly number[]>(WAKES) ?? []);
  }

  get #entries(): Map<string, string> {
    if (this.#texts) return this.#texts;
    const texts = new Map<string, string>();
    const stored = this.#phase === "new" ? [] : this.#storage.kv.list<string>({ prefix: STATE });
    for (const [name, text] of stored) {
      const key = name.slice(STATE.length);
      texts.set(key, text);
      this.#bytes += sizeOf(key, text);
    }
    return (this.#texts = texts);
  }
}

/** JSON would write null for such a number, and the state would give back something else than it was given. */
function refuseNoNumber(_key: string, part: unknown): unknown {
  if (typeof part === "number" && !Number.isFinite(part)) {
    throw new TypeError(`state.put takes a text and a value that JSON can hold, not ${part}`);
  }
  return part;
}

/** UTF-8 bytes of a key and its JSON. */
function sizeOf(key: string, text: string | undefined): number {
  return text === undefined ? 0 : utf8Length(key) + utf8Length(text);
}
