// Names `Symbol.asyncDispose` for a program whose own `lib` does not.
/// <reference lib="esnext.disposable" preserve="true" />
import type { Session } from "../model/session.ts";
import type { CorruptRecordError } from "../../core/errors.ts";

export interface PageOptions extends CallOptions {
  /** The `cursor` of the page before. Absent: the first page. */
  readonly cursor?: string | undefined;
  /** About how many entries a page holds, from 1 to 1,000 (100). */
  readonly limit?: number | undefined;
}

/** The part that every page has. */
export interface AnyPage {
  /** Absent on the last page. */
  readonly cursor?: string;
  /** The records that cannot be read, each named by its error. Absent: none. */
  readonly unreadable?: readonly CorruptRecordError[];
}

export interface RangeOptions extends CallOptions {
  /** How many entries are fetched at a time, from 1 to 1,000 (100). */
  readonly pageSize?: number | undefined;
  /**
   * Called with each record that cannot be read. Without it the range yields all others first and then
   * throws, so that no caller takes them for all.
   */
  readonly onUnreadable?: ((error: CorruptRecordError) => void) | undefined;
}

/**
 * Gets each item of a range, as Go's `Range` does. A result of `false`, or a promise of it, ends the
 * range; any other goes on. The range waits for a promise before it takes the next item.
 */
export type RangeCallback<T> = (item: T) => unknown;

export interface CallOptions {
  /** Cancels the call, which then rejects with the signal's reason. The backend may still carry it out. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The options of a conditional write.
 *
 * @example
 * const session = await storage.load(id);
 * session?.setMetadata("step", "2");
 * // False if another process stored or deleted the session since the load.
 * if (session) await storage.update(session, { ifStill: session });
 */
export interface ConditionOptions extends CallOptions {
  /**
   * Carries the call out only if the storage still holds the record that it gave as this
   * session (by `load`, `page` or `range`) or took as it (by `create`, `store` or `update`),
   * atomically. If another write came between, or the storage neither gave nor took this
   * session, nothing changes. `LocalStorage` compares the session object itself.
   */
  readonly ifStill?: Session | undefined;
}

export interface SessionPage extends AnyPage {
  /** May be empty, or hold a few more than `limit`, while there is a cursor. */
  readonly sessions: readonly Session[];
}

/**
 * Keeps whole sessions (ToolHive's `Storage`). Adapters: `LocalStorage`, `RedisStorage`,
 * `DurableObjectStorage`.
 *
 * - **A miss is a value**: `undefined` or `false`. **An error means that the backend failed**,
 *   and nobody knows whether there is a session: `UnavailableError` (503) if it did not
 *   answer, `CorruptRecordError` if its record cannot be read. A failure is never a miss.
 * - **Ids.** A UUID in any form that ToolHive accepts names one session. Every method refuses an
 *   empty id with `InvalidSessionIdError`.
 * - **Use extends life.** `create`, `store`, `update`, `load` and `touch` each give the session a whole
 *   TTL from now. `load` never changes `updatedAt`. `count`, `page` and `range` are not use.
 * - **Expired is absent**: no method returns an expired session, cleaned up or not.
 * - **An overwrite replaces the whole record**, whatever its type. The last writer wins, unless
 *   it asks with `ifStill` not to. A storage in memory closes a session that it replaces, evicts
 *   or deletes, so that its stream ends; storing the very same session closes nothing. (A
 *   Durable Object keeps its stream when it is stored again.)
 * - **A repeated delete** does not fail.
 * - **A cancelled call** rejects with its signal's reason. The backend may still carry it out.
 * - **`await using`** closes a storage at the end of its block.
 * - **Results.** `LocalStorage` returns the very session that it stored; the others a new one
 *   with the same record, without streams or clients.
 */
export interface Storage extends AsyncDisposable {
  /** Stores a session only if its id has none, atomically: of many callers at once, one gets true. */
  create(session: Session, options?: CallOptions): Promise<boolean>;

  /** Stores a session, in place of one that exists. */
  store(session: Session, options?: CallOptions): Promise<void>;

  /**
   * Replaces a session only if there is one, atomically; false otherwise. A late
   * `update` never brings a deleted session back. With `ifStill` it does not undo another write
   * either, and is false then too.
   */
  update(session: Session, options?: ConditionOptions): Promise<boolean>;

  /** The session, or undefined if it does not exist. Counts as use. */
  load(id: string, options?: CallOptions): Promise<Session | undefined>;

  /**
   * Counts as use, and moves the stored `updatedAt` to now unless it is later already; nothing else
   * of the record changes. Returns the session, or undefined if it does not exist. A storage that can
   * do it in one step has this method; over any other the manager loads and updates.
   */
  touch?(id: string, options?: CallOptions): Promise<Session | undefined>;

  /** Removes a session, if there is one. With `ifStill` one that was made or changed since stays. */
  delete(id: string, options?: ConditionOptions): Promise<void>;

  /**
   * Removes sessions not used since `before` (a Date, or milliseconds since the epoch) and returns
   * how many. A backend that expires sessions by itself does nothing and returns 0. A cancelled
   * call may have removed some. Throws a RangeError if `before` is not a time.
   */
  deleteExpired(before: Date | number, options?: CallOptions): Promise<number>;

  /** How many sessions there are. Approximate while writes go on, on Redis and Durable Objects. */
  count(options?: CallOptions): Promise<number>;

  /**
   * One page of sessions, in an order of the backend's own. A session that exists from the first
   * page to the last is in one of them; one made or deleted meanwhile may be, and Redis may name
   * one twice. Records that cannot be read are in `unreadable` and hide no others. Throws a
   * SessionError (`invalid_request`) for a cursor that no page gave, a RangeError for a `limit`
   * out of bounds.
   */
  page(options?: PageOptions): Promise<SessionPage>;

  /** Every session, page by page; as exact as `page`. For records that cannot be read see `onUnreadable`. */
  range(options?: RangeOptions): AsyncIterable<Session>;

  /**
   * Calls back with every session, until a call gives `false`. Rejects with what the callback
   * throws, and with what ranging throws.
   */
  range(callback: RangeCallback<Session>, options?: RangeOptions): Promise<void>;

  /** Releases what the adapter holds. Repeating it does nothing. */
  close(): Promise<void>;
}

export type SessionMetadata = Readonly<Record<string, string>>;

/** One id of a page of a `DataStorage`. */
export interface MetadataEntry {
  /** As it is stored: a UUID in its canonical form, any other id as it is. */
  readonly id: string;
  /** A copy: changing it does not change what is stored. */
  readonly metadata: Record<string, string>;
}

export interface MetadataPage extends AnyPage {
  /** May be empty, or hold a few more than `limit`, while there is a cursor. */
  readonly entries: readonly MetadataEntry[];
}

/**
 * Keeps only the metadata of sessions, as string maps (ToolHive's `DataStorage`). Adapters:
 * `LocalDataStorage`, `RedisDataStorage`.
 *
 * Misses, failures, ids, cancelled calls, use and expiry are those of `Storage`. An overwrite
 * replaces the whole map. Results are copies.
 */
export interface DataStorage extends AsyncDisposable {
  /** Writes metadata (an empty map, unless given) only if the id has none, atomically. */
  create(id: string, metadata?: SessionMetadata | null, options?: CallOptions): Promise<boolean>;

  /** Overwrites metadata only if the id has some. Use it after `load`: a session deleted in between stays deleted. */
  update(id: string, metadata?: SessionMetadata | null, options?: CallOptions): Promise<boolean>;

  /** The metadata, or undefined if the id has none. Counts as use. */
  load(id: string, options?: CallOptions): Promise<Record<string, string> | undefined>;

  /** Removes the metadata, if there is any. */
  delete(id: string, options?: CallOptions): Promise<void>;

  /** How many ids have metadata. Approximate while writes go on, on Redis. */
  count(options?: CallOptions): Promise<number>;

  /** One page of ids with their metadata, in an order of the backend's own, under the rules of `Storage.page`. */
  page(options?: PageOptions): Promise<MetadataPage>;

  /** Every id with its metadata, page by page, under the rules of `Storage.range`. */
  range(options?: RangeOptions): AsyncIterable<MetadataEntry>;

  /** Calls back with every id and its metadata, under the rules of `Storage.range`. */
  range(callback: RangeCallback<MetadataEntry>, options?: RangeOptions): Promise<void>;

  /** Releases what the adapter holds. Repeating it does nothing. */
  close(): Promise<void>;
}
