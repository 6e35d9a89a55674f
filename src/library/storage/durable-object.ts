import { sessionOf } from "../model/codec.ts";
import { SessionError, UnavailableError } from "../../core/errors.ts";
import type {
  MaybePartial,
  SessionContent,
  SessionHost,
  Sessions,
  SessionView,
} from "../../core/host.ts";
import { requireSessionId, type SessionId } from "../../core/id.ts";
import { recordOf, type Session } from "../model/session.ts";
import { parseTimestamp, timestampFromMs } from "../model/time.ts";
import {
  idOf,
  lifetime,
  pageLimit,
  positiveTtl,
  rangeOver,
  timeOf,
  duration,
  walkPages,
  withDeadline,
} from "./calls.ts";
import type {
  CallOptions,
  ConditionOptions,
  PageOptions,
  RangeCallback,
  RangeOptions,
  SessionPage,
  Storage,
} from "./storage.ts";

/** The part of a host's sessions that the storage calls. */
export type ListedSessions = Pick<Sessions, "create" | "read" | "upsert" | "delete"> &
  Pick<SessionHost, "list" | "count">;

export interface DurableObjectStorageOptions {
  /** The objects: `sessionsIn(env.SESSIONS, env.DIRECTORY)`, or those of any other host. */
  readonly sessions: ListedSessions;
  /** Milliseconds that a session lives after its last use. */
  readonly ttlMs: number;
  /** Longest life of a session in milliseconds, however it is used. 0, the default: no limit. */
  readonly maxLifetimeMs?: number;
  /** Milliseconds that one call may take (5,000). */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 5000;

/**
 * Whole sessions in Durable Objects: the service serves the same ones at `/v1`. Replacing a
 * session keeps its events and its streams. Ids must be UUIDs. A session holds at most 256
 * metadata keys, 128 KiB of metadata and 768 KiB of data. The objects expire by themselves.
 *
 * `count`, `page` and `range` ask the directory, which lists newest first and follows the
 * sessions within moments. If a part of it does not answer, or there is no directory, they reject
 * with `UnavailableError` instead of counting a part.
 *
 * @example
 * const sessions = sessionsIn(env.SESSIONS, env.DIRECTORY);
 * const storage = new DurableObjectStorage({ sessions, ttlMs: 60_000 });
 * await storage.create(new ProxySession(newSessionId()));
 */
export class DurableObjectStorage implements Storage {
  readonly #sessions: DurableObjectStorageOptions["sessions"];
  readonly #ttlMs: number;
  readonly #maxLifetimeMs: number;
  readonly #timeoutMs: number;
  /** For each session, the version that its object had when it last returned or stored it. */
  readonly #versions = new WeakMap<Session, string>();

  /** Throws a RangeError if a duration is out of range. */
  constructor(options: DurableObjectStorageOptions) {
    this.#sessions = options.sessions;
    this.#ttlMs = positiveTtl(options.ttlMs);
    this.#maxLifetimeMs = lifetime(options.maxLifetimeMs ?? 0);
    this.#timeoutMs = duration("timeoutMs", options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  }

  async create(session: Session, { signal }: CallOptions = {}): Promise<boolean> {
    const [id, content] = this.#contentOf(session);
    const created = this.#call(signal, () => this.#sessions.create(id, content));
    return this.#took(session, await unless("session_already_exists", created));
  }

  async store(session: Session, { signal }: CallOptions = {}): Promise<void> {
    const [id, content] = this.#contentOf(session);
    const stored = await this.#call(signal, () => this.#sessions.upsert(id, content));
    this.#took(session, stored.session);
  }

  async update(session: Session, { signal, ifStill }: ConditionOptions = {}): Promise<boolean> {
    const [id, content] = this.#contentOf(session);
    // "*" matches any session that exists (RFC 9110, 13.1.1), so this never makes one.
    const ifMatch = ifStill ? this.#versionOf(ifStill) : "*";
    const updated = this.#call(signal, () => this.#sessions.upsert(id, content, ifMatch));
    return this.#took(session, (await unless("precondition_failed", updated))?.session);
  }

  async load(id: string, { signal }: CallOptions = {}): Promise<Session | undefined> {
    return this.#read(requireSessionId(id), true, signal);
  }

  async delete(id: string, { signal, ifStill }: ConditionOptions = {}): Promise<void> {
    const uuid = requireSessionId(id);
    const ifMatch = ifStill && this.#versionOf(ifStill);
    await this.#call(signal, () => this.#sessions.delete(uuid, ifMatch));
  }

  /** Does nothing: the objects expire by themselves. */
  async deleteExpired(before: Date | number, { signal }: CallOptions = {}): Promise<number> {
    signal?.throwIfAborted();
    timeOf(before);
    return 0;
  }

  async count({ signal }: CallOptions = {}): Promise<number> {
    const { count } = whole(await this.#call(signal, () => this.#sessions.count({})));
    return count;
  }

  async page({ cursor, limit, signal }: PageOptions = {}): Promise<SessionPage> {
    const query = { limit: pageLimit(limit), ...(cursor === undefined ? {} : { cursor }) };
    const list = whole(await this.#call(signal, () => this.#sessions.list(query)));
    // The directory may still list a session that has just ended. Its own object knows.
    const found = await Promise.all(list.sessions.map(({ id }) => this.#read(id, false, signal)));
    const sessions = found.filter((session) => session !== undefined);
    return list.cursor === undefined ? { sessions } : { sessions, cursor: list.cursor };
  }

  range(options?: RangeOptions): AsyncGenerator<Session, void, undefined>;
  range(callback: RangeCallback<Session>, options?: RangeOptions): Promise<void>;
  range(first?: RangeOptions | RangeCallback<Session>, options?: RangeOptions) {
    const walk = (given?: RangeOptions) =>
      walkPages(
        (page) => this.page(page),
        ({ sessions }) => sessions,
        given,
      );
    return rangeOver(walk, first, options);
  }

  /** Does nothing: an object needs no closing. */
  async close(): Promise<void> {}

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #read(
    id: SessionId,
    touch: boolean,
    signal: AbortSignal | undefined,
  ): Promise<Session | undefined> {
    const read = this.#call(signal, () => this.#sessions.read(id, touch));
    const view = await unless("session_not_found", read);
    if (!view) return undefined;
    const session = toSession(view);
    this.#versions.set(session, view.version);
    return session;
  }

  /** Remembers the version that an object stored. Returns whether it stored one. */
  #took(session: Session, view: SessionView | undefined): boolean {
    if (view) this.#versions.set(session, view.version);
    return view !== undefined;
  }

  /** For If-Match: a session that no object returned or stored matches nothing. */
  #versionOf(session: Session): readonly string[] {
    const version = this.#versions.get(session);
    return version === undefined ? [] : [version];
  }

  #contentOf(session: Session): [SessionId, SessionContent] {
    const id = requireSessionId(idOf(session));
    const { type, metadata, dataJson, createdAt, updatedAt } = recordOf(session);
    const content = {
      type,
      metadata,
      ...(dataJson === undefined ? {} : { dataJson }),
      ttlMs: this.#ttlMs,
      maxLifetimeMs: this.#maxLifetimeMs,
      times: { createdAt: createdAt.text, updatedAt: updatedAt.text },
    };
    return [id, content];
  }

  #call<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    return withDeadline(work, this.#timeoutMs, signal);
  }
}

function whole<T extends MaybePartial>(answer: T): T {
  if (answer.partial) throw new UnavailableError("A part of the directory did not answer.");
  return answer;
}

/** The call's answer, or undefined if the object refused it with this code. */
async function unless<T>(refusal: string, call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof SessionError && error.code === refusal) return undefined;
    throw error;
  }
}

function toSession(view: SessionView): Session {
  const { id, type, metadata, dataJson, times } = view;
  const createdAt = times ? parseTimestamp(times.createdAt) : undefined;
  const updatedAt = times?.updatedAt === undefined ? undefined : parseTimestamp(times.updatedAt);
  return sessionOf({
    id,
    type,
    createdAt: createdAt ?? timestampFromMs(view.createdAt),
    updatedAt: updatedAt ?? timestampFromMs(view.updatedAt),
    ...(dataJson === undefined ? {} : { dataJson }),
    metadata,
  });
}
