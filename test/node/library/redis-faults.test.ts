/**
 * Redis that is gone or silent. A call
 * ends within the timeouts with `UnavailableError`, and never with "not found".
 * No test here has a network that loses packets.
 */
import { describe, expect, it, vi } from "vitest";
import { SessionError } from "../../../src/core/errors.ts";
import { RedisDataStorage, RedisStorage } from "../../../src/library/storage/redis/storage.ts";
import { SessionManager } from "../../../src/library/session-manager.ts";
import {
  TIMEOUTS,
  UNAVAILABLE,
  cleanups,
  connect,
  connectForEveryCall,
  expectEveryCallToFail,
  expectToFail,
  newSession,
  serve,
  untilAnswered,
} from "../../support/failing-redis.ts";
import { redisCli } from "../../support/redis-cli.ts";
import { freePort } from "../../support/free-port.ts";
import { startSilentServer } from "../../support/silent-server.ts";

async function connectData({ addr }: { addr: string }): Promise<RedisDataStorage> {
  const options = { addr, keyPrefix: "data:", ttlMs: 60_000, ...TIMEOUTS };
  const storage = await RedisDataStorage.connect(options);
  cleanups.push(() => storage.close());
  return storage;
}

/** For a server from which nothing at all is expected. */
const SHORT = { dialTimeoutMs: 400, readTimeoutMs: 100, writeTimeoutMs: 100 };

describe("connecting", () => {
  it("to a port where nobody listens fails at once", async () => {
    const addr = `127.0.0.1:${await freePort()}`;
    await expect(connect({ addr })).rejects.toThrow(/cannot be reached \(ECONNREFUSED\)/);
  });

  it("to what accepts and never answers fails within the timeouts", async () => {
    const silent = await startSilentServer();
    cleanups.push(() => silent.close());
    await expectToFail(() => connect(silent, SHORT));
  });

  it("can be cancelled", async () => {
    const silent = await startSilentServer();
    cleanups.push(() => silent.close());
    const caller = new AbortController();
    const options = { addr: silent.addr, keyPrefix: "faults:", ttlMs: 1000, signal: caller.signal };
    const connecting = RedisStorage.connect(options);
    const reason = new Error("the caller has left");
    caller.abort(reason);
    await expect(connecting).rejects.toBe(reason);
  });
});

describe.concurrent("a server that stops answering", () => {
  it("fails every call within the timeouts, and is used again once it answers", async () => {
    const server = await serve();
    const storages = await connectForEveryCall(server);
    const session = newSession();
    for (const storage of storages) await storage.store(session);
    server.freeze();
    await expectEveryCallToFail(storages);
    server.thaw();
    for (const storage of storages)
      expect(await untilAnswered(() => storage.load(session.id))).toBeDefined();
  });

  it("fails what compares, counts and walks as well", async () => {
    const server = await serve();
    const storage = await connect(server);
    const data = await connectData(server);
    const session = newSession();
    await storage.store(session);
    const calls = [
      () => storage.update(session, { ifStill: session }),
      () => storage.delete(session.id, { ifStill: session }),
      () => storage.count(),
      () => storage.page(),
      () => storage.range()[Symbol.asyncIterator]().next(),
      () => data.count(),
      () => data.page(),
      () => data.range()[Symbol.asyncIterator]().next(),
    ];
    for (const end of [() => server.freeze(), () => server.kill()]) {
      await end();
      await Promise.all(calls.map(expectToFail));
    }
  });

  it("fails calls that came together, and none of them is a miss", async () => {
    const server = await serve();
    const storage = await connect(server);
    const manager = new SessionManager({ storage });
    server.freeze();
    const calls = Array.from({ length: 50 }, () => manager.get(crypto.randomUUID()));
    for (const { status } of await Promise.allSettled(calls)) expect(status).toBe("rejected");
    server.thaw();
    await manager.stop();
  });

  it("leaves a caller who has gone away at once", async () => {
    const server = await serve();
    const storage = await connect(server, { ...TIMEOUTS, readTimeoutMs: 10_000 });
    server.freeze();
    const caller = new AbortController();
    const call = storage.load(crypto.randomUUID(), { signal: caller.signal });
    const reason = new Error("the caller has left");
    caller.abort(reason);
    await expect(call).rejects.toBe(reason);
    server.thaw();
  });
});

describe("closing", () => {
  it("fails what is under way, and leaves no connection behind", async () => {
    const server = await serve();
    const storage = await connect(server);
    const calls = Array.from({ length: 10 }, () => storage.load(crypto.randomUUID()));
    await storage.close();
    for (const { status } of await Promise.allSettled(calls)) expect(status).toBe("rejected");
    await expect(storage.load(crypto.randomUUID())).rejects.toThrow(/was closed/);
    // redis-cli's own is the one that is left.
    const clients = () => redisCli(server, "CLIENT", "LIST");
    while ((await clients()).split("\n").length > 1);
  });

  it.concurrent("ends the wait of a call for a server that is away", async () => {
    const server = await serve();
    const storage = await connect(server);
    await server.kill();
    await expect(storage.load(crypto.randomUUID())).rejects.toMatchObject(UNAVAILABLE);
    const waiting = storage.load(crypto.randomUUID());
    await storage.close();
    await expect(waiting).rejects.toThrow(/was closed/);
  });
});

describe("a server that is killed", () => {
  it.concurrent("fails every call within the timeouts while it is away", async () => {
    const server = await serve();
    const storages = await connectForEveryCall(server);
    const data = await connectData(server);
    await server.kill();
    await Promise.all([
      // On a busy machine the time for an answer may be over before the refusal is read.
      expectEveryCallToFail(storages, /ECONNREFUSED|lost|in time/),
      expectToFail(() => data.load(crypto.randomUUID())),
      expectToFail(() => data.create(crypto.randomUUID())),
    ]);
  });

  it.concurrent("does not end the process of one whose onConnectionProblem throws", async () => {
    const server = await serve();
    const told: string[] = [];
    const storage = await RedisStorage.connect({
      addr: server.addr,
      keyPrefix: "faults:",
      ttlMs: 60_000,
      ...TIMEOUTS,
      onConnectionProblem: (problem) => {
        told.push(problem);
        throw new Error("no log today");
      },
    });
    cleanups.push(() => storage.close());
    await server.kill();
    await expect(storage.store(newSession())).rejects.toMatchObject(UNAVAILABLE);
    // On a busy machine the call's time may be over before the refusal is read.
    await vi.waitUntil(() => told.length > 0, { timeout: 30_000 });
    await server.restart();
    await untilAnswered(() => storage.store(newSession()));
  });

  it.concurrent("and started again later is found by the next call", async () => {
    const server = await serve({ args: ["--appendonly", "yes"] });
    const storage = await connect(server);
    const session = newSession();
    await storage.store(session);
    await server.kill();
    await expect(storage.load(session.id)).rejects.toMatchObject(UNAVAILABLE);
    await server.restart();
    expect(await storage.load(session.id)).toBeDefined();
  });

  it.concurrent("and comes back without the storage's database: no session goes to another one", async () => {
    const server = await serve();
    const storage = await RedisStorage.connect({
      addr: server.addr,
      db: 3,
      keyPrefix: "faults:",
      ttlMs: 60_000,
      ...TIMEOUTS,
    });
    cleanups.push(() => storage.close());
    await storage.store(newSession());
    await server.kill();
    await server.restart(["--databases", "2"]);
    // The first may meet the connection that was lost, and the second one that was refused its database.
    for (let n = 0; n < 2; n++) await expectToFail(() => storage.store(newSession()));
    expect(await redisCli(server, "DBSIZE")).toBe("0");
    await server.kill();
    await server.restart();
    await untilAnswered(() => storage.store(newSession()));
    const sizes = ["0", "3"].map((db) => redisCli(server, "-n", db, "DBSIZE"));
    expect(await Promise.all(sizes)).toEqual(["0", "1"]);
  });

  it.concurrent("carries out no write, once it is back, whose caller has left meanwhile", async () => {
    const server = await serve();
    const storage = await connect(server);
    await server.kill();
    await expectToFail(() => storage.store(newSession()));
    const caller = new AbortController();
    const session = newSession();
    const call = storage.store(session, { signal: caller.signal });
    const reason = new Error("the caller has left");
    caller.abort(reason);
    await expect(call).rejects.toBe(reason);
    await server.restart();
    await untilAnswered(() => storage.store(newSession()));
    expect(await redisCli(server, "EXISTS", `faults:${session.id}`)).toBe("0");
  });

  it("and started again in mid-traffic: every answer is right or a failure, and traffic goes on", async () => {
    const server = await serve({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const storage = await connect(server);
    const tally = { right: 0, failed: 0, wrong: [] as string[], rightSinceRestart: 0 };
    const phase = { going: true, restarted: false };

    /** Writes 1, 2, 3... and reads back; after a write that failed either value is right. */
    const client = async () => {
      const session = newSession();
      let certain = 0;
      let tried = 0;
      while (phase.going) {
        try {
          tried++;
          session.setMetadata("n", String(tried));
          await storage.store(session);
          certain = tried;
          const read = Number((await storage.load(session.id))?.getMetadataValue("n"));
          if (read !== certain) tally.wrong.push(`read ${read} after ${certain}`);
          tally.right++;
          if (phase.restarted) tally.rightSinceRestart++;
        } catch (error) {
          if (!(error instanceof SessionError && error.code === "unavailable")) throw error;
          tally.failed++;
          // Not known whether the write came through, but never less than what was answered.
          const read = await storage.load(session.id).catch(() => undefined);
          const value = Number(read?.getMetadataValue("n") ?? tried);
          if (value < certain) tally.wrong.push(`lost ${certain}: read ${value}`);
        }
      }
    };
    const clients = Promise.all(Array.from({ length: 8 }, client));
    const until = async (reached: () => boolean) => {
      while (!reached()) await new Promise((resolve) => setImmediate(resolve));
    };
    await until(() => tally.right >= 50);
    await server.kill();
    await server.restart();
    phase.restarted = true;
    await until(() => tally.rightSinceRestart >= 50);
    phase.going = false;
    await clients;
    expect(tally.wrong).toEqual([]);
  });

  it("does not hang a caller who tries again at once, for ever", async () => {
    const server = await serve();
    const storage = await connect(server);
    const killed = server.kill().then(() => server.restart());
    // The first call to succeed after one has failed ends it.
    const again = async (failed: boolean): Promise<void> => {
      const stored = await storage.store(newSession()).then(
        () => true,
        () => false,
      );
      if (!stored || !failed) return again(failed || !stored);
    };
    await expect(again(false)).resolves.toBeUndefined();
    await killed;
  });
});
