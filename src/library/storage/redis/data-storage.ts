import { decodeMetadata, encodeMetadata } from "../../model/codec.ts";
import type { DataStorage, MetadataEntry, MetadataPage, SessionMetadata } from "../data-storage.ts";
import { walkPages, type PageOptions, type RangeOptions, type CallOptions } from "../storage.ts";
import type { RedisOptions } from "./config.ts";
import { RedisRecords } from "./records.ts";

/**
 * Metadata maps in Redis, in ToolHive's bytes (its `RedisSessionDataStorage`).
 * Failures, timeouts and the walk through keys are those of `RedisStorage`.
 */
export class RedisDataStorage implements DataStorage {
  readonly #records: RedisRecords<MetadataEntry>;

  private constructor(records: RedisRecords<MetadataEntry>) {
    this.#records = records;
  }

  /** As `RedisStorage.connect`. ToolHive's prefix is `VMCP_SESSION_KEY_PREFIX`. */
  static async connect(options: RedisOptions): Promise<RedisDataStorage> {
    const records = await RedisRecords.connect(options, (text, id, name) => {
      return { id, metadata: decodeMetadata(text, name) };
    });
    return new RedisDataStorage(records);
  }

  async create(
    id: string,
    metadata?: SessionMetadata | null,
    options?: CallOptions,
  ): Promise<boolean> {
    return this.#records.set(id, encodeMetadata(metadata ?? {}), "NX", options);
  }

  async update(
    id: string,
    metadata?: SessionMetadata | null,
    options?: CallOptions,
  ): Promise<boolean> {
    return this.#records.set(id, encodeMetadata(metadata ?? {}), "XX", options);
  }

  async load(id: string, options?: CallOptions): Promise<Record<string, string> | undefined> {
    return (await this.#records.load(id, options))?.metadata;
  }

  delete(id: string, options?: CallOptions): Promise<void> {
    return this.#records.delete(id, options);
  }

  count(options?: CallOptions): Promise<number> {
    return this.#records.count(options);
  }

  async page(options?: PageOptions): Promise<MetadataPage> {
    const { records, ...rest } = await this.#records.page(options);
    return { ...rest, entries: records };
  }

  range(options?: RangeOptions): AsyncIterable<MetadataEntry> {
    return walkPages(
      (page) => this.page(page),
      ({ entries }) => entries,
      options,
    );
  }

  close(): Promise<void> {
    return this.#records.close();
  }
}
