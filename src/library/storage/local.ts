import { systemClock, type Clock } from "../model/time.ts";
import { SessionError } from "../../core/errors.ts";
import type { Session } from "../model/session.ts";
import { withDeadline, positiveTtl, timeOf, timeout, storedId, notify } from "./calls.ts";
import { localCount, localPage, localRange } from "./local-data.ts";
import type {
  PageOptions,
  RangeOptions,
  CallOptions,
  ConditionOptions,
  SessionPage,
  Storage,
} from "./storage.ts";

export interface LocalStorageOptions {
  /**
   * Milliseconds that a session lives after its last use. Absent: sessions end by
   * `deleteExpired` alone, as in ToolHive.
   */
  readonly ttlMs?: number;
  /** The system's clock unless given. */
  readonly clock?: Pick<Clock, "now">;
  /** Milliseconds that `close` of a session that goes is waited for (1,000). */
  readonly closeTimeoutMs?: number;
  /** Told of a session that goes and whose `close` failed, or took too long; the session is gone all the same. */
  readonly onCloseError?: (error: unknown, session: Session) => void;
}

/** Closing ends a stream in memory; what takes longer waits for something else. */
const CLOSE_TIMEOUT_MS = 1000;

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
  readonly #closeTimeoutMs: number;
  readonly #onCloseError: (error: unknown, session: Session) => void;

  /** Throws a RangeError where a duration is not what it must be. */
  constructor(options: LocalStorageOptions = {}) {
    const { ttlMs, clock = systemClock, closeTimeoutMs = CLOSE_TIMEOUT_MS } = options;
    this.#ttlMs = ttlMs === undefined ? Infinity : positiveTtl(ttlMs);
    this.#clock = clock;
    this.#closeTimeoutMs = timeout("closeTimeoutMs", closeTimeoutMs);
    this.#onCloseError = options.onCloseError ?? (() => {});
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
    this.#put(idOf(session), session);
  }

  async update(session: Session, { signal, ifStill }: ConditionOptions = {}): Promise<boolean> {
    signal?.throwIfAborted();
    const id = idOf(session);
    const entry = this.#live(id);
    if (!entry || isAnother(entry, ifStill)) return false;
    this.#put(id, session);
    return true;
  }

  async load(id: string, { signal }: CallOptions = {}): Promise<Session | undefined> {
    signal?.throwIfAborted();
    const entry = this.#live(storedId(id));
    if (entry) entry.lastAccess = this.#clock.now();
    return entry?.session;
  }

  async delete(id: string, { signal, ifStill }: ConditionOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    const key = storedId(id);
    const entry = this.#entries.get(key);
    if (entry && !isAnother(entry, ifStill)) await this.#evict(key, entry);
  }

  async deleteExpired(before: Date | number, { signal }: CallOptions = {}): Promise<number> {
    signal?.throwIfAborted();
    const cutoff = timeOf(before);
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

  async count(options?: CallOptions): Promise<number> {
    return localCount(this.#entries, this.#isLive, options);
  }

  async page(options: PageOptions = {}): Promise<SessionPage> {
    const { items, ...rest } = localPage(this.#entries, this.#isLive, options);
    return { ...rest, sessions: items.map(([, { session }]) => session) };
  }

  async *range(options?: RangeOptions): AsyncGenerator<Session, void, undefined> {
    for await (const [, { session }] of localRange(this.#entries, this.#isLive, options)) {
      yield session;
    }
  }

  /** Forgets every session, and then closes them all. */
  async close(): Promise<void> {
    const entries = Array.from(this.#entries.values());
    this.#entries.clear();
    await Promise.all(entries.map(({ session }) => this.#end(session)));
  }

  #put(id: string, session: Session): void {
    const replaced = this.#entries.get(id)?.session;
    this.#entries.set(id, { session, lastAccess: this.#clock.now() });
    // Nobody can reach it from here any more, so its stream would stay open for ever.
    if (replaced && replaced !== session) void this.#end(replaced);
  }

  readonly #isLive = ({ lastAccess }: Entry): boolean =>
    this.#clock.now() - lastAccess < this.#ttlMs;

  /** The entry, unless it has expired: then it is evicted here and now. */
  #live(id: string): Entry | undefined {
    const entry = this.#entries.get(id);
    if (!entry || this.#isLive(entry)) return entry;
    void this.#evict(id, entry);
    return undefined;
  }

  /** Forgets the entry before it waits for anything; never rejects. */
  async #evict(id: string, { session }: Entry): Promise<void> {
    this.#entries.delete(id);
    await this.#end(session);
  }

  /** Closes a session that is here no longer; never rejects, and never waits for long. */
  async #end(session: Session): Promise<void> {
    try {
      const closing = session.close?.();
      if (closing === undefined) return;
      const late = "A session did not close";
      await withDeadline(async () => closing, this.#closeTimeoutMs, undefined, late);
    } catch (error) {
      notify(this.#onCloseError, error, session);
    }
  }
}

function isAnother({ session }: Entry, expected: Session | undefined): boolean {
  return expected !== undefined && session !== expected;
}

function idOf(session: Session): string {
  if (!session) throw new SessionError("invalid_request", "The session must not be null.");
  return storedId(session.id);
}
