import { decodeSession, encodeSession } from "../session/codec.ts";
import { SessionError } from "../session/errors.ts";
import type { Session } from "../session/session.ts";
import { readRedisOptions } from "./redis-config.ts";
import type { RedisOptions, RedisSettings } from "./redis-config.ts";
import { RedisConnection } from "./redis-connection.ts";
import { countKeys, expiryArguments, redisKey, scanPage } from "./redis-keys.ts";
import { pageLimit, rangeOverPages } from "./storage.ts";
import type { CallOptions, PageOptions, RangeOptions, SessionPage, Storage } from "./storage.ts";

/**
 * Whole sessions in Redis, in ToolHive's bytes, so that both sides read each
 * other's (ToolHive's `RedisStorage`). Redis 6.2 or newer. Redis expires sessions by itself.
 *
 * `count`, `page` and `range` walk the keys by SCAN, never KEYS: each step is
 * bounded, a page may be empty or a little longer than asked for, and while keys
 * come and go the result is approximate. A page is not use.
 *
 * A call that fails rejects with `UnavailableError` within `dialTimeoutMs +
 * writeTimeoutMs + readTimeoutMs`. A write that fails so may have been carried out.
 */
export class RedisStorage implements Storage {
  readonly #connection: RedisConnection;
  readonly #settings: RedisSettings;
  readonly #expiry: readonly [string, number];

  private constructor(connection: RedisConnection, settings: RedisSettings) {
    this.#connection = connection;
    this.#settings = settings;
    this.#expiry = expiryArguments(settings.ttlMs);
  }

  /**
   * Checks the options, connects and pings. Rejects with `RedisConfigError` where
   * the options are wrong, and with `UnavailableError` where Redis is not there or
   * refuses the credentials.
   */
  static async connect(options: RedisOptions): Promise<RedisStorage> {
    const settings = readRedisOptions(options);
    return new RedisStorage(await RedisConnection.open(settings, options.signal), settings);
  }

  async create(session: Session, options?: CallOptions): Promise<boolean> {
    return this.#set(session, ["NX"], options);
  }

  async store(session: Session, options?: CallOptions): Promise<void> {
    await this.#set(session, [], options);
  }

  async update(session: Session, options?: CallOptions): Promise<boolean> {
    return this.#set(session, ["XX"], options);
  }

  async load(id: string, { signal }: CallOptions = {}): Promise<Session | undefined> {
    const key = this.#key(id);
    const reply = await this.#connection.command("GETEX", [key, ...this.#expiry], {
      signal,
      repeatable: true,
    });
    return reply === null ? undefined : this.#decode(key, reply);
  }

  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#connection.command("DEL", [this.#key(id)], { signal });
  }

  /** Does nothing: Redis expires sessions by itself. */
  async deleteExpired(_before: Date | number, { signal }: CallOptions = {}): Promise<number> {
    signal?.throwIfAborted();
    return 0;
  }

  async count(options: CallOptions = {}): Promise<number> {
    return countKeys(this.#connection, this.#settings.keyPrefix, options);
  }

  async page({ cursor, limit, signal }: PageOptions = {}): Promise<SessionPage> {
    const scan = { cursor, signal, limit: pageLimit(limit) };
    const page = await scanPage(this.#connection, this.#settings.keyPrefix, scan);
    const sessions = await Promise.all(page.keys.map((key) => this.#peek(key, signal)));
    return { ...page, sessions: sessions.filter((session) => session !== undefined) };
  }

  range(options?: RangeOptions): AsyncIterable<Session> {
    return rangeOverPages((page) => this.page(page), options);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #set(
    session: Session,
    condition: readonly string[],
    options: CallOptions = {},
  ): Promise<boolean> {
    if (!session) throw new SessionError("invalid_request", "The session must not be null.");
    const key = this.#key(session.id);
    const args = [key, encodeSession(session), ...this.#expiry, ...condition];
    return (await this.#connection.command("SET", args, options)) === "OK";
  }

  /** Reads without extending the session's life. */
  async #peek(key: string, signal: AbortSignal | undefined): Promise<Session | undefined> {
    const reply = await this.#connection.command("GET", [key], { signal, repeatable: true });
    return reply === null ? undefined : this.#decode(key, reply);
  }

  #decode(key: string, reply: unknown): Session {
    return decodeSession(
      String(reply),
      `session ${key.slice(this.#settings.keyPrefix.length)} under key ${key}`,
    );
  }

  #key(id: string): string {
    return redisKey(this.#settings.keyPrefix, id);
  }
}
