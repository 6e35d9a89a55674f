/** A client that was handed in: its life and its settings stay its owner's. */
import { Redis } from "ioredis";
import { describe, expect, inject, it } from "vitest";
import { ProxySession } from "../../../src/library/model/session.ts";
import type { RedisOptions } from "../../../src/library/storage/redis/config.ts";
import { RedisDataStorage, RedisStorage } from "../../../src/library/storage/redis/storage.ts";
import { startAnsweringRelay } from "../../support/answering-relay.ts";
import { redisCli } from "../../support/redis-cli.ts";
import { startRedis } from "../../support/redis-server.ts";
import { atEnd } from "../../support/scope.ts";

const addr = inject("redisAddr");
const port = Number(addr.split(":")[1]);
const UNAVAILABLE = { code: "unavailable", status: 503 };
const newSession = () => new ProxySession(crypto.randomUUID());
const options = () => ({ keyPrefix: `owned:${crypto.randomUUID()}:`, ttlMs: 60_000 });

interface ClientOptions {
  readonly port?: number;
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
}

function clientOf(more: ClientOptions = {}): Redis {
  const client = new Redis({ port, host: "127.0.0.1", lazyConnect: true, ...more });
  atEnd(() => client.disconnect());
  return client;
}

const connect = (client: Redis, more: Partial<RedisOptions> = {}) =>
  RedisStorage.connect({ ...options(), client, ...more });

/** The client's options and listeners, as others see them: a storage must change and leave none. */
const traces = (client: Redis) => ({
  options: structuredClone(JSON.parse(JSON.stringify(client.options)) as unknown),
  listeners: client.eventNames().map((name) => [name, client.listenerCount(name)]),
});

describe("a client that was handed in", () => {
  it("is as it was when the storages over it are closed", async () => {
    const client = clientOf();
    client.on("error", () => {});
    const before = traces(client);
    const storage = await connect(client);
    const data = await RedisDataStorage.connect({ ...options(), client });
    const session = newSession();
    await storage.create(session);
    await data.create(session.id, { a: "1" });
    expect((await storage.load(session.id))?.id).toBe(session.id);
    await storage.close();
    await expect(storage.load(session.id)).rejects.toThrow("The Redis storage was closed.");
    expect(await data.load(session.id)).toEqual({ a: "1" });
    await data.close();
    expect(client.status).toBe("ready");
    expect(await client.ping()).toBe("PONG");
    expect(traces(client)).toEqual(before);
  });

  it("is used in its own database, with its own user", async () => {
    const server = await startRedis({ args: ["--user", "alice", "on", ">hunter2", "~*", "+@all"] });
    atEnd(server.stop);
    const client = clientOf({ port: server.port, username: "alice", password: "hunter2", db: 3 });
    await (await connect(client)).create(newSession());
    expect(await redisCli(server, "-n", "3", "DBSIZE")).toBe("1");
    expect(await redisCli(server, "ACL", "WHOAMI")).toBe("default");
    expect(await client.call("ACL", "WHOAMI")).toBe("alice");
  });

  it("that its owner has closed fails every call at once, and stays closed", async () => {
    const client = clientOf();
    const storage = await connect(client);
    await client.quit();
    await expect(storage.load(newSession().id)).rejects.toThrow("was closed by its owner");
    await expect(storage.count()).rejects.toMatchObject(UNAVAILABLE);
    await expect(connect(client)).rejects.toThrow("was closed by its owner");
    expect(client.status).toBe("end");
  });

  it("that cannot connect, or get in, is a failure within the time for it", async () => {
    const nowhere = clientOf({ port: 1 });
    const late = connect(nowhere, { dialTimeoutMs: 200 });
    await expect(late).rejects.toThrow(/No connection to Redis within 200 ms\..*ECONNREFUSED/);
    expect(nowhere.status).not.toBe("end");
    const server = await startRedis({ args: ["--requirepass", "hunter2"] });
    atEnd(server.stop);
    const wrong = connect(clientOf({ port: server.port, password: "wrong" }));
    await expect(wrong).rejects.toThrow(/WRONGPASS/);
  });

  it("that sends a write again after a broken connection never makes the answer a wrong one", async () => {
    const relay = await startAnsweringRelay(port);
    atEnd(() => relay.close());
    const client = clientOf({ port: Number(relay.addr.split(":")[1]) });
    client.on("error", () => {});
    const storage = await connect(client);
    const session = newSession();
    const pass = relay.answering;
    relay.answering = (_answer, socket) => {
      relay.answering = pass;
      socket.destroy();
    };
    // Redis has made it; sent again, the command finds its own session.
    await expect(storage.create(session)).rejects.toMatchObject(UNAVAILABLE);
    expect((await storage.load(session.id))?.id).toBe(session.id);
  });
});
