import { systemClock } from "../session/clock.ts";
import type { Clock } from "../session/clock.ts";
import type { DataStorage, MetadataEntry, MetadataPage, SessionMetadata } from "./data-storage.ts";
import { positiveTtl } from "./durations.ts";
import { localCount, localPage, localRange } from "./local-page.ts";
import type { PageOptions, RangeOptions } from "./pages.ts";
import { storedId } from "./stored-id.ts";
import type { CallOptions } from "./storage.ts";

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
