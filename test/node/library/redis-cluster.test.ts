/** The contracts over a Cluster of three, and what only a Cluster does. */
import { Cluster } from "ioredis";
import { afterAll, describe, expect, inject, it } from "vitest";
import { ProxySession } from "../../../src/library/model/session.ts";
import { RedisStorage } from "../../../src/library/storage/redis/storage.ts";
import { describeRedisAdapters } from "../../contract/redis.ts";
import { redisCli } from "../../support/redis-cli.ts";
import { startCluster } from "../../support/redis-cluster.ts";
import { startSilentServer } from "../../support/silent-server.ts";

const { nodes, stop } = await startCluster();
const [first, second, third] = nodes.map(({ addr }) => addr) as [string, string, string];
const raw = new Cluster([{ host: "127.0.0.1", port: nodes[0]?.port ?? 0 }]);
afterAll(async () => {
  raw.disconnect();
  await stop();
});

describeRedisAdapters("over a Cluster", { cluster: [first, second] }, raw);

describe("a Cluster", () => {
  const options = { keyPrefix: `cluster:${crypto.randomUUID()}:`, ttlMs: 60_000 };
  const timeouts = { dialTimeoutMs: 3000, readTimeoutMs: 300, writeTimeoutMs: 300 };
  const newSession = () => new ProxySession(crypto.randomUUID());

  it("spreads sessions over its nodes, and counts and lists them all", async () => {
    const storage = await RedisStorage.connect({ ...options, cluster: { addrs: [third] } });
    const sessions = Array.from({ length: 60 }, newSession);
    for (const session of sessions) await storage.create(session);
    const sizes = await Promise.all(nodes.map((node) => redisCli(node, "DBSIZE")));
    for (const size of sizes) expect(Number(size)).toBeGreaterThan(5);
    expect(await storage.count()).toBe(60);
    const seen = new Set<string>();
    for await (const { id } of storage.range({ pageSize: 7 })) seen.add(id);
    expect(seen).toEqual(new Set(sessions.map(({ id }) => id)));
    await storage.close();
  });

  it("is reached through a client that was handed in, at every node", async () => {
    const keyPrefix = `cluster:${crypto.randomUUID()}:`;
    {
      await using storage = await RedisStorage.connect({ ...options, keyPrefix, client: raw });
      const ids = Array.from({ length: 30 }, () => newSession()).map(({ id }) => id);
      for (const id of ids) expect(await storage.create(new ProxySession(id))).toBe(true);
      expect(await storage.count()).toBe(30);
      const seen: string[] = [];
      await storage.range(({ id }) => seen.push(id), { pageSize: 7 });
      expect(seen.toSorted()).toEqual(ids.toSorted());
    }
    expect(raw.status).toBe("ready");
  });

  it("refuses a cursor that names a node it has not", async () => {
    const storage = await RedisStorage.connect({ ...options, cluster: [first] });
    const page = storage.page({ cursor: "0@10.0.0.1:6379" });
    await expect(page).rejects.toMatchObject({ code: "invalid_request" });
    await storage.close();
  });

  it("is not found where none of the given nodes is one, or where the server is no cluster", async () => {
    const nowhere = RedisStorage.connect({ ...options, ...timeouts, cluster: ["127.0.0.1:1"] });
    await expect(nowhere).rejects.toMatchObject({ code: "unavailable" });
    const plain = RedisStorage.connect({ ...options, ...timeouts, cluster: [inject("redisAddr")] });
    await expect(plain).rejects.toMatchObject({ code: "unavailable" });
  });

  /** Many, since which node is asked first is chance. */
  const open = async (cluster: string[]) => {
    const opening = Array.from({ length: 12 }, () =>
      RedisStorage.connect({ ...options, dialTimeoutMs: 3000, cluster }),
    );
    for (const storage of await Promise.all(opening)) await storage.close();
  };

  it("is entered although one of the given nodes is silent", async () => {
    const silent = await startSilentServer();
    await expect(open([silent.addr, first])).resolves.toBeUndefined();
    silent.close();
  });

  // Last: it takes a node away.
  it("with a node killed fails its sessions as unavailable, never as absent, and can be entered", async () => {
    const storage = await RedisStorage.connect({
      ...options,
      ...timeouts,
      cluster: [first, second],
    });
    const sessions = Array.from({ length: 30 }, newSession);
    for (const session of sessions) await storage.create(session);
    await nodes[2]?.kill();
    const results = await Promise.all(
      sessions.map(({ id }) =>
        storage.load(id).then(
          (found) => (found ? "found" : "absent"),
          (error: unknown) => (error as { code: string }).code,
        ),
      ),
    );
    expect(new Set(results)).toEqual(new Set(["found", "unavailable"]));
    // Also for a process that starts now: what the others hold is not lost with that node.
    await open([first, second, third]);
    await nodes[2]?.restart();
    await storage.close();
  });
});
