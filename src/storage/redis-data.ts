import { decodeMetadata, encodeMetadata } from "../session/codec.ts";
import type { DataStorage, SessionMetadata } from "./data-storage.ts";
import { readRedisOptions } from "./redis-config.ts";
import type { RedisOptions, RedisSettings } from "./redis-config.ts";
import { RedisConnection } from "./redis-connection.ts";
import { expiryArguments, redisKey } from "./redis-keys.ts";
import type { CallOptions } from "./storage.ts";

/**
 * Metadata maps in Redis, in ToolHive's bytes (its `RedisSessionDataStorage`).
 * Failures and timeouts are those of `RedisStorage`.
 */
export class RedisDataStorage implements DataStorage {
  readonly #connection: RedisConnection;
  readonly #settings: RedisSettings;
  readonly #expiry: readonly [string, number];

  private constructor(connection: RedisConnection, settings: RedisSettings) {
    this.#connection = connection;
    this.#settings = settings;
    this.#expiry = expiryArguments(settings.ttlMs);
  }

  /** As `RedisStorage.connect`. ToolHive's prefix is `VMCP_SESSION_KEY_PREFIX`. */
  static async connect(options: RedisOptions): Promise<RedisDataStorage> {
    const settings = readRedisOptions(options);
    return new RedisDataStorage(await RedisConnection.open(settings, options.signal), settings);
  }

  async create(
    id: string,
    metadata?: SessionMetadata | null,
    options?: CallOptions,
  ): Promise<boolean> {
    return this.#set(id, metadata, "NX", options);
  }

  async update(
    id: string,
    metadata?: SessionMetadata | null,
    options?: CallOptions,
  ): Promise<boolean> {
    return this.#set(id, metadata, "XX", options);
  }

  async load(
    id: string,
    { signal }: CallOptions = {},
  ): Promise<Record<string, string> | undefined> {
    const key = this.#key(id);
    const reply = await this.#connection.command("GETEX", [key, ...this.#expiry], {
      signal,
      repeatable: true,
    });
    return reply === null
      ? undefined
      : decodeMetadata(String(reply), `session ${id} under key ${key}`);
  }

  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#connection.command("DEL", [this.#key(id)], { signal });
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #set(
    id: string,
    metadata: SessionMetadata | null | undefined,
    condition: "NX" | "XX",
    options: CallOptions = {},
  ): Promise<boolean> {
    const args = [this.#key(id), encodeMetadata(metadata ?? {}), ...this.#expiry, condition];
    return (await this.#connection.command("SET", args, options)) === "OK";
  }

  #key(id: string): string {
    return redisKey(this.#settings.keyPrefix, id);
  }
}
