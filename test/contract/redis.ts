import { Redis } from "ioredis";
import { afterAll } from "vitest";
import type { RedisOptions } from "../../src/storage/redis-config.ts";
import { RedisDataStorage } from "../../src/storage/redis-data.ts";
import { RedisStorage } from "../../src/storage/redis.ts";
import { describeDataStorage } from "./data-storage-contract.ts";
import { describeStorage } from "./storage-contract.ts";

/** The contracts on the Redis adapters, over a real server at `addr`. */
export function describeRedisAdapters(runtime: string, addr: string): void {
  const [host = "", port] = addr.split(":");
  const raw = new Redis({ host, port: Number(port), lazyConnect: true });
  afterAll(() => raw.disconnect());

  /** Redis's own clock cannot be moved, but the time that a key has left can. */
  const ageUnder = (keyPrefix: string) => async (id: string, ms: number) => {
    await raw.pexpire(keyPrefix + id, (await raw.pttl(keyPrefix + id)) - ms);
  };

  // A prefix of its own for each test, with all that is special in a MATCH pattern.
  const newOptions = (ttlMs: number): RedisOptions => {
    return { addr, ttlMs, keyPrefix: `contract:[*?]\\${crypto.randomUUID()}:` };
  };

  describeStorage(`RedisStorage in ${runtime}`, async (ttlMs) => {
    const options = newOptions(ttlMs);
    return { storage: await RedisStorage.connect(options), age: ageUnder(options.keyPrefix) };
  });

  describeDataStorage(`RedisDataStorage in ${runtime}`, async (ttlMs) => {
    const options = newOptions(ttlMs);
    return { storage: await RedisDataStorage.connect(options), age: ageUnder(options.keyPrefix) };
  });
}
