import type { CallOptions } from "./storage.ts";

export type SessionMetadata = Readonly<Record<string, string>>;

/**
 * Keeps only the metadata of sessions, as string maps (ToolHive's `DataStorage`),
 * with conditional writes. Adapters: `LocalDataStorage`, `RedisDataStorage`.
 *
 * Misses, failures, ids, cancelled calls and expiry are those of `Storage`; each
 * call that finds or writes a session gives it a whole TTL from now. What is
 * returned is a copy.
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

  /** Releases what the adapter holds. Repeating it does nothing. */
  close(): Promise<void>;
}
