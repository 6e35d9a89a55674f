/** Both storages in memory. */
import { storedId, type Session } from "../model/session.ts";
import { systemClock, type Clock } from "../model/time.ts";
import {
  duration,
  idOf,
  notify,
  positiveTtl,
  rangeOver,
  requireOptions,
  timeOf,
  tooLate,
  withDeadline,
} from "./calls.ts";
import { ExpiringMap, type Item } from "./expiring-map.ts";
import type {
  CallOptions,
  ConditionOptions,
  DataStorage,
  MetadataEntry,
  MetadataPage,
  PageOptions,
  RangeCallback,
  RangeOptions,
  SessionMetadata,
  SessionPage,
  Storage,
} from "./storage.ts";

export interface LocalStorageOptions {
  /**
   * Milliseconds that a session lives after its last use. Absent: sessions end by
   * `deleteExpired` alone, as in ToolHive.
   */
  readonly ttlMs?: number;
  /** Default: the system's clock. */
  readonly clock?: Pick<Clock, "now">;
  /** Milliseconds that the storage waits for the `close` of a session that it removes (1,000). */
  readonly closeTimeoutMs?: number;
  /** Called with a removed session whose `close` failed or took too long. The session is removed all the same. */
  readonly onCloseError?: (error: unknown, session: Session) => void;
}

/** Enough to end a stream in memory. A `close` that takes longer waits for something else. */
const CLOSE_TIMEOUT_MS = 1000;

/**
 * Sessions in the memory of one process (ToolHive's `LocalStorage`). It holds the session itself,
 * with its streams and client.
 *
 * @example
 * const storage = new LocalStorage({ ttlMs: 30 * 60_000 });
 * await storage.create(session); // false if the id is taken
 * await storage.load(session.id); // the very same object
 */
export class LocalStorage implements Storage {
  readonly #sessions: ExpiringMap<Session>;
  readonly #closeTimeoutMs: number;
  readonly #onCloseError: (error: unknown, session: Session) => void;

  /** Throws a RangeError if a duration is out of range, a TypeError for anything but one object. */
  constructor(options: LocalStorageOptions = {}, ...more: never[]) {
    requireOptions("new LocalStorage({ ttlMs })", options, more);
    const { ttlMs, clock = systemClock, closeTimeoutMs = CLOSE_TIMEOUT_MS } = options;
    const lives = ttlMs === undefined ? Infinity : positiveTtl(ttlMs);
    this.#sessions = new ExpiringMap(lives, clock, (session) => void this.#end(session));
    this.#closeTimeoutMs = duration("closeTimeoutMs", closeTimeoutMs);
    this.#onCloseError = options.onCloseError ?? (() => {});
  }

  async create(session: Session, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted();
    const id = storedId(idOf(session));
    if (this.#sessions.get(id)) return false;
    this.#sessions.set(id, session);
    return true;
  }

  async store(session: Session, { signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    this.#replace(storedId(idOf(session)), session);
  }

  async update(session: Session, { signal, ifStill }: ConditionOptions = {}): Promise<boolean> {
    signal?.throwIfAborted();
    const id = storedId(idOf(session));
    const held = this.#sessions.get(id);
    if (!held || (ifStill && held !== ifStill)) return false;
    this.#replace(id, session);
    return true;
  }

  async load(id: string, { signal }: CallOptions = {}): Promise<Session | undefined> {
    signal?.throwIfAborted();
    return this.#sessions.use(storedId(id));
  }

  async delete(id: string, { signal, ifStill }: ConditionOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    const session = this.#sessions.take(storedId(id), ifStill);
    if (session) await this.#end(session);
  }

  async deleteExpired(before: Date | number, { signal }: CallOptions = {}): Promise<number> {
    signal?.throwIfAborted();
    let deleted = 0;
    // Closing one takes time, in which the next may be used or replaced.
    for (const session of this.#sessions.takeUnused(timeOf(before))) {
      await this.#end(session);
      deleted++;
      signal?.throwIfAborted();
    }
    return deleted;
  }

  async count(options?: CallOptions): Promise<number> {
    return this.#sessions.count(options);
  }

  async page(options: PageOptions = {}): Promise<SessionPage> {
    const { items, ...rest } = this.#sessions.page(options);
    return { ...rest, sessions: items.map(([, session]) => session) };
  }

  range(options?: RangeOptions): AsyncGenerator<Session, void, undefined>;
  range(callback: RangeCallback<Session>, options?: RangeOptions): Promise<void>;
  range(first?: RangeOptions | RangeCallback<Session>, options?: RangeOptions) {
    return rangeOver((given) => this.#walk(given), first, options);
  }

  /** Forgets every session, and then closes them all. */
  async close(): Promise<void> {
    await Promise.all(this.#sessions.takeAll().map((session) => this.#end(session)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *#walk(options?: RangeOptions): AsyncGenerator<Session, void, undefined> {
    for await (const [, session] of this.#sessions.range(options)) yield session;
  }

  #replace(id: string, session: Session): void {
    const replaced = this.#sessions.set(id, session);
    // Nobody can reach it from here any more: left open, its stream would never end.
    if (replaced && replaced !== session) void this.#end(replaced);
  }

  /** Closes a session that has left the map. Never rejects, and never waits for long. */
  async #end(session: Session): Promise<void> {
    try {
      const closing = session.close?.();
      if (closing === undefined) return;
      const late = () => tooLate("A session did not close", this.#closeTimeoutMs);
      await withDeadline(async () => closing, this.#closeTimeoutMs, undefined, late);
    } catch (error) {
      notify(this.#onCloseError, error, session);
    }
  }
}

export interface LocalDataStorageOptions {
  /** Milliseconds that metadata lives after its last use. */
  readonly ttlMs: number;
  /** Default: the system's clock. */
  readonly clock?: Clock;
}

/**
 * Metadata in memory (ToolHive's `LocalSessionDataStorage`). It sweeps expired entries every half
 * TTL until `close`.
 *
 * @example
 * const storage = new LocalDataStorage({ ttlMs: 30 * 60_000 });
 * await storage.create(id, { user: "ada" }); // false if the id has metadata
 * await storage.close();
 */
export class LocalDataStorage implements DataStorage {
  readonly #maps: ExpiringMap<SessionMetadata>;
  readonly #stopSweeping: () => void;

  /** Throws a RangeError if `ttlMs` is not positive, a TypeError for anything but one object. */
  constructor(options: LocalDataStorageOptions, ...more: never[]) {
    requireOptions("new LocalDataStorage({ ttlMs })", options, more);
    const { ttlMs, clock = systemClock } = options;
    this.#maps = new ExpiringMap(positiveTtl(ttlMs), clock);
    this.#stopSweeping = clock.every(Math.max(1, ttlMs / 2), () => this.#maps.removeExpired());
  }

  /** Entries in memory, with expired ones that no sweep has removed yet. */
  get size(): number {
    return this.#maps.size;
  }

  async create(id: string, metadata?: SessionMetadata | null, options?: CallOptions) {
    return this.#write(id, metadata, false, options);
  }

  async update(id: string, metadata?: SessionMetadata | null, options?: CallOptions) {
    return this.#write(id, metadata, true, options);
  }

  async load(id: string, { signal }: CallOptions = {}) {
    signal?.throwIfAborted();
    const metadata = this.#maps.use(storedId(id));
    return metadata && { ...metadata };
  }

  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    this.#maps.take(storedId(id));
  }

  async count(options?: CallOptions): Promise<number> {
    return this.#maps.count(options);
  }

  async page(options: PageOptions = {}): Promise<MetadataPage> {
    const { items, ...rest } = this.#maps.page(options);
    return { ...rest, entries: items.map(copied) };
  }

  range(options?: RangeOptions): AsyncGenerator<MetadataEntry, void, undefined>;
  range(callback: RangeCallback<MetadataEntry>, options?: RangeOptions): Promise<void>;
  range(first?: RangeOptions | RangeCallback<MetadataEntry>, options?: RangeOptions) {
    return rangeOver((given) => this.#walk(given), first, options);
  }

  async close(): Promise<void> {
    this.#stopSweeping();
    this.#maps.takeAll();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *#walk(options?: RangeOptions): AsyncGenerator<MetadataEntry, void, undefined> {
    for await (const item of this.#maps.range(options)) yield copied(item);
  }

  /** Writes only if the id has metadata (`exists` true) or has none (false). Returns whether it did. */
  #write(
    id: string,
    metadata: SessionMetadata | null | undefined,
    exists: boolean,
    { signal }: CallOptions = {},
  ): boolean {
    signal?.throwIfAborted();
    const key = storedId(id);
    if ((this.#maps.get(key) !== undefined) !== exists) return false;
    this.#maps.set(key, { ...metadata });
    return true;
  }
}

function copied([id, metadata]: Item<SessionMetadata>): MetadataEntry {
  return { id, metadata: { ...metadata } };
}
