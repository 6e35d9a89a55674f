import type { Session } from "../model/session.ts";
import type { CorruptRecordError } from "../../core/errors.ts";

/** Walking through what a storage holds, a page at a time: what `Storage` and `DataStorage` share. */
export interface PageOptions extends CallOptions {
  /** Where to go on: the `cursor` of the page before. Absent: from the start. */
  readonly cursor?: string | undefined;
  /** About how many entries a page holds, from 1 to 1,000 (100). */
  readonly limit?: number | undefined;
}

/** What every page has, whatever it is a page of. */
export interface AnyPage {
  /** Absent on the last page. */
  readonly cursor?: string;
  /** What lies there and cannot be read, each named by its error. Absent: nothing. */
  readonly unreadable?: readonly CorruptRecordError[];
}

export interface RangeOptions extends CallOptions {
  /** How many entries are fetched at a time, from 1 to 1,000 (100). */
  readonly pageSize?: number | undefined;
  /**
   * Told of each record that cannot be read. Without it the range gives everything
   * else first and then throws, so that nobody takes it for whole.
   */
  readonly onUnreadable?: ((error: CorruptRecordError) => void) | undefined;
}

export interface CallOptions {
  /**
   * Cancels the call, which then rejects with the signal's reason. A call that
   * had already been sent may still take effect.
   */
  readonly signal?: AbortSignal | undefined;
}

export interface ConditionOptions extends CallOptions {
  /**
   * Carries the call out only where the storage still holds what it gave as this
   * session (by `load`, `page` or `range`) or took as it (by `create`, `store` or
   * `update`), atomically. Where another write came between, and where the storage
   * neither gave nor took this session, nothing changes. `LocalStorage` holds the
   * session itself, so there it is the same one until another takes its place.
   */
  readonly ifStill?: Session | undefined;
}

export interface SessionPage extends AnyPage {
  /** May be empty, or hold a few more than `limit`, while there is a cursor. */
  readonly sessions: readonly Session[];
}

/**
 * Keeps whole sessions (ToolHive's `Storage`). Adapters: `LocalStorage`,
 * `RedisStorage`, `DurableObjectStorage`.
 *
 * - **A miss is a value**: `undefined` or `false`. **Throwing means that the
 *   backend failed** and nothing is known of the session: `UnavailableError` (503)
 *   where it did not answer, `CorruptRecordError` where what it holds cannot be
 *   read. A failure is never reported as a miss.
 * - **Ids.** A UUID in any form that ToolHive accepts names one session. An empty
 *   id is refused with `InvalidSessionIdError`, by every method.
 * - **Use extends life.** `create`, `store`, `update` and `load` each give the
 *   session a whole TTL from now. `load` never changes `updatedAt`. `count`, `page`
 *   and `range` are not use.
 * - **Expired is absent**: an expired session is never returned, whether or not
 *   anything has cleaned it up.
 * - **An overwrite replaces the whole record**, whatever its type; the last writer
 *   wins, unless it asks with `ifStill` not to. What is replaced in memory, evicted
 *   or deleted is closed, so that its stream ends; storing the very session again
 *   closes nothing. (A Durable Object keeps its stream when it is stored again.)
 * - **A repeated delete** is no error.
 * - **A cancelled call** rejects with the reason of its signal. What was already
 *   sent to a backend may still take effect.
 * - **What comes back.** `LocalStorage` returns the very session that was stored;
 *   the others a new one with the same record, without streams or clients.
 */
export interface Storage {
  /**
   * Stores a session only where there is none with its id, atomically: of many
   * callers at once, one gets true. False leaves what exists as it was.
   */
  create(session: Session, options?: CallOptions): Promise<boolean>;

  /** Stores a session, replacing what exists whatever its type. */
  store(session: Session, options?: CallOptions): Promise<void>;

  /**
   * Replaces a session only where there is one, atomically; false where there is
   * none. A late write through `update` never brings back what was deleted. With
   * `ifStill` it does not undo another write either, and is false then too.
   */
  update(session: Session, options?: ConditionOptions): Promise<boolean>;

  /** The session, or undefined where there is none. Counts as use. */
  load(id: string, options?: CallOptions): Promise<Session | undefined>;

  /**
   * Removes a session. Repeating it, or naming one that never was, is no error. With
   * `ifStill` one that was made or changed since stays.
   */
  delete(id: string, options?: ConditionOptions): Promise<void>;

  /**
   * Removes sessions not used since `before` (a Date, or milliseconds since the
   * epoch) and answers how many. Backends that expire sessions by themselves do
   * nothing and answer 0. Cancelled in the middle, it has removed some. What is no
   * time is refused with a RangeError.
   */
  deleteExpired(before: Date | number, options?: CallOptions): Promise<number>;

  /** How many sessions there are. Approximate while writes go on, on Redis and Durable Objects. */
  count(options?: CallOptions): Promise<number>;

  /**
   * One page of sessions, in an order of the backend's own. A session that is
   * there from the first page to the last is in one of them; one made or deleted
   * meanwhile may or may not be, and Redis may name one twice. Records that cannot be
   * read are in `unreadable`, and keep nobody from the rest. A cursor that no page
   * gave is refused with a SessionError (`invalid_request`), a `limit` out of bounds
   * with a RangeError.
   */
  page(options?: PageOptions): Promise<SessionPage>;

  /** Every session, page by page; as exact as `page` is. Of records that cannot be read see `onUnreadable`. */
  range(options?: RangeOptions): AsyncIterable<Session>;

  /** Releases what the adapter holds. Repeating it does nothing. */
  close(): Promise<void>;
}

export type SessionMetadata = Readonly<Record<string, string>>;

export interface MetadataEntry {
  readonly id: string;
  readonly metadata: Record<string, string>;
}

export interface MetadataPage extends AnyPage {
  /** May be empty, or hold a few more than `limit`, while there is a cursor. */
  readonly entries: readonly MetadataEntry[];
}

/**
 * Keeps only the metadata of sessions, as string maps (ToolHive's `DataStorage`),
 * with conditional writes. Adapters: `LocalDataStorage`, `RedisDataStorage`.
 *
 * Misses, failures, ids, cancelled calls and expiry are those of `Storage`.
 * `create`, `update` and `load` give what they find or write a whole TTL from now;
 * `count`, `page` and `range` are not use. An overwrite replaces the whole map.
 * What is returned is a copy.
 */
export interface DataStorage {
  /**
   * Writes metadata only where the id has none, atomically: of many callers at
   * once, one gets true. Null and undefined metadata is an empty map.
   */
  create(id: string, metadata?: SessionMetadata | null, options?: CallOptions): Promise<boolean>;

  /**
   * Overwrites metadata only where the id has some; false where it has none. Use
   * it after `load`, so that a session deleted in between stays deleted.
   */
  update(id: string, metadata?: SessionMetadata | null, options?: CallOptions): Promise<boolean>;

  /** The metadata, or undefined where there is none. Counts as use. */
  load(id: string, options?: CallOptions): Promise<Record<string, string> | undefined>;

  /** Removes the metadata. Repeating it, or naming an id that never was, is no error. */
  delete(id: string, options?: CallOptions): Promise<void>;

  /** How many ids have metadata. Approximate while writes go on, on Redis. */
  count(options?: CallOptions): Promise<number>;

  /** One page of ids with their metadata, in an order of the backend's own, under the rules of `Storage.page`. */
  page(options?: PageOptions): Promise<MetadataPage>;

  /** Every id with its metadata, page by page, under the rules of `Storage.range`. */
  range(options?: RangeOptions): AsyncIterable<MetadataEntry>;

  /** Releases what the adapter holds. Repeating it does nothing. */
  close(): Promise<void>;
}
