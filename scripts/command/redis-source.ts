/** ToolHive's records in Redis, as `holdfast import` reads them. It reads, and writes nothing: no record lives longer for it. */
import { CorruptRecordError } from "../../src/core/errors.ts";
import { parseSessionId } from "../../src/core/id.ts";
import { decodeMetadata, decodeRecord } from "../../src/library/model/codec.ts";
import { readRedisOptions, type RedisOptions } from "../../src/library/storage/redis/config.ts";
import { RedisConnection } from "../../src/library/storage/redis/connection.ts";
import { RedisFailure } from "../../src/library/storage/redis/failure.ts";

/** Keys that one SCAN looks at, and that are read at a time. */
const PAGE = 200;
/** The codec names a record so in its errors. The key that is printed beside it says which one it is. */
const RECORD = "record";

/** One record of Redis, or why there is no session in it. */
export type Found = { readonly key: string } & (
  | { readonly kind: "record"; readonly record: ImportedRecord }
  /** It is no session that the service could have. */
  | { readonly kind: "skipped"; readonly reason: string }
  /** It cannot be read. */
  | { readonly kind: "broken"; readonly cause: string }
);

export interface ImportedRecord {
  /** In canonical form. */
  readonly id: string;
  readonly type: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly dataJson?: string;
  /** When Redis would end it, in milliseconds since the epoch; undefined if it never would. */
  readonly endsAt: number | undefined;
}

export interface RedisSource {
  records(): AsyncGenerator<Found, void, undefined>;
  close(): Promise<void>;
}

/** Where the records are: whole sessions, or metadata maps (`thv:vmcp:session:`). */
export type SourceOptions = Omit<RedisOptions, "ttlMs"> & { readonly isMaps: boolean };

/** Throws a `RedisConfigError` for options that are wrong, and an `UnavailableError` if Redis is not there. */
export async function openSource({ isMaps, ...options }: SourceOptions): Promise<RedisSource> {
  // Nothing is stored, so the TTL has no meaning here.
  const settings = readRedisOptions({ ...options, ttlMs: 1000 });
  const { keyPrefix } = settings;
  const connection = await RedisConnection.open(settings, options.signal);
  const { signal } = options;

  async function* records(): AsyncGenerator<Found, void, undefined> {
    for (const holder of await connection.keyHolders({ signal })) {
      let cursor = "0";
      do {
        const pattern = `${keyPrefix.replace(/[*?[\]\\]/g, "\\$&")}*`;
        const args = [cursor, "MATCH", pattern, "COUNT", PAGE];
        const reply = await connection.commandTo(holder, "SCAN", args, {
          signal,
          repeatable: true,
        });
        const [next, keys] = scanned(reply);
        cursor = next;
        // One wait for all: each wait listens to the signal, and Node 20 warns of more than ten listeners.
        yield* await connection.within(() => Promise.all(keys.map(read)), { signal });
      } while (cursor !== "0");
    }
  }

  async function read(key: string): Promise<Found> {
    const id = parseSessionId(key.slice(keyPrefix.length));
    if (id === undefined) return { key, kind: "skipped", reason: "its key ends in no UUID" };
    try {
      const [bytes, ttl] = await Promise.all([
        connection.command("GET", [key], { repeatable: true, bytes: true }),
        connection.command("PTTL", [key], { repeatable: true }),
      ]);
      const isGone = bytes === null || ttl === -2;
      if (isGone) return { key, kind: "skipped", reason: "it has expired" };
      const text = (bytes as Buffer).toString();
      const endsAt = Number(ttl) < 0 ? undefined : Date.now() + Number(ttl);
      return { key, kind: "record", record: { ...recordIn(text, id), endsAt } };
    } catch (failure) {
      if (failure instanceof CorruptRecordError) {
        return { key, kind: "broken", cause: failure.message.replace(`${RECORD}: `, "") };
      }
      // A list, say: the record cannot be read, but Redis has not failed.
      if (failure instanceof RedisFailure && failure.reply === "WRONGTYPE") {
        return { key, kind: "broken", cause: failure.message };
      }
      throw failure;
    }
  }

  function recordIn(text: string, id: string): Omit<ImportedRecord, "endsAt"> {
    if (isMaps) return { id, type: "mcp", metadata: decodeMetadata(text, RECORD) };
    const { type, metadata, dataJson, ...record } = decodeRecord(text, RECORD);
    if (parseSessionId(record.id) !== id) {
      throw new CorruptRecordError("the record is that of another session");
    }
    // ToolHive's streamable sessions have no data, whatever the record says.
    const hasData = dataJson !== undefined && type !== "streamable";
    return { id, type, metadata, ...(hasData && { dataJson }) };
  }

  return { records, close: () => connection.close() };
}

/** The next cursor and the keys. A Cluster whose node has left gives no reply. */
function scanned(reply: unknown): readonly [string, readonly string[]] {
  if (Array.isArray(reply) && Array.isArray(reply[1])) {
    return [String(reply[0]), reply[1].map(String)];
  }
  throw new RedisFailure("lost", "A node of the Redis cluster has left.");
}
