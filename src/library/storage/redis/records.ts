/** Records as texts under keys with a TTL: both storages over Redis read and write them here. */
import {
  CorruptRecordError,
  InvalidSessionIdError,
  UnavailableError,
} from "../../../core/errors.ts";
import { storedId } from "../../model/session.ts";
import { badCursor, pageLimit } from "../calls.ts";
import type { AnyPage, CallOptions, PageOptions } from "../storage.ts";
import { readRedisOptions, type RedisOptions, type RedisSettings } from "./config.ts";
import { RedisConnection, type RedisCallOptions } from "./connection.ts";
import { RedisFailure } from "./failure.ts";

/** A value in Redis: its text, or its bytes if they are not UTF-8, which a text does not keep. */
export type Stored = string | Buffer;

/**
 * Reads a record; bytes that are not UTF-8 are U+FFFD in `text`, as for Go. `id` comes from the
 * key, and an error calls the record by `name`. Throws `CorruptRecordError`.
 */
type DecodeRecord<T> = (text: string, id: string, name: string, stored: Stored) => T;

interface RecordPage<T> extends AnyPage {
  readonly records: readonly T[];
}

/*
 * Scripts compare and write in one step. Redis has no command for that before 8.4, and WATCH works
 * by connection, while all calls share one. Each script has one key, so that a Cluster can run it.
 */
const REPLACE_IF_SAME =
  "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end redis.call('SET', KEYS[1], ARGV[2], ARGV[3], ARGV[4]) return 1";
const DELETE_IF_SAME =
  "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end return redis.call('DEL', KEYS[1])";

/**
 * Moves `updated_at` of a session to ARGV[1] in one step, and returns the record. It changes those
 * characters alone, and only in the layout that ToolHive and this library write, with a time in UTC;
 * any other record comes back as it is. The longest prefix of a time has fixed places, so a later
 * time is a greater text. `pcall` returns Redis's own error, whose code Redis 6.2 would replace.
 */
const TOUCH = `local record = redis.pcall('GET', KEYS[1])
if type(record) ~= 'string' then return record end
local head, at, rest = string.match(record, '^({"id":"[^"\\\\]*","type":"[^"\\\\]*","created_at":"[^"\\\\]*","updated_at":")(%d%d%d%d%-%d%d%-%d%dT[%d:.]+)(Z".*)$')
if not head or at >= ARGV[1] then return redis.call('GETEX', KEYS[1], ARGV[2], ARGV[3]) end
record = head .. ARGV[1] .. rest
redis.call('SET', KEYS[1], record, ARGV[2], ARGV[3])
return record`;

export class RedisRecords<T> {
  readonly #connection: RedisConnection;
  readonly #settings: RedisSettings;
  readonly #decode: DecodeRecord<T>;
  readonly #expiry: readonly [string, number];

  private constructor(
    connection: RedisConnection,
    settings: RedisSettings,
    decode: DecodeRecord<T>,
  ) {
    this.#connection = connection;
    this.#settings = settings;
    this.#decode = decode;
    this.#expiry = expiryArguments(settings.ttlMs);
  }

  static async connect<T>(
    options: RedisOptions,
    decode: DecodeRecord<T>,
  ): Promise<RedisRecords<T>> {
    const settings = readRedisOptions(options);
    const connection = await RedisConnection.open(settings, options.signal);
    return new RedisRecords(connection, settings, decode);
  }

  /** Writes a text: with `NX` only if the key has none, with `XX` only if it has one. Returns whether it did. */
  async set(
    id: string,
    text: string,
    condition: "NX" | "XX" | undefined,
    options?: CallOptions,
  ): Promise<boolean> {
    const more = condition === undefined ? [] : [condition];
    const reply = await this.#send("SET", id, [text, ...this.#expiry, ...more], options);
    if (reply === "OK") return true;
    if (reply === null) return false;
    throw unexpected();
  }

  /** Writes a text if the key still holds `expected`, atomically. Returns whether it did. */
  async replace(
    id: string,
    expected: Stored,
    text: string,
    options?: CallOptions,
  ): Promise<boolean> {
    const args = [expected, text, ...this.#expiry];
    const reply = await this.#send("EVAL", id, args, options, REPLACE_IF_SAME);
    if (reply !== 1 && reply !== 0) throw unexpected();
    return reply === 1;
  }

  /** Reads a record and gives it a whole TTL from now. */
  async load(id: string, { signal }: CallOptions = {}): Promise<T | undefined> {
    return (await this.#read("GETEX", id, this.#expiry, signal))?.value;
  }

  /**
   * Reads a record and gives it a whole TTL from now. Moves its `updated_at` to the time (RFC 3339 in
   * UTC, as Go writes it), unless it is later already or the record is in a layout of its own.
   */
  async touch(id: string, time: string, { signal }: CallOptions = {}): Promise<T | undefined> {
    const args = [time.slice(0, -1), ...this.#expiry];
    return (await this.#read("EVAL", id, args, signal, TOUCH))?.value;
  }

  async delete(id: string, options?: CallOptions): Promise<void> {
    const reply = await this.#send("DEL", id, [], options);
    if (typeof reply !== "number") throw unexpected();
  }

  /** Deletes a record if the key still holds `expected`, atomically. */
  async deleteIfSame(id: string, expected: Stored, options?: CallOptions): Promise<void> {
    const reply = await this.#send("EVAL", id, [expected], options, DELETE_IF_SAME);
    if (typeof reply !== "number") throw unexpected();
  }

  /** Counts keys by SCAN. Approximate while writes go on. */
  async count({ signal }: CallOptions = {}): Promise<number> {
    let count = 0;
    let cursor: string | undefined;
    do {
      const page: IdPage = await this.#scan({ signal, cursor, limit: COUNT_PAGE });
      count += page.ids.length;
      cursor = page.cursor;
    } while (cursor !== undefined);
    return count;
  }

  async page({ cursor, limit, signal }: PageOptions = {}): Promise<RecordPage<T>> {
    const { ids, ...rest } = await this.#scan({ cursor, signal, limit: pageLimit(limit) });
    // One wait for all: each wait listens to the caller's signal, and Node 20 warns of more than ten listeners.
    const found = await this.#connection.within(
      () => Promise.all(ids.map((id) => this.#peek(id))),
      { signal },
    );
    const unreadable = found.filter((record) => record instanceof CorruptRecordError);
    return {
      ...rest,
      ...(unreadable.length > 0 && { unreadable }),
      records: found.flatMap((record) =>
        record === undefined || record instanceof CorruptRecordError ? [] : [record.value],
      ),
    };
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  /** One step of SCAN, over each server in turn. The cursor names the server and its own cursor. */
  async #scan({ cursor, limit, signal }: PageOptions & { limit: number }): Promise<IdPage> {
    const { keyPrefix } = this.#settings;
    const holders = await this.#connection.keyHolders({ signal });
    const [holder, at] = readCursor(cursor, holders);
    const args = [at, "MATCH", `${escapeGlob(keyPrefix)}*`, "COUNT", limit];
    const options = { signal, repeatable: true };
    const reply = await this.#connection.commandTo(holder, "SCAN", args, options);
    const [next, found] = readScanReply(reply);
    const ids = [...new Set(found)].map((key) => this.#idOf(key)).filter(isReachable);
    if (next !== "0") return { ids, cursor: `${next}@${holder}` };
    const following = holders[holders.indexOf(holder) + 1];
    return following === undefined ? { ids } : { ids, cursor: `0@${following}` };
  }

  /** Reads a record without extending its life. Returns the error of one that cannot be read: the page goes on. */
  async #peek(id: string): Promise<{ readonly value: T } | CorruptRecordError | undefined> {
    try {
      return await this.#read("GET", id, [], undefined);
    } catch (error) {
      if (error instanceof CorruptRecordError) return error;
      throw error;
    }
  }

  async #read(
    command: "GET" | "GETEX" | "EVAL",
    id: string,
    args: readonly (string | number)[],
    signal: AbortSignal | undefined,
    script?: string,
  ): Promise<{ readonly value: T } | undefined> {
    // Touching twice does no more than touching once.
    const options = { signal, repeatable: true, bytes: true };
    const reply = await this.#send(command, id, args, options, script);
    if (reply === null) return undefined;
    if (!(reply instanceof Uint8Array)) throw unexpected();
    // The client returns bytes as a Buffer.
    const bytes = reply as Buffer;
    const text = bytes.toString();
    const stored = text.includes("\ufffd") ? bytes : text;
    const key = this.#key(id);
    return { value: this.#decode(text, this.#idOf(key), this.#nameOf(key), stored) };
  }

  /** Sends a command for one record, with a script before its key if the command is EVAL. */
  async #send(
    command: string,
    id: string,
    args: readonly (Stored | number)[],
    options: RedisCallOptions = {},
    script?: string,
  ): Promise<unknown> {
    const key = this.#key(id);
    const before = script === undefined ? [] : [script, 1];
    try {
      return await this.#connection.command(command, [...before, key, ...args], options);
    } catch (error) {
      // The key holds a value of another type: the record cannot be read, but Redis has not failed.
      if (!(error instanceof RedisFailure && error.reply === "WRONGTYPE")) throw error;
      throw new CorruptRecordError(`${this.#nameOf(key)}: ${error.message}`);
    }
  }

  #nameOf(key: string): string {
    return `session ${this.#idOf(key)} under key ${key}`;
  }

  /** Refuses an id with `:`: it could name a session of another server, whose prefix is longer. */
  #key(id: string): string {
    const stored = storedId(id);
    if (!stored.includes(":")) return this.#settings.keyPrefix + stored;
    throw new InvalidSessionIdError("A session id in Redis must not hold ':'.");
  }

  #idOf(key: string): string {
    return key.slice(this.#settings.keyPrefix.length);
  }
}

/** Redis gives no such reply, so something in between did. Redis may have carried the command out. */
function unexpected(): RedisFailure {
  return new RedisFailure("lost", "Redis answered with what is no answer to the command.");
}

/** Keys that one SCAN looks at while counting: it blocks the server for some milliseconds. */
const COUNT_PAGE = 1000;

/** A cursor of SCAN has 64 bits. */
const LAST_SCAN_CURSOR = 2n ** 64n - 1n;

/** Whether a call can ask for the id. It cannot if the key has a longer prefix, or a UUID in another form. */
function isReachable(id: string): boolean {
  return id !== "" && !id.includes(":") && storedId(id) === id;
}

/** As go-redis writes a TTL: `EX` with whole seconds, else `PX` with milliseconds. */
function expiryArguments(ttlMs: number): readonly [string, number] {
  if (ttlMs >= 1000 && ttlMs % 1000 === 0) return ["EX", ttlMs / 1000];
  return ["PX", Math.max(1, Math.trunc(ttlMs))];
}

interface IdPage {
  readonly ids: readonly string[];
  readonly cursor?: string;
}

function readCursor(cursor: string | undefined, holders: readonly string[]): [string, string] {
  const first = holders[0];
  if (first === undefined) throw new UnavailableError("The Redis cluster has no masters.");
  if (cursor === undefined) return [first, "0"];
  const match = /^(\d{1,20})@(.*)$/.exec(cursor);
  const [, at, holder] = match ?? [];
  if (at === undefined || holder === undefined || BigInt(at) > LAST_SCAN_CURSOR) throw badCursor();
  if (!holders.includes(holder)) throw badCursor();
  return [holder, at];
}

function readScanReply(reply: unknown): [string, string[]] {
  if (Array.isArray(reply) && Array.isArray(reply[1]))
    return [String(reply[0]), reply[1].map(String)];
  throw new UnavailableError("A node of the Redis cluster has left.");
}

/** Escapes a prefix for MATCH, which takes a pattern. */
function escapeGlob(text: string): string {
  return text.replace(/[*?[\]\\]/g, "\\$&");
}
