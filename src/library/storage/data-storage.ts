import type { AnyPage, PageOptions, RangeOptions, CallOptions } from "./storage.ts";

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
