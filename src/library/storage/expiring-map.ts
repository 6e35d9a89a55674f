import type { Clock } from "../model/time.ts";
import { badCursor, pageLimit } from "./calls.ts";
import type { CallOptions, PageOptions, RangeOptions } from "./storage.ts";

export type Item<V> = readonly [id: string, value: V];

interface Entry<V> {
  readonly value: V;
  /** Milliseconds since the epoch. The map's own time, so that expiry does not depend on the session's times. */
  lastUse: number;
}

/** The beginning of every cursor, so that text which no page gave can be refused. */
const AFTER = "after ";

/** Values by id. Each expires a TTL after its last use. Both storages in memory use it. */
export class ExpiringMap<V> {
  readonly #entries = new Map<string, Entry<V>>();
  readonly #ttlMs: number;
  readonly #clock: Pick<Clock, "now">;
  readonly #onExpired: (value: V) => void;

  constructor(ttlMs: number, clock: Pick<Clock, "now">, onExpired: (value: V) => void = () => {}) {
    this.#ttlMs = ttlMs;
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** The number of values, with expired ones that nothing has removed yet. */
  get size(): number {
    return this.#entries.size;
  }

  /** The value, unless it has expired: then this removes it. */
  get(id: string): V | undefined {
    return this.#live(id)?.value;
  }

  /** As `get`, and gives the value a whole TTL from now. */
  use(id: string): V | undefined {
    const entry = this.#live(id);
    if (entry) entry.lastUse = this.#clock.now();
    return entry?.value;
  }

  /** Returns the value that was there, expired or not. */
  set(id: string, value: V): V | undefined {
    const replaced = this.#entries.get(id)?.value;
    this.#entries.set(id, { value, lastUse: this.#clock.now() });
    return replaced;
  }

  /** Removes and returns the value, expired or not; with `only`, it does so for that value alone. */
  take(id: string, only?: V): V | undefined {
    const value = this.#entries.get(id)?.value;
    if (only !== undefined && value !== only) return undefined;
    this.#entries.delete(id);
    return value;
  }

  /** Removes the values last used before `cutoff`, one a step: those used or replaced between two steps stay. */
  *takeUnused(cutoff: number): Generator<V, void, undefined> {
    for (const [id, entry] of Array.from(this.#entries)) {
      if (entry.lastUse >= cutoff || this.#entries.get(id) !== entry) continue;
      this.#entries.delete(id);
      yield entry.value;
    }
  }

  takeAll(): V[] {
    const values = Array.from(this.#entries.values(), ({ value }) => value);
    this.#entries.clear();
    return values;
  }

  removeExpired(): void {
    for (const id of this.#entries.keys()) this.#live(id);
  }

  count({ signal }: CallOptions = {}): number {
    signal?.throwIfAborted();
    let live = 0;
    for (const entry of this.#entries.values()) if (this.#isLive(entry)) live++;
    return live;
  }

  /** One page by id, so that a cursor stands for a place whatever is deleted meanwhile. */
  page({ cursor, limit, signal }: PageOptions): {
    readonly items: readonly Item<V>[];
    readonly cursor?: string;
  } {
    signal?.throwIfAborted();
    const size = pageLimit(limit);
    if (cursor !== undefined && !cursor.startsWith(AFTER)) throw badCursor();
    const after = cursor?.slice(AFTER.length);
    const items: Item<V>[] = [];
    for (const [id, entry] of this.#entries) {
      if ((after !== undefined && id <= after) || !this.#isLive(entry)) continue;
      keepSmallest(items, [id, entry.value], size + 1);
    }
    if (items.length <= size) return { items };
    items.pop();
    return { items, cursor: AFTER + (items.at(-1)?.[0] ?? "") };
  }

  /** The values that are live when their turn comes, of those that were there at the start. */
  async *range({ signal, pageSize }: RangeOptions = {}): AsyncGenerator<Item<V>, void, undefined> {
    signal?.throwIfAborted();
    pageLimit(pageSize);
    for (const id of Array.from(this.#entries.keys()).toSorted()) {
      signal?.throwIfAborted();
      const entry = this.#entries.get(id);
      if (entry && this.#isLive(entry)) yield [id, entry.value];
    }
  }

  #live(id: string): Entry<V> | undefined {
    const entry = this.#entries.get(id);
    if (!entry || this.#isLive(entry)) return entry;
    this.#entries.delete(id);
    this.#onExpired(entry.value);
    return undefined;
  }

  #isLive({ lastUse }: Entry<V>): boolean {
    return this.#clock.now() - lastUse < this.#ttlMs;
  }
}

/** Inserts an item among the `most` smallest by id. Sorting all of them for each page costs more the more there are. */
function keepSmallest<V>(items: Item<V>[], item: Item<V>, most: number): void {
  const last = items.at(-1);
  if (items.length >= most && last && item[0] > last[0]) return;
  let from = 0;
  let to = items.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((items[middle]?.[0] ?? "") < item[0]) from = middle + 1;
    else to = middle;
  }
  items.splice(from, 0, item);
  if (items.length > most) items.pop();
}
