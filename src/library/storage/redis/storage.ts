/** Both storages over Redis: whole sessions, and metadata alone. */
import { decodeMetadata, decodeSession, encodeMetadata, encodeSession } from "../../model/codec.ts";
import { CorruptRecordError } from "../../../core/errors.ts";
import { storedId, type Session } from "../../model/session.ts";
import { systemClock, timestampFromMs } from "../../model/time.ts";
import { idOf, rangeOver, timeOf, touchByUpdate, walkPages } from "../calls.ts";
import type {
  CallOptions,
  ConditionOptions,
  DataStorage,
  MetadataEntry,
  MetadataPage,
  PageOptions,
  RangeCallback,
  RangeOptions,
  SessionMetadata,
  SessionPage,
  Storage,
} from "../storage.ts";
import type { RedisOptions } from "./config.ts";
import { RedisRecords, type Stored } from "./records.ts";

/**
 * Whole sessions in Redis 6.2 or newer, in ToolHive's bytes, so that both sides read each other's
 * (ToolHive's `RedisStorage`). Redis expires sessions by itself.
 *
 * `count`, `page` and `range` walk the keys by SCAN, never KEYS: each step is bounded, a page may
 * be empty or a little too long, and the result is approximate while keys come and go. They pass
 * over keys with a UUID in another form than the canonical one, for which no `load` asks.
 *
 * `ifStill` compares the record's bytes in a script of one key: an ACL user needs EVAL for it,
 * besides SET, GET, GETEX, DEL, SCAN and PING.
 *
 * A command that fails rejects with `UnavailableError` within `dialTimeoutMs + writeTimeoutMs +
 * readTimeoutMs`; `count` and `page` send several. Redis may have carried out a write that failed.
 */
export class RedisStorage implements Storage {
  readonly #records: RedisRecords<Session>;
  /** For each session, the value that Redis last returned or stored for it. */
  readonly #stored: WeakMap<Session, Stored>;

  private constructor(records: RedisRecords<Session>, stored: WeakMap<Session, Stored>) {
    this.#records = records;
    this.#stored = stored;
  }

  /**
   * Checks the options, connects and pings. Rejects with `RedisConfigError` if the options are
   * wrong, and with `UnavailableError` if Redis is not there or refuses the credentials. It
   * waits `dialTimeoutMs` for a master that the Sentinels name and that is away, or for the next.
   *
   * @example
   * const storage = await RedisStorage.connect({
   *   addr: "127.0.0.1:6379",
   *   keyPrefix: PROXY_SESSION_KEY_PREFIX,
   *   ttlMs: 2 * 60 * 60_000,
   * });
   * const manager = new SessionManager({ storage });
   */
  static async connect(options: RedisOptions): Promise<RedisStorage> {
    const given = new WeakMap<Session, Stored>();
    const records = await RedisRecords.connect(options, (text, id, name, stored) => {
      const session = decodeSession(text, name);
      // Storing such a session again would write to another key than its own.
      if (session.id === "") throw new CorruptRecordError(`${name}: the record has no id`);
      if (storedId(session.id) !== id)
        throw new CorruptRecordError(`${name}: the record is that of another session`);
      given.set(session, stored);
      return session;
    });
    return new RedisStorage(records, given);
  }

  async create(session: Session, options?: CallOptions): Promise<boolean> {
    return this.#write(session, (id, text) => this.#records.set(id, text, "NX", options));
  }

  async store(session: Session, options?: CallOptions): Promise<void> {
    await this.#write(session, (id, text) => this.#records.set(id, text, undefined, options));
  }

  async update(session: Session, { ifStill, ...options }: ConditionOptions = {}): Promise<boolean> {
    return this.#write(session, (id, text) => {
      if (ifStill === undefined) return this.#records.set(id, text, "XX", options);
      const expected = this.#stored.get(ifStill);
      if (expected === undefined) return matchesNothing(options);
      return this.#records.replace(id, expected, text, options);
    });
  }

  load(id: string, options?: CallOptions): Promise<Session | undefined> {
    return this.#records.load(id, options);
  }

  /** In one round trip for a record in ToolHive's layout; else as `load` and `update`. */
  async touch(id: string, options?: CallOptions): Promise<Session | undefined> {
    const now = timestampFromMs(systemClock.now());
    const session = await this.#records.touch(id, now.text, options);
    if (!session || session.updatedAt.getTime() >= now.ms) return session;
    return touchByUpdate(
      () => this.load(id, options),
      (ifStill) => this.update(ifStill, { ...options, ifStill }),
    );
  }

  async delete(id: string, { ifStill, ...options }: ConditionOptions = {}): Promise<void> {
    if (ifStill === undefined) return this.#records.delete(id, options);
    const expected = this.#stored.get(ifStill);
    if (expected === undefined) await matchesNothing(options);
    else await this.#records.deleteIfSame(id, expected, options);
  }

  /** Does nothing: Redis expires sessions by itself. */
  async deleteExpired(before: Date | number, { signal }: CallOptions = {}): Promise<number> {
    signal?.throwIfAborted();
    timeOf(before);
    return 0;
  }

  count(options?: CallOptions): Promise<number> {
    return this.#records.count(options);
  }

  async page(options?: PageOptions): Promise<SessionPage> {
    const { records, ...rest } = await this.#records.page(options);
    return { ...rest, sessions: records };
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

  close(): Promise<void> {
    return this.#records.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Remembers the bytes that Redis stored for the session. Returns whether it stored them. */
  async #write(
    session: Session,
    write: (id: string, text: string) => Promise<boolean>,
  ): Promise<boolean> {
    const id = idOf(session);
    const text = encodeSession(session);
    const written = await write(id, text);
    if (written) this.#stored.set(session, text);
    return written;
  }
}

/** The answer to a condition on a session that Redis neither returned nor stored. */
async function matchesNothing({ signal }: CallOptions): Promise<false> {
  signal?.throwIfAborted();
  return false;
}

/**
 * Metadata maps in Redis, in ToolHive's bytes (its `RedisSessionDataStorage`).
 * Failures, timeouts and the walk through keys are those of `RedisStorage`.
 */
export class RedisDataStorage implements DataStorage {
  readonly #records: RedisRecords<MetadataEntry>;

  private constructor(records: RedisRecords<MetadataEntry>) {
    this.#records = records;
  }

  /**
   * As `RedisStorage.connect`. ToolHive's prefix is `VMCP_SESSION_KEY_PREFIX`.
   *
   * @example
   * const keyPrefix = VMCP_SESSION_KEY_PREFIX;
   * const storage = await RedisDataStorage.connect({ addr, keyPrefix, ttlMs: 60_000 });
   * await storage.create(id, { user: "ada" }); // false if the id has metadata
   */
  static async connect(options: RedisOptions): Promise<RedisDataStorage> {
    const records = await RedisRecords.connect(options, (text, id, name) => {
      return { id, metadata: decodeMetadata(text, name) };
    });
    return new RedisDataStorage(records);
  }

  async create(id: string, metadata?: SessionMetadata | null, options?: CallOptions) {
    return this.#records.set(id, encodeMetadata(metadata ?? {}), "NX", options);
  }

  async update(id: string, metadata?: SessionMetadata | null, options?: CallOptions) {
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

  range(options?: RangeOptions): AsyncGenerator<MetadataEntry, void, undefined>;
  range(callback: RangeCallback<MetadataEntry>, options?: RangeOptions): Promise<void>;
  range(first?: RangeOptions | RangeCallback<MetadataEntry>, options?: RangeOptions) {
    const walk = (given?: RangeOptions) =>
      walkPages(
        (page) => this.page(page),
        ({ entries }) => entries,
        given,
      );
    return rangeOver(walk, first, options);
  }

  close(): Promise<void> {
    return this.#records.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
