import { systemClock } from "../session/clock.ts";
import type { Clock } from "../session/clock.ts";
import {
  InvalidSessionIdError,
  SessionAlreadyExistsError,
  SessionError,
  SessionNotFoundError,
} from "../session/errors.ts";
import { parseSessionId } from "../session/id.ts";
import { ProxySession } from "../session/proxy-session.ts";
import type { Session } from "../session/session.ts";
import { SSESession } from "../session/sse-session.ts";
import { StreamableSession } from "../session/streamable-session.ts";
import { DEFAULT_SESSION_TYPE } from "../session/type.ts";
import type { SessionType } from "../session/type.ts";
import { withDeadline } from "./deadline.ts";
import { LocalStorage } from "./local.ts";
import { positiveTtl } from "./positive-ttl.ts";
import type { CallOptions, RangeOptions, Storage } from "./storage.ts";

/** ToolHive's `DefaultSessionTTL`: two hours, in milliseconds. */
export const DEFAULT_SESSION_TTL_MS = 2 * 60 * 60 * 1000;

/** ToolHive's own bound on one call of a storage, in milliseconds. */
const OPERATION_TIMEOUT_MS = 5000;
/** Clean-up may walk through many sessions, each of which is closed. */
const CLEANUP_TIMEOUT_MS = 30_000;

export type SessionFactory = (id: string) => Session;

export interface SessionManagerOptions {
  /** Milliseconds that a session lives after its last use (`DEFAULT_SESSION_TTL_MS`). Must be positive. */
  readonly ttlMs?: number;
  /** Where sessions are kept. Absent: a `LocalStorage` with the same TTL. A given one has its own TTL. */
  readonly storage?: Storage;
  /** Makes the sessions of `addWithId`. */
  readonly factory?: SessionFactory;
  /** The type that `addWithId` makes (`mcp`); excludes `factory`. */
  readonly type?: SessionType;
  /** Milliseconds that a session may live in all, whatever its use; 0, the default, is no limit. */
  readonly maxLifetimeMs?: number;
  /** Milliseconds that one call of the storage may take (5,000). */
  readonly operationTimeoutMs?: number;
  /** The system's clock unless given. */
  readonly clock?: Clock;
  /** Told when a clean-up fails; the next one runs all the same. */
  readonly onCleanupError?: (error: unknown) => void;
}

/**
 * Sessions over any storage, with clean-up every half TTL (ToolHive's `Manager`).
 * A miss is undefined; a storage that fails throws, and is never taken for a miss.
 * In a Worker, make it in a handler or an object: it starts a timer.
 */
export class SessionManager {
  readonly #storage: Storage;
  readonly #ttlMs: number;
  readonly #maxLifetimeMs: number;
  readonly #timeoutMs: number;
  readonly #factory: SessionFactory;
  readonly #clock: Clock;
  readonly #onCleanupError: (error: unknown) => void;
  readonly #stopCleanup: () => void;
  readonly #stopped = new AbortController();
  #cleaning = false;

  /** Throws a RangeError where a duration is not what it must be, and a TypeError where `factory` and `type` are both given. */
  constructor(options: SessionManagerOptions = {}) {
    const { ttlMs = DEFAULT_SESSION_TTL_MS, clock = systemClock, maxLifetimeMs = 0 } = options;
    if (options.factory && options.type !== undefined) {
      throw new TypeError("give the manager a factory or a type, not both");
    }
    if (!(maxLifetimeMs >= 0)) {
      throw new RangeError(`maxLifetimeMs must be 0 or more milliseconds, not ${maxLifetimeMs}`);
    }
    this.#ttlMs = positiveTtl(ttlMs);
    this.#maxLifetimeMs = maxLifetimeMs;
    this.#timeoutMs = options.operationTimeoutMs ?? OPERATION_TIMEOUT_MS;
    this.#clock = clock;
    this.#storage = options.storage ?? new LocalStorage({ ttlMs, clock });
    this.#factory = options.factory ?? typedFactory(options.type ?? DEFAULT_SESSION_TYPE, clock);
    this.#onCleanupError = options.onCleanupError ?? (() => {});
    this.#stopCleanup = clock.every(Math.max(1, ttlMs / 2), () => void this.#cleanUp());
  }

  /** `addWithId` for an id, `addSession` for a session. */
  add(idOrSession: string | Session, options?: CallOptions): Promise<Session> {
    return typeof idOrSession === "string"
      ? this.addWithId(idOrSession, options)
      : this.addSession(idOrSession, options);
  }

  /**
   * Makes a session with the factory and adds it. Throws `InvalidSessionIdError`
   * where the id is not a UUID, `SessionAlreadyExistsError` where it is taken.
   */
  async addWithId(id: string, options?: CallOptions): Promise<Session> {
    return this.addSession(this.#factory(requireUuid(id)), options);
  }

  /** Adds a session, atomically: of many callers at once, one succeeds. Throws as `addWithId` does. */
  async addSession(session: Session, { signal }: CallOptions = {}): Promise<Session> {
    const id = requireSession(session);
    const created = await this.#call(signal, async (signal) => {
      if (await this.#storage.create(session, { signal })) return true;
      if (this.#maxLifetimeMs === 0) return false;
      // What has reached its cap is gone, although the storage still holds it.
      const existing = await this.#storage.load(id, { signal });
      if (existing && !this.#isPastLifetime(existing)) return false;
      await this.#storage.delete(id, { signal });
      return this.#storage.create(session, { signal });
    });
    if (!created) throw new SessionAlreadyExistsError();
    return session;
  }

  /** The session, or undefined where there is none or it has ended. Counts as use. Throws where the storage fails. */
  async get(id: string, { signal }: CallOptions = {}): Promise<Session | undefined> {
    if (typeof id !== "string" || id === "") return undefined;
    return this.#call(signal, async (signal) => {
      const session = await this.#storage.load(id, { signal });
      if (!session || !this.#isPastLifetime(session)) return session;
      await this.#storage.delete(id, { signal });
      return undefined;
    });
  }

  /** As `get`, but a miss throws `SessionNotFoundError`. */
  async getWithError(id: string, options?: CallOptions): Promise<Session> {
    const session = await this.get(id, options);
    if (!session) throw new SessionNotFoundError();
    return session;
  }

  /**
   * Stores a session, replacing one of the same id, whatever its type. Throws
   * `SessionNotFoundError` where the session has reached its maximum lifetime.
   */
  async upsertSession(session: Session, { signal }: CallOptions = {}): Promise<void> {
    requireSession(session);
    if (this.#isPastLifetime(session)) {
      throw new SessionNotFoundError("The session has reached its maximum lifetime.");
    }
    await this.#call(signal, (signal) => this.#storage.store(session, { signal }));
  }

  /** `upsertSession`. */
  upsert(session: Session, options?: CallOptions): Promise<void> {
    return this.upsertSession(session, options);
  }

  /**
   * Counts as use and moves the stored `updatedAt` to now. False where there is no
   * such session, also where it was deleted meanwhile: touching never brings one back.
   */
  async touch(id: string, options?: CallOptions): Promise<boolean> {
    const session = await this.get(id, options);
    if (!session) return false;
    session.touch();
    return this.#call(options?.signal, (signal) => this.#storage.update(session, { signal }));
  }

  /** Removes a session. Repeating it is no error. Throws `InvalidSessionIdError` where the id is not a UUID. */
  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    const uuid = requireUuid(id);
    await this.#call(signal, (signal) => this.#storage.delete(uuid, { signal }));
  }

  /** How many sessions the storage holds; as exact as its own `count`. */
  count({ signal }: CallOptions = {}): Promise<number> {
    return this.#call(signal, (signal) => this.#storage.count({ signal }));
  }

  /** Every session that has not ended; as exact as the storage's own `range`. Not use. */
  async *range(options?: RangeOptions): AsyncGenerator<Session, void, undefined> {
    for await (const session of this.#storage.range(options)) {
      if (!this.#isPastLifetime(session)) yield session;
    }
  }

  /** Removes what has not been used for a TTL, and answers how many. Runs by itself every half TTL. */
  cleanupExpiredOnce({ signal }: CallOptions = {}): Promise<number> {
    const cutoff = this.#clock.now() - this.#ttlMs;
    return withDeadline(
      (signal) => this.#storage.deleteExpired(cutoff, { signal }),
      CLEANUP_TIMEOUT_MS,
      signal,
    );
  }

  /** Ends clean-up and closes the storage. Repeating it does nothing. */
  async stop(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    this.#stopCleanup();
    this.#stopped.abort(new Error("the session manager was stopped"));
    await this.#storage.close();
  }

  #call<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return withDeadline(work, this.#timeoutMs, signal);
  }

  #isPastLifetime(session: Session): boolean {
    if (this.#maxLifetimeMs === 0) return false;
    return this.#clock.now() - session.createdAt.getTime() >= this.#maxLifetimeMs;
  }

  async #cleanUp(): Promise<void> {
    // A slow storage must not be swept twice at once.
    if (this.#cleaning) return;
    this.#cleaning = true;
    try {
      await this.cleanupExpiredOnce({ signal: this.#stopped.signal });
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#onCleanupError(error);
    } finally {
      this.#cleaning = false;
    }
  }
}

function typedFactory(type: SessionType, clock: Pick<Clock, "now">): SessionFactory {
  return (id) => {
    switch (type) {
      case "sse":
        return new SSESession(id, undefined, { clock });
      case "streamable":
        return new StreamableSession(id, { clock });
      default:
        return new ProxySession(id, type, { clock });
    }
  };
}

function requireSession(session: Session): string {
  if (!session) throw new SessionError("invalid_request", "The session must not be null.");
  return requireUuid(session.id);
}

function requireUuid(id: string): string {
  const uuid = typeof id === "string" ? parseSessionId(id) : undefined;
  if (uuid === undefined) {
    throw new InvalidSessionIdError(id === "" ? "A session id must not be empty." : undefined);
  }
  return uuid;
}
