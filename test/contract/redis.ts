import type { RedisOptions } from "../../src/storage/redis-config.ts";
import { RedisDataStorage } from "../../src/storage/redis-data.ts";
import { RedisStorage } from "../../src/storage/redis.ts";
import { describeDataStorage } from "./data-storage-contract.ts";
import { describeStorage } from "./storage-contract.ts";

/** A client of the test's own, for what an adapter does not do. */
export interface RawRedis {
  pttl(key: string): Promise<number>;
  pexpire(key: string, ms: number): Promise<number>;
}

/** The contracts on the Redis adapters, over real servers. */
export function describeRedisAdapters(
  name: string,
  servers: Pick<RedisOptions, "addr" | "sentinel" | "cluster">,
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
}
