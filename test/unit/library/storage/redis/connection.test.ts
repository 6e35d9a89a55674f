/** A call that waits for Redis, and whose caller waits no longer: it sends nothing any more. Time is faked. */
import { EventEmitter } from "node:events";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { readRedisOptions } from "../../../../../src/library/storage/redis/config.ts";
import { RedisConnection } from "../../../../../src/library/storage/redis/connection.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const TIMEOUTS = { dialTimeoutMs: 100, writeTimeoutMs: 50, readTimeoutMs: 50 };
const TIMEOUT_MS = 200;

/** A client as `ioredis` makes it, which notes what it sends. */
class Client extends EventEmitter {
  status = "ready";
  /** The connection takes commands. While it does not, the client may still count as ready. */
  isThere = true;
  readonly sent: string[] = [];

  call(name: string): Promise<string> {
    if (!this.isThere) {
      const problem = "Stream isn't writeable and enableOfflineQueue options is false";
      return Promise.reject(new Error(problem));
    }
    this.sent.push(name);
    return Promise.resolve("OK");
  }

  callBuffer(name: string): Promise<string> {
    return this.call(name);
  }
}

async function open() {
  const client = new Client();
  const options = { client, keyPrefix: "x:", ttlMs: 60_000, ...TIMEOUTS };
  const connection = await RedisConnection.open(readRedisOptions(options));
  expect(client.sent.splice(0)).toEqual(["PING"]);
  return { client, connection };
}

it("sends a command that could not be sent, while its caller waits", async () => {
  const { client, connection } = await open();
  client.isThere = false;
  const write = connection.command("SET", ["k", "v"]);
  await vi.advanceTimersByTimeAsync(TIMEOUT_MS - 20);
  client.isThere = true;
  await vi.advanceTimersByTimeAsync(10);
  expect([await write, client.sent]).toEqual(["OK", ["SET"]]);
});

it("sends no write after its caller was told that it was late", async () => {
  const { client, connection } = await open();
  client.isThere = false;
  const told = expect(connection.command("SET", ["k", "v"])).rejects.toMatchObject({ status: 503 });
  await vi.advanceTimersByTimeAsync(TIMEOUT_MS);
  await told;
  client.isThere = true;
  await vi.advanceTimersByTimeAsync(10 * TIMEOUT_MS);
  expect(client.sent).toEqual([]);
});

it("sends no write whose caller has left, once the client is connected again", async () => {
  const { client, connection } = await open();
  client.status = "reconnecting";
  const caller = new AbortController();
  const reason = new Error("the caller has left");
  const told = expect(
    connection.command("SET", ["k", "v"], { signal: caller.signal }),
  ).rejects.toBe(reason);
  const other = connection.command("GET", ["k"], { repeatable: true });
  caller.abort(reason);
  await told;
  client.status = "ready";
  client.emit("ready");
  expect([await other, client.sent]).toEqual(["OK", ["GET"]]);
});

it("sends nothing once the storage is closed", async () => {
  const { client, connection } = await open();
  client.isThere = false;
  const told = expect(connection.command("SET", ["k", "v"])).rejects.toThrow("was closed");
  await connection.close();
  client.isThere = true;
  await vi.advanceTimersByTimeAsync(TIMEOUT_MS);
  await told;
  expect(client.sent).toEqual([]);
});
