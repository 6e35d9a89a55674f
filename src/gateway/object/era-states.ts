/**
 * The questions that wait for a client of the stateless revision, stored by the `requestState` that the client
 * was given. That is a name that nobody can make up, good for one use.
 */
import type { Ask } from "../eras/modern-answer.ts";
import type { RequestId } from "../json-rpc.ts";

export interface EraState {
  /** The exchange's stream in the log. */
  readonly stream: number;
  /** The next repetition of the request gets the messages after this place. */
  readonly seq: number;
  /** The upstream's stream can be resumed after this event, if nothing came after `seq`. */
  readonly resumesAfter?: string | undefined;
  /** The request's id at the upstream. */
  readonly upstreamId: RequestId;
  readonly method: string;
  readonly name?: string | undefined;
  readonly asks: readonly (readonly [key: string, ask: Ask])[];
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly isUsed?: true;
}

const PREFIX = "era-state-";
/** Questions of one session that may wait, and those that were answered and are remembered to say so. */
export const MAX_ERA_STATES = 256;

export class EraStates {
  readonly #kv: DurableObjectStorage["kv"];
  /** How many rows there may be; undefined: not counted yet. */
  #count: number | undefined;

  constructor(kv: DurableObjectStorage["kv"]) {
    this.#kv = kv;
  }

  /** Stores a question, and returns its name: 128 random bits. */
  add(state: EraState, now: number): string {
    const name = crypto.randomUUID().replaceAll("-", "");
    this.#count ??= [...this.#kv.list({ prefix: PREFIX })].length;
    if (this.#count >= MAX_ERA_STATES) this.#makeRoom(now);
    this.#kv.put(PREFIX + name, state);
    this.#count++;
    return name;
  }

  /** Takes a question for its one answer. A text says why it cannot be answered. */
  take(
    name: string,
    { method, name: about }: Pick<EraState, "method" | "name">,
    now: number,
  ): EraState | string {
    const state = /^[0-9a-f]{32}$/.test(name) ? this.#kv.get<EraState>(PREFIX + name) : undefined;
    if (!state) return "requestState is none that this server gave to this caller";
    if (state.isUsed) return "requestState was used before";
    if (state.expiresAt <= now) return "requestState has expired";
    if (state.method !== method || state.name !== about) {
      return "requestState belongs to another request";
    }
    this.#kv.put(PREFIX + name, { ...state, asks: [], isUsed: true });
    return state;
  }

  /** The streams whose clients may still come back. */
  waiting(now: number): ReadonlySet<number> {
    const all = [...this.#kv.list<EraState>({ prefix: PREFIX })].map(([, state]) => state);
    const open = all.filter(({ isUsed, expiresAt }) => !isUsed && expiresAt > now);
    return new Set(open.map(({ stream }) => stream));
  }

  /** Forgets those that are over, and the oldest ones where too few are. */
  #makeRoom(now: number): void {
    const all = [...this.#kv.list<EraState>({ prefix: PREFIX })];
    const over = all.filter(([, { isUsed, expiresAt }]) => isUsed || expiresAt <= now);
    const oldest = all.toSorted(([, a], [, b]) => a.expiresAt - b.expiresAt).slice(0, 1);
    const gone = over.length > 0 ? over : oldest;
    for (const [key] of gone) this.#kv.delete(key);
    this.#count = all.length - gone.length;
  }
}
