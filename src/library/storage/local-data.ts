import { systemClock, type Clock } from "../model/time.ts";
import type { DataStorage, MetadataEntry, MetadataPage, SessionMetadata } from "./data-storage.ts";
import { positiveTtl, storedId } from "./calls.ts";
import {
  type PageOptions,
  type RangeOptions,
  type CallOptions,
  badCursor,
  pageLimit,
} from "./storage.ts";

/** Counting what a map holds and walking through it: by id, so that a cursor stands for a place whatever was deleted meanwhile. */
type Item<E> = readonly [id: string, entry: E];

/** Before the id in a cursor, so that what no page gave can be told. */
const AFTER = "after ";

/** How many entries are live. */
export function localCount<E>(
  entries: ReadonlyMap<string, E>,
  isLive: (entry: E) => boolean,
  { signal }: CallOptions = {},
): number {
  signal?.throwIfAborted();
  let live = 0;
  for (const entry of entries.values()) if (isLive(entry)) live++;
  return live;
}

/** One page of the entries that are live. */
export function localPage<E>(
  entries: ReadonlyMap<string, E>,
  isLive: (entry: E) => boolean,
  { cursor, limit, signal }: PageOptions,
): { readonly items: Item<E>[]; readonly cursor?: string } {
  signal?.throwIfAborted();
  const size = pageLimit(limit);
  if (cursor !== undefined && !cursor.startsWith(AFTER)) throw badCursor();
  const after = cursor?.slice(AFTER.length);
  const items: Item<E>[] = [];
  for (const item of entries) {
    if ((after !== undefined && item[0] <= after) || !isLive(item[1])) continue;
    keepSmallest(items, item, size + 1);
  }
  if (items.length <= size) return { items };
  items.pop();
  return { items, cursor: AFTER + (items.at(-1)?.[0] ?? "") };
}

/** The entries that are live when their turn comes, of those that were there at the start. */
export async function* localRange<E>(
  entries: ReadonlyMap<string, E>,
  isLive: (entry: E) => boolean,
  { signal, pageSize }: RangeOptions = {},
): AsyncGenerator<Item<E>, void, undefined> {
  signal?.throwIfAborted();
  pageLimit(pageSize);
  for (const id of Array.from(entries.keys()).toSorted()) {
    signal?.throwIfAborted();
    const entry = entries.get(id);
    if (entry !== undefined && isLive(entry)) yield [id, entry];
  }
}

/** Puts an item in its place among the `most` smallest, by id. To sort all for each page would cost more the more there are. */
function keepSmallest<E>(items: Item<E>[], item: Item<E>, most: number): void {
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

export interface LocalDataStorageOptions {
  /** Milliseconds that metadata lives after its last use. */
  readonly ttlMs: number;
  /** The system's clock unless given. */
  readonly clock?: Clock;
}

interface Entry {
  readonly metadata: SessionMetadata;
  lastAccess: number;
}

/**
 * Metadata in memory (ToolHive's `LocalSessionDataStorage`). Expired entries are
 * never returned, and are swept every half TTL until `close`.
 */
export class LocalDataStorage implements DataStorage {
  readonly #entries = new Map<string, Entry>();
  readonly #ttlMs: number;
  readonly #clock: Clock;
  readonly #stopSweeping: () => void;

  /** Throws a RangeError where `ttlMs` is not positive. */
  constructor({ ttlMs, clock = systemClock }: LocalDataStorageOptions) {
    this.#ttlMs = positiveTtl(ttlMs);
    this.#clock = clock;
    this.#stopSweeping = clock.every(Math.max(1, ttlMs / 2), () => this.#sweep());
  }

  /** Entries in memory, expired ones that were not swept yet included. */
  get size(): number {
    return this.#entries.size;
  }

  async create(
    id: string,
    metadata?: SessionMetadata | null,
    { signal }: CallOptions = {},
  ): Promise<boolean> {
    signal?.throwIfAborted();
    const key = storedId(id);
    if (this.#live(key)) return false;
    this.#put(key, metadata);
    return true;
  }

  async update(
    id: string,
    metadata?: SessionMetadata | null,
    { signal }: CallOptions = {},
  ): Promise<boolean> {
    signal?.throwIfAborted();
    const key = storedId(id);
    if (!this.#live(key)) return false;
    this.#put(key, metadata);
    return true;
  }

  async load(
    id: string,
    { signal }: CallOptions = {},
  ): Promise<Record<string, string> | undefined> {
    signal?.throwIfAborted();
    const entry = this.#live(storedId(id));
    if (!entry) return undefined;
    entry.lastAccess = this.#clock.now();
    return { ...entry.metadata };
  }

  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    this.#entries.delete(storedId(id));
  }

  async count(options?: CallOptions): Promise<number> {
    return localCount(this.#entries, this.#isLive, options);
  }

  async page(options: PageOptions = {}): Promise<MetadataPage> {
    const { items, ...rest } = localPage(this.#entries, this.#isLive, options);
    return {
      ...rest,
      entries: items.map(([id, { metadata }]) => ({ id, metadata: { ...metadata } })),
    };
  }

  async *range(options?: RangeOptions): AsyncGenerator<MetadataEntry, void, undefined> {
    for await (const [id, entry] of localRange(this.#entries, this.#isLive, options)) {
      yield { id, metadata: { ...entry.metadata } };
    }
  }

  async close(): Promise<void> {
    this.#stopSweeping();
    this.#entries.clear();
  }

  #put(key: string, metadata: SessionMetadata | null | undefined): void {
    this.#entries.set(key, { metadata: { ...metadata }, lastAccess: this.#clock.now() });
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    return entry && this.#isLive(entry) ? entry : undefined;
  }

  readonly #isLive = ({ lastAccess }: Entry): boolean =>
    this.#clock.now() - lastAccess < this.#ttlMs;

  #sweep(): void {
    for (const [key, entry] of this.#entries) if (!this.#isLive(entry)) this.#entries.delete(key);
  }
}
