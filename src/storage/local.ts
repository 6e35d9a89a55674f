import { systemClock } from "../session/clock.ts";
import type { Clock } from "../session/clock.ts";
import { SessionError } from "../session/errors.ts";
import type { Session } from "../session/session.ts";
import { positiveTtl } from "./positive-ttl.ts";
import { storedId } from "./stored-id.ts";
import { pageLimit, rangeOverPages } from "./storage.ts";
import type { CallOptions, PageOptions, RangeOptions, SessionPage, Storage } from "./storage.ts";

export interface LocalStorageOptions {
  /**
   * Milliseconds that a session lives after its last use. Absent: sessions end by
   * `deleteExpired` alone, as in ToolHive.
   */
  readonly ttlMs?: number;
  /** The system's clock unless given. */
  readonly clock?: Pick<Clock, "now">;
  /** Told of a session whose `close` failed while it was evicted; eviction goes on. */
  readonly onCloseError?: (error: unknown, session: Session) => void;
}

interface Entry {
  readonly session: Session;
  /** The storage's own, so that eviction does not depend on what a session does with its times. */
  lastAccess: number;
}

/**
 * Sessions in memory (ToolHive's `LocalStorage`): what a single process needs.
 * What is stored is the session itself, with its streams and client.
 */
export class LocalStorage implements Storage {
  readonly #entries = new Map<string, Entry>();
  readonly #ttlMs: number;
  readonly #clock: Pick<Clock, "now">;
  readonly #onCloseError: (error: unknown, session: Session) => void;

  /** Throws a RangeError where `ttlMs` is not positive. */
  constructor({ ttlMs, clock = systemClock, onCloseError = () => {} }: LocalStorageOptions = {}) {
    this.#ttlMs = ttlMs === undefined ? Infinity : positiveTtl(ttlMs);
    this.#clock = clock;
    this.#onCloseError = onCloseError;
  }

  async create(session: Session, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted();
    const id = idOf(session);
    if (this.#live(id)) return false;
    this.#put(id, session);
    return true;
  }

  async store(session: Session, { signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    const id = idOf(session);
    // An expired one that was replaced unseen would keep its stream open for ever.
    if (this.#entries.get(id)?.session !== session) this.#live(id);
    this.#put(id, session);
  }

  async update(session: Session, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted();
    const id = idOf(session);
    if (!this.#live(id)) return false;
    this.#put(id, session);
    return true;
  }

  async load(id: string, { signal }: CallOptions = {}): Promise<Session | undefined> {
    signal?.throwIfAborted();
    const entry = this.#live(storedId(id));
    if (entry) entry.lastAccess = this.#clock.now();
    return entry?.session;
  }

  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    const key = storedId(id);
    const entry = this.#entries.get(key);
    if (entry) await this.#evict(key, entry);
  }

  async deleteExpired(before: Date | number, { signal }: CallOptions = {}): Promise<number> {
    signal?.throwIfAborted();
    const cutoff = Number(before);
    let deleted = 0;
    for (const [id, entry] of Array.from(this.#entries)) {
      signal?.throwIfAborted();
      // Closing the ones before took time, in which this one may have been used or replaced.
      if (entry.lastAccess >= cutoff || this.#entries.get(id) !== entry) continue;
      await this.#evict(id, entry);
      deleted++;
    }
    return deleted;
  }

  async count({ signal }: CallOptions = {}): Promise<number> {
    signal?.throwIfAborted();
    let live = 0;
    for (const entry of this.#entries.values()) if (!this.#isExpired(entry)) live++;
    return live;
  }

  async page({ cursor, limit, signal }: PageOptions = {}): Promise<SessionPage> {
    signal?.throwIfAborted();
    const size = pageLimit(limit);
    // By id, so that a cursor stands for a place whatever was deleted meanwhile.
    const rest = [...this.#entries]
      .filter(([id, entry]) => (cursor === undefined || id > cursor) && !this.#isExpired(entry))
      .toSorted(([a], [b]) => (a < b ? -1 : 1));
    const page = rest.slice(0, size);
    const sessions = page.map(([, entry]) => entry.session);
    const last = page.at(-1)?.[0];
    return rest.length > size && last !== undefined ? { sessions, cursor: last } : { sessions };
  }

  range(options?: RangeOptions): AsyncIterable<Session> {
    return rangeOverPages((page) => this.page(page), options);
  }

  /** Ends and forgets every session. */
  async close(): Promise<void> {
    for (const [id, entry] of Array.from(this.#entries)) await this.#evict(id, entry);
  }

  #put(id: string, session: Session): void {
    this.#entries.set(id, { session, lastAccess: this.#clock.now() });
  }

  #isExpired(entry: Entry): boolean {
    return this.#clock.now() - entry.lastAccess >= this.#ttlMs;
  }

  /** The entry, unless it has expired: then it is evicted here and now. */
  #live(id: string): Entry | undefined {
    const entry = this.#entries.get(id);
    if (!entry || !this.#isExpired(entry)) return entry;
    void this.#evict(id, entry);
    return undefined;
  }

  /** Forgets the entry before it waits for anything; never rejects. */
  async #evict(id: string, { session }: Entry): Promise<void> {
    this.#entries.delete(id);
    try {
      await session.close?.();
    } catch (error) {
      this.#onCloseError(error, session);
    }
  }
}

function idOf(session: Session): string {
  if (!session) throw new SessionError("invalid_request", "The session must not be null.");
  return storedId(session.id);
}
