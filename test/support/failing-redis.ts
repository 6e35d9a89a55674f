/** A Redis that fails, and what each call of a storage must do then. Importing it ends after each test what that test started. */
import { afterEach, expect } from "vitest";
import { ProxySession } from "../../src/session/proxy-session.ts";
import { RedisStorage } from "../../src/storage/redis.ts";
import { startRedis } from "./redis-server.ts";
import type { RedisServer, RedisServerOptions } from "./redis-server.ts";

export const TIMEOUTS = { dialTimeoutMs: 400, readTimeoutMs: 100, writeTimeoutMs: 100 };
/** All three, and what a busy machine adds. */
export const LONGEST_CALL_MS = 600 + 400;
export const UNAVAILABLE = { code: "unavailable", status: 503 };

/** Run after each test, the last first. */
export const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

export async function serve(options?: RedisServerOptions): Promise<RedisServer> {
  const server = await startRedis(options);
  cleanups.push(() => server.stop());
  return server;
}

export async function connect(
  { addr }: { addr: string },
  timeouts = TIMEOUTS,
): Promise<RedisStorage> {
  const storage = await RedisStorage.connect({
    addr,
    keyPrefix: "faults:",
    ttlMs: 60_000,
    ...timeouts,
  });
  cleanups.push(() => storage.close());
  return storage;
}

export const newSession = () => new ProxySession(crypto.randomUUID());

/** Calls until there is an answer: a connection on which the fault began may end only after it. */
export async function untilAnswered<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      expect(error).toMatchObject(UNAVAILABLE);
    }
  }
}

/** Every call of a storage, each of which must fail in time while Redis does. */
export async function expectEveryCallToFail(storage: RedisStorage, says?: RegExp): Promise<void> {
  const session = newSession();
  const calls = [
    () => storage.create(session),
    () => storage.store(session),
    () => storage.update(session),
    () => storage.load(session.id),
    () => storage.delete(session.id),
  ];
  for (const call of calls) {
    const started = performance.now();
    const failure: unknown = await call().catch((error: unknown) => error);
    expect(performance.now() - started).toBeLessThan(LONGEST_CALL_MS);
    expect(failure).toMatchObject(UNAVAILABLE);
    if (says) expect(String(failure)).toMatch(says);
  }
}
