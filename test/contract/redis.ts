import { describe, expect, it, vi } from "vitest";
import { CorruptRecordError } from "../../src/core/errors.ts";
import { ProxySession } from "../../src/library/model/session.ts";
import type { RedisOptions } from "../../src/library/storage/redis/config.ts";
import { RedisDataStorage, RedisStorage } from "../../src/library/storage/redis/storage.ts";
import { describeDataStorage } from "./data-storage-contract.ts";
import { describeStorage } from "./storage-contract.ts";

/** A client of the test's own, for what an adapter does not do. */
interface RawRedis {
  pttl(key: string): Promise<number>;
  pexpire(key: string, ms: number): Promise<number>;
  set(key: string, value: string): Promise<unknown>;
  rpush(key: string, value: string): Promise<unknown>;
}

/** The contracts on the Redis adapters, over real servers. */
export function describeRedisAdapters(
  name: string,
  servers: Pick<RedisOptions, "addr" | "sentinel" | "cluster" | "client">,
  raw: RawRedis,
): void {
  /** Redis's own clock cannot be moved, but the time that a key has left can. */
  const ageUnder = (keyPrefix: string) => async (id: string, ms: number) => {
    await raw.pexpire(keyPrefix + id, (await raw.pttl(keyPrefix + id)) - ms);
  };

  // A prefix of its own for each test, with all that is special in a MATCH pattern.
  const newOptions = (ttlMs: number): RedisOptions => {
    return { ...servers, ttlMs, keyPrefix: `contract:[*?]\\${crypto.randomUUID()}:` };
  };

  describeStorage(`RedisStorage, ${name}`, async (ttlMs) => {
    const options = newOptions(ttlMs);
    return { storage: await RedisStorage.connect(options), age: ageUnder(options.keyPrefix) };
  });

  describeDataStorage(`RedisDataStorage, ${name}`, async (ttlMs) => {
    const options = newOptions(ttlMs);
    return { storage: await RedisDataStorage.connect(options), age: ageUnder(options.keyPrefix) };
  });

  describe(`bad records and foreign keys in Redis, ${name}`, () => {
    const options = () => newOptions(60_000);
    const newId = () => crypto.randomUUID();

    /** Walks to the end, with what it gave and what it threw. */
    async function walk<T>(entries: AsyncIterable<T>): Promise<{ seen: T[]; error?: unknown }> {
      const seen: T[] = [];
      try {
        for await (const entry of entries) seen.push(entry);
        return { seen };
      } catch (error) {
        return { seen, error };
      }
    }

    it("a page listens to its caller's signal a few times, however much is in it, and ends with it", async () => {
      const storage = await RedisStorage.connect(options());
      const ids = Array.from({ length: 30 }, newId).toSorted();
      for (const id of ids) await storage.create(new ProxySession(id));
      const caller = new AbortController();
      const listened = vi.spyOn(caller.signal, "addEventListener");
      const { seen } = await walk(storage.range({ pageSize: 1000, signal: caller.signal }));
      expect(seen.map(({ id }) => id).toSorted()).toEqual(ids);
      expect(await storage.count({ signal: caller.signal })).toBe(ids.length);
      expect(listened.mock.calls.length).toBeLessThan(ids.length);
      const page = storage.page({ signal: caller.signal });
      caller.abort(new Error("the caller left"));
      await expect(page).rejects.toThrow("the caller left");
      await storage.close();
    });

    it("records that cannot be read keep nobody from the rest of a walk, and are named", async () => {
      const { keyPrefix, ...rest } = options();
      const storage = await RedisStorage.connect({ ...rest, keyPrefix });
      const good = Array.from({ length: 5 }, newId).toSorted();
      for (const id of good) await storage.create(new ProxySession(id));
      const [broken, list, empty, stranger] = [newId(), newId(), newId(), newId()];
      await raw.set(keyPrefix + broken, '{"id":');
      await raw.rpush(keyPrefix + list, "x");
      await raw.set(keyPrefix + empty, "{}");
      await raw.set(keyPrefix + stranger, `{"id":"${good[0]}","type":"mcp"}`);

      const told: Error[] = [];
      const onUnreadable = (error: Error) => told.push(error);
      const quiet = await walk(storage.range({ pageSize: 2, onUnreadable }));
      expect(quiet.error).toBeUndefined();
      expect(quiet.seen.map(({ id }) => id).toSorted()).toEqual(good);
      expect(told.map(({ message }) => message).toSorted()).toEqual(
        [
          `session ${broken} under key ${keyPrefix + broken}: the record is not valid JSON`,
          `session ${list} under key ${keyPrefix + list}: The key holds something other than a session (WRONGTYPE).`,
          `session ${empty} under key ${keyPrefix + empty}: the record has no id`,
          `session ${stranger} under key ${keyPrefix + stranger}: the record is that of another session`,
        ].toSorted(),
      );
      const loud = await walk(storage.range());
      expect(loud.seen.map(({ id }) => id).toSorted()).toEqual(good);
      expect(loud.error).toBeInstanceOf(CorruptRecordError);
      expect(String(loud.error)).toMatch(/under key .* \(and 3 more that cannot be read\)/);
      expect(await storage.count()).toBe(9);

      for (const id of [broken, list, empty, stranger]) {
        await expect(storage.load(id)).rejects.toThrow(CorruptRecordError);
        await expect(storage.load(id)).rejects.toThrow(`session ${id} under key ${keyPrefix}${id}`);
      }
      await storage.close();
    });

    it("metadata that cannot be read keeps nobody from the rest either", async () => {
      const { keyPrefix, ...rest } = options();
      const storage = await RedisDataStorage.connect({ ...rest, keyPrefix });
      const [good, broken, list] = [newId(), newId(), newId()];
      await storage.create(good, { a: "1" });
      await raw.set(keyPrefix + broken, '{"a":1}');
      await raw.rpush(keyPrefix + list, "x");
      const { seen, error } = await walk(storage.range());
      expect(seen).toEqual([{ id: good, metadata: { a: "1" } }]);
      expect(error).toBeInstanceOf(CorruptRecordError);
      await expect(storage.load(list)).rejects.toThrow(CorruptRecordError);
      await storage.close();
    });

    it("keys that no call can ask for are neither counted nor given", async () => {
      const { keyPrefix, ...rest } = options();
      const storage = await RedisStorage.connect({ ...rest, keyPrefix });
      const id = newId();
      for (const form of [id.toUpperCase(), `{${id}}`, id.replaceAll("-", ""), `more:${id}`, ""])
        await raw.set(keyPrefix + form, `{"id":"${id}","type":"mcp"}`);
      expect(await storage.count()).toBe(0);
      expect(await walk(storage.range())).toEqual({ seen: [] });
      expect(await storage.load(id.toUpperCase())).toBeUndefined();
      await storage.close();
    });
  });
}
