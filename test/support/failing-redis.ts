/** A Redis that fails, and what each call of a storage must do then. Importing it ends after a file's tests what they started. */
import { afterAll, expect } from "vitest";
import { ProxySession } from "../../src/library/model/session.ts";
import { RedisStorage } from "../../src/library/storage/redis/storage.ts";
import { startRedis, type RedisServer, type RedisServerOptions } from "./redis-server.ts";

/** Long enough for a busy machine, on which a process may stand still for a second. */
export const TIMEOUTS = { dialTimeoutMs: 3000, readTimeoutMs: 1000, writeTimeoutMs: 1000 };
/** All three and a margin for a busy machine, in milliseconds. A call that takes longer hangs. */
export const LONGEST_CALL_MS = 5000 + 10_000;
export const UNAVAILABLE = { code: "unavailable", status: 503 };

/** Run after all tests, the last first: those that wait for timeouts do so at the same time. */
export const cleanups: (() => unknown)[] = [];
afterAll(async () => {
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

/** One storage for each kind of call, so that all the waits of `expectEveryCallToFail` are at the same time. */
export const connectForEveryCall = (server: { addr: string }): Promise<RedisStorage[]> =>
  Promise.all(EVERY_CALL.map(() => connect(server)));

const EVERY_CALL = [
  (storage, session) => storage.create(session),
  (storage, session) => storage.store(session),
  (storage, session) => storage.update(session),
  (storage, session) => storage.load(session.id),
  (storage, session) => storage.delete(session.id),
] satisfies ((storage: RedisStorage, session: ProxySession) => Promise<unknown>)[];

/**
 * Every call of a storage, each of which must fail and not hang while Redis does:
 * once on the connection on which the fault began, and once after that.
 */
export async function expectEveryCallToFail(
  storages: readonly RedisStorage[],
  says = /./,
): Promise<void> {
  expect(storages).toHaveLength(EVERY_CALL.length);
  const failTwice = async (storage: RedisStorage, call: (typeof EVERY_CALL)[number]) => {
    const session = newSession();
    const first = await expectToFail(() => call(storage, session));
    const second = await expectToFail(() => call(storage, session));
    for (const failure of [first, second]) expect(String(failure)).toMatch(says);
  };
  await Promise.all(EVERY_CALL.map((call, n) => failTwice(storages[n]!, call)));
}

/** Answers the failure with which the call ended. */
export async function expectToFail(call: () => Promise<unknown>): Promise<unknown> {
  const started = performance.now();
  const failure: unknown = await call().catch((error: unknown) => error);
  expect(performance.now() - started).toBeLessThan(LONGEST_CALL_MS);
  expect(failure).toMatchObject(UNAVAILABLE);
  return failure;
}
