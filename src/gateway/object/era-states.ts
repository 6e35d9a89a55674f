/**
 * Stores the questions that wait for a client of the stateless revision, under the `requestState` that the client
 * was given: a name that nobody can guess, good for one use.
 */
import { UNKNOWN_STATE, type Ask } from "../eras/modern-answer.ts";
import type { RequestId } from "../json-rpc.ts";

/** Where a call goes on. */
export interface EraPlace {
  /** The exchange's stream in the log. */
  readonly stream: number;
  /** The next repetition of the request gets the messages after this place. */
  readonly seq: number;
  /** The upstream's stream can be resumed after this event, if nothing came after `seq`. */
  readonly resumesAfter?: string | undefined;
  /** The request's id at the upstream. */
  readonly upstreamId: RequestId;
}

export interface EraState extends EraPlace {
  readonly method: string;
  readonly name?: string | undefined;
  readonly asks: readonly (readonly [key: string, ask: Ask])[];
  /** Milliseconds since the epoch, as `expiresAt`; absent in older rows. */
  readonly askedAt?: number;
  readonly expiresAt: number;
  readonly isUsed?: true;
  /** Of a task's call: the answers to these questions, as responses, until the server has taken them. */
  readonly replies?: readonly string[];
}

const PREFIX = "era-state-";
/** UTF-16 units of answers that are kept: one value holds them. */
const MAX_KEPT_REPLIES = 512 * 1024;
/** The most questions of one session, with the answered ones, which are remembered to refuse a second answer. */
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

  /** Takes a question for its one answer. A text says why it cannot be answered. `replies`: they are kept until `delivered`. */
  take(
    name: string,
    { method, name: about }: Pick<EraState, "method" | "name">,
    now: number,
    replies?: (asks: EraState["asks"]) => readonly string[],
  ): EraState | string {
    const state = /^[0-9a-f]{32}$/.test(name) ? this.#kv.get<EraState>(PREFIX + name) : undefined;
    if (!state) return UNKNOWN_STATE;
    if (state.isUsed) return "requestState was used before";
    if (state.expiresAt <= now) return "requestState has expired";
    if (state.method !== method || state.name !== about) {
      return "requestState belongs to another request";
    }
    const given = replies?.(state.asks) ?? [];
    const isKept = given.length > 0 && given.join("").length <= MAX_KEPT_REPLIES;
    this.#kv.put(PREFIX + name, {
      ...state,
      asks: [],
      isUsed: true,
      ...(isKept && { replies: given }),
    });
    return state;
  }

  /** The server has taken the answers. */
  delivered(name: string): void {
    const state = this.#kv.get<EraState>(PREFIX + name);
    if (!state?.replies) return;
    const { replies: _, ...rest } = state;
    this.#kv.put(PREFIX + name, rest);
  }

  /** Stores where a call goes on that its client has left, and may take up again. */
  leave(place: EraPlace, now: number): void {
    this.add({ ...place, askedAt: now, method: "", asks: [], expiresAt: now, isUsed: true }, now);
  }

  /** The call for which a question was given this name, whether or not it has been answered. */
  callOf(name: string): RequestId | undefined {
    return this.#kv.get<EraState>(PREFIX + name)?.upstreamId;
  }

  /** The last place of a call, by its name; undefined where its client was never asked, nor left it. */
  lastOf(upstreamId: RequestId): readonly [name: string, state: EraState] | undefined {
    const all = [...this.#kv.list<EraState>({ prefix: PREFIX })];
    const own = all.filter(([, state]) => state.upstreamId === upstreamId);
    const last = own.toSorted(([, a], [, b]) => (a.askedAt ?? 0) - (b.askedAt ?? 0)).at(-1);
    return last && [last[0].slice(PREFIX.length), last[1]];
  }

  /** The streams whose clients may still come back. */
  waiting(now: number): ReadonlySet<number> {
    const all = [...this.#kv.list<EraState>({ prefix: PREFIX })].map(([, state]) => state);
    const open = all.filter(({ isUsed, expiresAt }) => !isUsed && expiresAt > now);
    return new Set(open.map(({ stream }) => stream));
  }

  /** Forgets the questions that are over, and the oldest ones if too few are over. */
  #makeRoom(now: number): void {
    const all = [...this.#kv.list<EraState>({ prefix: PREFIX })];
    const over = all.filter(([, { isUsed, expiresAt }]) => isUsed || expiresAt <= now);
    const oldest = all.toSorted(([, a], [, b]) => a.expiresAt - b.expiresAt).slice(0, 1);
    const gone = over.length > 0 ? over : oldest;
    for (const [key] of gone) this.#kv.delete(key);
    this.#count = all.length - gone.length;
  }
}
