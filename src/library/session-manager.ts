import { DEFAULT_SESSION_TYPE, type SessionType } from "../core/content.ts";
import {
  InvalidSessionIdError,
  SessionAlreadyExistsError,
  SessionNotFoundError,
  UnavailableError,
} from "../core/errors.ts";
import { requireSessionId } from "../core/id.ts";
import { typedSession } from "./model/codec.ts";
import type { Session } from "./model/session.ts";
import { systemClock, type Clock } from "./model/time.ts";
import {
  idOf,
  lifetime,
  MAX_TRIES,
  notify,
  positiveTtl,
  duration,
  rangeOver,
  requireOptions,
  tooLate,
  touchByUpdate,
  withDeadline,
} from "./storage/calls.ts";
import { LocalStorage } from "./storage/local.ts";
import type { CallOptions, RangeCallback, RangeOptions, Storage } from "./storage/storage.ts";

/** ToolHive's `DefaultSessionTTL`: two hours, in milliseconds. */
export const DEFAULT_SESSION_TTL_MS = 2 * 60 * 60 * 1000;

/** ToolHive's own bound on one call of a storage, in milliseconds. */
const OPERATION_TIMEOUT_MS = 5000;
/** Milliseconds that one clean-up may take: it may close many sessions. */
const CLEANUP_TIMEOUT_MS = 30_000;

/**
 * Makes the session of a new id for `SessionManager.addWithId`, which stores what the factory gave
 * it. The session must have that id.
 *
 * @example
 * const factory: SessionFactory = (id) => new ProxySession(id, "tenant-a");
 * const manager = new SessionManager({ factory });
 */
export type SessionFactory = (id: string) => Session;

export interface SessionManagerOptions {
  /** Milliseconds that a session lives after its last use (`DEFAULT_SESSION_TTL_MS`). Must be positive. */
  readonly ttlMs?: number;
  /** Keeps the sessions, with a TTL of its own. Absent: a `LocalStorage` with the manager's TTL. */
  readonly storage?: Storage;
  /** Makes the sessions of `addWithId`. */
  readonly factory?: SessionFactory;
  /** The type that `addWithId` makes (`mcp`); excludes `factory`. */
  readonly type?: SessionType;
  /** Longest life of a session in milliseconds, however it is used. 0, the default: no limit. */
  readonly maxLifetimeMs?: number;
  /** Milliseconds that one call may take, and each step of a range (5,000). */
  readonly operationTimeoutMs?: number;
  /** Default: the system's clock. */
  readonly clock?: Clock;
  /**
   * Gets the error when a clean-up fails, when the storage does not remove a session past its
   * maximum lifetime, and, for the manager's own storage, when closing a session fails.
   */
  readonly onCleanupError?: (error: unknown) => void;
}

/**
 * Sessions over any storage, with clean-up every half TTL (ToolHive's `Manager`). A miss is
 * undefined; a storage that fails throws, and its failure is never a miss. After `stop` every call
 * fails with `UnavailableError`, and `await using` stops it at the end of its block. In a Worker, make
 * it in a handler or an object: it starts a timer.
 *
 * A change of a session that `add` or `get` returned is in that object alone until `upsert` stores it.
 *
 * @example
 * const manager = new SessionManager({ ttlMs: 30 * 60_000 });
 * const session = await manager.add(newSessionId());
 * session.setMetadata("user", "ada");
 * await manager.upsert(session);
 * await manager.get(session.id); // the session; undefined once it has ended
 * await manager.stop();
 */
export class SessionManager implements AsyncDisposable {
  readonly #storage: Storage;
  readonly #ttlMs: number;
  readonly #maxLifetimeMs: number;
  readonly #timeoutMs: number;
  readonly #factory: SessionFactory;
  readonly #clock: Clock;
  readonly #onCleanupError: (error: unknown) => void;
  readonly #stopCleanup: () => void;
  readonly #stopped = new AbortController();
  #stopping: Promise<void> | undefined;
  #isCleaning = false;

  /**
   * Throws a RangeError if a duration is out of range, a TypeError if `factory` and `type` are both
   * given, or the arguments are in the order of ToolHive's `NewManager(ttl, factory)`.
   */
  constructor(options: SessionManagerOptions = {}, ...more: never[]) {
    requireOptions("new SessionManager({ ttlMs, factory, type, storage })", options, more);
    const { ttlMs = DEFAULT_SESSION_TTL_MS, clock = systemClock, maxLifetimeMs = 0 } = options;
    const { type = DEFAULT_SESSION_TYPE } = options;
    if (options.factory && options.type !== undefined) {
      throw new TypeError("give the manager a factory or a type, not both");
    }
    this.#ttlMs = positiveTtl(ttlMs);
    this.#maxLifetimeMs = lifetime(maxLifetimeMs);
    this.#timeoutMs = duration(
      "operationTimeoutMs",
      options.operationTimeoutMs ?? OPERATION_TIMEOUT_MS,
    );
    this.#clock = clock;
    this.#factory = options.factory ?? ((id) => typedSession(id, type, { clock }));
    this.#onCleanupError = options.onCleanupError ?? (() => {});
    const onCloseError = this.#onCleanupError;
    this.#storage = options.storage ?? new LocalStorage({ ttlMs, clock, onCloseError });
    this.#stopCleanup = clock.every(Math.max(1, ttlMs / 2), () => void this.#cleanUp());
  }

  /** `addWithId` for an id, `addSession` for a session. */
  add(idOrSession: string | Session, options?: CallOptions): Promise<Session> {
    return typeof idOrSession === "string"
      ? this.addWithId(idOrSession, options)
      : this.addSession(idOrSession, options);
  }

  /**
   * Makes a session with the factory and adds it. Throws `InvalidSessionIdError` if the id is
   * not a UUID, `SessionAlreadyExistsError` if it is taken, and a TypeError if the factory
   * gave the session another id.
   */
  async addWithId(id: string, options?: CallOptions): Promise<Session> {
    const uuid = requireSessionId(id);
    const session = this.#factory(uuid);
    if (requireSessionId(idOf(session)) !== uuid)
      throw new TypeError("the factory made a session of another id than the one asked for");
    return this.addSession(session, options);
  }

  /**
   * Adds a session, atomically: of many callers at once, one succeeds. Throws as `addWithId`, and
   * `SessionNotFoundError` if the session has reached its maximum lifetime.
   */
  async addSession(session: Session, { signal }: CallOptions = {}): Promise<Session> {
    const id = requireSessionId(idOf(session));
    this.#requireLifetime(session);
    const created = await this.#call(signal, (signal) => this.#create(id, session, signal));
    if (!created) throw new SessionAlreadyExistsError();
    return session;
  }

  /** The session, or undefined if it does not exist or has ended. Counts as use. Throws if the storage fails. */
  async get(id: string, { signal }: CallOptions = {}): Promise<Session | undefined> {
    return this.#call(signal, (signal) => this.#load(id, signal));
  }

  /** As `get`, but a miss throws `SessionNotFoundError`. */
  async getWithError(id: string, options?: CallOptions): Promise<Session> {
    const session = await this.get(id, options);
    if (!session) throw new SessionNotFoundError();
    return session;
  }

  /** Stores a session, in place of one of the same id. Throws `SessionNotFoundError` past its maximum lifetime. */
  async upsertSession(session: Session, { signal }: CallOptions = {}): Promise<void> {
    requireSessionId(idOf(session));
    this.#requireLifetime(session);
    await this.#call(signal, (signal) => this.#storage.store(session, { signal }));
  }

  /** `upsertSession`. */
  upsert(session: Session, options?: CallOptions): Promise<void> {
    return this.upsertSession(session, options);
  }

  /**
   * Counts as use and moves the stored `updatedAt` to now. False if the session does not exist. It
   * never brings a session back or undoes another write: if one comes between, it starts again.
   */
  async touch(id: string, { signal }: CallOptions = {}): Promise<boolean> {
    return this.#call(signal, async (signal) => {
      const storage = this.#storage;
      const { touch } = storage;
      const touched = touch
        ? await this.#use(id, signal, () => touch.call(storage, id, { signal }))
        : await touchByUpdate(
            () => this.#load(id, signal),
            (session) => storage.update(session, { signal, ifStill: session }),
          );
      return touched !== undefined;
    });
  }

  /** Removes a session. Repeating it does not fail. Throws `InvalidSessionIdError` if the id is not a UUID. */
  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    const uuid = requireSessionId(id);
    await this.#call(signal, (signal) => this.#storage.delete(uuid, { signal }));
  }

  /** How many sessions the storage holds; as exact as its own `count`. */
  count({ signal }: CallOptions = {}): Promise<number> {
    return this.#call(signal, (signal) => this.#storage.count({ signal }));
  }

  /**
   * Every session that has not ended; as exact as the storage's own `range`, with its rules for
   * records that cannot be read. Not use. Throws `UnavailableError` if the next session does
   * not come within `operationTimeoutMs`.
   */
  range(options?: RangeOptions): AsyncGenerator<Session, void, undefined>;
  /**
   * Calls back with every such session until a call gives `false`. How long the callback takes is
   * not bounded. Rejects with what it throws.
   */
  range(callback: RangeCallback<Session>, options?: RangeOptions): Promise<void>;
  range(first?: RangeOptions | RangeCallback<Session>, options?: RangeOptions) {
    return rangeOver((given) => this.#walk(given), first, options);
  }

  async *#walk(options: RangeOptions = {}): AsyncGenerator<Session, void, undefined> {
    const left = new AbortController();
    const range = this.#storage.range({ ...options, signal: left.signal });
    const sessions = range[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.#call(options.signal, () => sessions.next());
        if (next.done) return;
        if (!this.#isPastLifetime(next.value)) yield next.value;
      }
    } finally {
      // A storage that hangs does not answer `return` either, so nobody waits for it.
      left.abort(new Error("the range has ended"));
      sessions.return?.().then(undefined, () => {});
    }
  }

  /** Removes sessions that nobody used for a TTL, and returns how many. Runs by itself every half TTL. */
  cleanupExpiredOnce({ signal }: CallOptions = {}): Promise<number> {
    const cutoff = this.#clock.now() - this.#ttlMs;
    return this.#call(
      signal,
      (signal) => this.#storage.deleteExpired(cutoff, { signal }),
      CLEANUP_TIMEOUT_MS,
    );
  }

  /**
   * Ends clean-up and closes the storage. Throws `UnavailableError` if that takes longer than
   * `operationTimeoutMs`; the manager is stopped all the same. Repeating it does nothing more.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    this.#stopCleanup();
    this.#stopped.abort(new Error("the session manager was stopped"));
    const late = () => tooLate("The session store did not close", this.#timeoutMs);
    await withDeadline(() => this.#storage.close(), this.#timeoutMs, undefined, late);
  }

  #call<T>(
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
    timeoutMs = this.#timeoutMs,
  ): Promise<T> {
    if (!this.#stopping) return withDeadline(work, timeoutMs, signal);
    return Promise.reject(new UnavailableError("The session manager was stopped."));
  }

  async #create(id: string, session: Session, signal: AbortSignal): Promise<boolean> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      if (await this.#storage.create(session, { signal })) return true;
      if (this.#maxLifetimeMs === 0) return false;
      // A session past its maximum lifetime has ended, although the storage still holds it.
      const existing = await this.#storage.load(id, { signal });
      if (!existing) continue;
      if (!this.#isPastLifetime(existing)) return false;
      await this.#storage.delete(id, { signal, ifStill: existing });
    }
    return false;
  }

  #load(id: string, signal: AbortSignal): Promise<Session | undefined> {
    return this.#use(id, signal, () => this.#storage.load(id, { signal }));
  }

  /** The session that the storage loads or touches, unless it has reached its maximum lifetime. */
  async #use(
    id: string,
    signal: AbortSignal,
    inStorage: () => Promise<Session | undefined>,
  ): Promise<Session | undefined> {
    if (typeof id !== "string" || id === "") return undefined;
    const session = await inStorage().catch((error: unknown) => {
      // The storage has no such ids, and so no such session.
      if (error instanceof InvalidSessionIdError) return undefined;
      throw error;
    });
    if (!session || !this.#isPastLifetime(session)) return session;
    try {
      // With `ifStill`, so that a session which took its place meanwhile stays.
      await this.#storage.delete(id, { signal, ifStill: session });
    } catch (error) {
      // The session has ended, whether or not the storage removed it.
      notify(this.#onCleanupError, error);
    }
    return undefined;
  }

  #requireLifetime(session: Session): void {
    if (!this.#isPastLifetime(session)) return;
    throw new SessionNotFoundError("The session has reached its maximum lifetime.");
  }

  #isPastLifetime(session: Session): boolean {
    if (this.#maxLifetimeMs === 0) return false;
    return this.#clock.now() - session.createdAt.getTime() >= this.#maxLifetimeMs;
  }

  async #cleanUp(): Promise<void> {
    // Two sweeps at once would slow a slow storage further.
    if (this.#isCleaning) return;
    this.#isCleaning = true;
    try {
      await this.cleanupExpiredOnce({ signal: this.#stopped.signal });
    } catch (error) {
      if (!this.#stopped.signal.aborted) notify(this.#onCleanupError, error);
    } finally {
      this.#isCleaning = false;
    }
  }
}
