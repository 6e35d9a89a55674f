/** A master killed and failed over by Sentinels. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SessionError } from "../../../src/core/errors.ts";
import { ProxySession } from "../../../src/library/model/session.ts";
import type { RedisOptions } from "../../../src/library/storage/redis/config.ts";
import { RedisStorage } from "../../../src/library/storage/redis/storage.ts";
import { redisCli } from "../../support/redis-cli.ts";
import { freePort } from "../../support/free-port.ts";
import {
  MASTER_NAME,
  startSentinel,
  startSentinels,
  type SentinelSetup,
} from "../../support/sentinel.ts";
import { startSilentServer } from "../../support/silent-server.ts";

let setup: SentinelSetup;
beforeAll(async () => {
  setup = await startSentinels();
});
afterAll(() => setup.stop());

const connect = (
  addrs = setup.sentinels.map(({ addr }) => addr),
  options: Partial<RedisOptions> = {},
) =>
  RedisStorage.connect({
    sentinel: { masterName: MASTER_NAME, addrs },
    keyPrefix: "thv:proxy:session:",
    ttlMs: 60_000,
    dialTimeoutMs: 5000,
    readTimeoutMs: 1500,
    writeTimeoutMs: 1500,
    ...options,
  });

const newSession = () => new ProxySession(crypto.randomUUID());

describe("Sentinel", () => {
  it("names the master, also where the first of them is away", async () => {
    const [, , last] = setup.sentinels;
    const storage = await connect(["127.0.0.1:1", last?.addr ?? ""]);
    const session = newSession();
    expect(await storage.create(session)).toBe(true);
    expect(await redisCli(setup.master, "EXISTS", `thv:proxy:session:${session.id}`)).toBe("1");
    await storage.close();
  });

  it("that is silent leaves time for the next", async () => {
    const silent = await startSilentServer();
    const [, , last] = setup.sentinels;
    const storage = await connect([silent.addr, last?.addr ?? ""], {
      dialTimeoutMs: 6000,
      readTimeoutMs: 6000,
    });
    expect(await storage.create(newSession())).toBe(true);
    await storage.close();
    silent.close();
  });

  it("that still names a dead master keeps nobody from the next, who names the living", async () => {
    const behind = await startSentinel({ port: await freePort() });
    const [, , last] = setup.sentinels;
    const problems: string[] = [];
    const storage = await connect([behind.addr, last?.addr ?? ""], {
      onConnectionProblem: (problem) => void problems.push(problem),
    });
    expect(await storage.create(newSession())).toBe(true);
    // On a busy machine it may say more than that, of a Sentinel that was slow.
    expect(problems).toContain("Redis cannot be reached (ECONNREFUSED).");
    await storage.close();
    await behind.stop();
  });

  it("that names none but a dead master is refused in time, and of that master is said what is wrong", async () => {
    const behind = await startSentinel({ port: await freePort() });
    await expect(connect([behind.addr], { dialTimeoutMs: 3000 })).rejects.toThrow(
      "No connection to Redis within 3000 ms. Redis cannot be reached (ECONNREFUSED).",
    );
    await behind.stop();
  });

  it("that knows no such master, or is not there, is refused when connecting", async () => {
    const options = { keyPrefix: "p:", ttlMs: 1000 };
    const addrs = setup.sentinels.map(({ addr }) => addr);
    const unknown = RedisStorage.connect({ ...options, sentinel: { masterName: "other", addrs } });
    await expect(unknown).rejects.toThrow(/No Sentinel names a master/);
    const nowhere = { masterName: MASTER_NAME, addrs: ["127.0.0.1:1"] };
    const absent = RedisStorage.connect({ ...options, sentinel: nowhere });
    await expect(absent).rejects.toThrow(/No Sentinel names a master/);
  });

  // Last: it leaves the setup without its first master.
  it("fails over when the master is killed: writes go on, and no answer is wrong", async () => {
    const storage = await connect();
    const kept = Array.from({ length: 20 }, newSession);
    for (const session of kept) await storage.create(session);
    // Replication is asynchronous: what the replica does not have yet would be lost, whatever the client.
    expect(await redisCli(setup.master, "WAIT", "1", "5000")).toBe("1");

    const wrong: string[] = [];
    await setup.master.kill();
    // How long the Sentinels take to agree is theirs, so the test bounds no time.
    let wrote: string | undefined;
    while (wrote === undefined) {
      const session = newSession();
      try {
        if (await storage.create(session)) wrote = session.id;
        else wrong.push(`${session.id} exists already, says a create of it`);
      } catch (error) {
        if (!(error instanceof SessionError && error.status === 503)) throw error;
      }
      for (const { id } of kept.slice(0, 3)) {
        const absent = await storage.load(id).then(
          (found) => !found,
          () => false,
        );
        if (absent) wrong.push(`${id} is absent`);
      }
    }
    expect(await redisCli(setup.replica, "EXISTS", `thv:proxy:session:${wrote}`)).toBe("1");
    for (const { id } of kept) expect(await storage.load(id)).toBeDefined();
    expect(wrong).toEqual([]);
    await storage.close();
  });

  it("all of them away and back: calls fail meanwhile, and go on", async () => {
    const storage = await connect();
    await Promise.all(setup.sentinels.map((sentinel) => sentinel.kill()));
    await redisCli(setup.replica, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await expect(storage.store(newSession())).rejects.toMatchObject({ status: 503 });
    await Promise.all(setup.sentinels.map((sentinel) => sentinel.restart()));
    expect(await storage.create(newSession())).toBe(true);
    await storage.close();
  });
});
