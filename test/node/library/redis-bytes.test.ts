/** The keys, bytes, commands and lifetimes that Redis gets and holds. */
import { Socket } from "node:net";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { decodeSession } from "../../../src/library/model/codec.ts";
import { CorruptRecordError } from "../../../src/core/errors.ts";
import { ProxySession } from "../../../src/library/model/session.ts";
import { RedisDataStorage, RedisStorage } from "../../../src/library/storage/redis/storage.ts";
import { SessionManager } from "../../../src/library/session-manager.ts";
import { GOLDEN_RECORDS } from "../../fixtures/go-records.ts";
import { monitor } from "../../support/monitor.ts";
import { redisCli } from "../../support/redis-cli.ts";
import { startRedis, type RedisServer } from "../../support/redis-server.ts";

const PREFIX = "thv:proxy:session:";
const newId = () => crypto.randomUUID();
const connect = (ttlMs = 7_200_000) => RedisStorage.connect({ addr, keyPrefix: PREFIX, ttlMs });

/** A Redis of this file alone: MONITOR shows the commands of every client. */
let server: RedisServer;
let addr: string;
let storage: RedisStorage;
let raw: Redis;
beforeAll(async () => {
  server = await startRedis();
  ({ addr } = server);
  storage = await connect();
  raw = new Redis({ port: server.port });
});
afterAll(async () => {
  await storage.close();
  raw.disconnect();
  await server.stop();
});

describe("a record that redis-cli wrote in Go's bytes", () => {
  it("is loaded, touched and stored, and is the same but for updated_at", async () => {
    for (const { json } of GOLDEN_RECORDS) {
      const id = decodeSession(json).id.toLowerCase();
      const key = PREFIX + id;
      await redisCli(server, "SET", key, json);
      const session = await storage.load(id);
      if (!session) throw new Error("not found");
      await storage.store(session);
      expect(await redisCli(server, "GET", key)).toBe(json);
      session.touch();
      await storage.store(session);
      const written = await redisCli(server, "GET", key);
      expect(written).toBe(
        json.replace(/"updated_at":"[^"]*"/, `"updated_at":"${session.updatedAtText}"`),
      );
      expect(written).not.toBe(json);
      await redisCli(server, "SET", key, json);
      const touched = await storage.touch(id);
      expect(await redisCli(server, "GET", key)).toBe(
        json.replace(/"updated_at":"[^"]*"/, `"updated_at":"${touched?.updatedAtText}"`),
      );
      expect(touched?.updatedAt.getTime()).toBeGreaterThan(Date.now() - 60_000);
    }
  });

  it("is changed in one metadata value alone, besides updated_at", async () => {
    const id = newId();
    const json = `{"id":"${id}","type":"mcp","created_at":"2026-08-21T10:26:05.123456789Z","updated_at":"2026-08-21T10:26:05.123456789Z","data":{"z":1.0},"metadata":{"a":"1","b":"2"}}`;
    await redisCli(server, "SET", PREFIX + id, json);
    const session = await storage.load(id);
    if (!session) throw new Error("not found");
    session.setMetadata("b", "<3>");
    await storage.update(session);
    expect(await redisCli(server, "GET", PREFIX + id)).toBe(
      json
        .replace(/"updated_at":"[^"]*"/, `"updated_at":"${session.updatedAtText}"`)
        .replace('"b":"2"', String.raw`"b":"\u003c3\u003e"`),
    );
  });

  it("that cannot be read is an error naming session and key, and stays where it is", async () => {
    const id = newId();
    await raw.set(PREFIX + id, '{"metadata":{"k":7}}');
    const load = storage.load(id);
    await expect(load).rejects.toThrow(CorruptRecordError);
    await expect(load).rejects.toThrow(`session ${id} under key ${PREFIX}${id}: metadata key "k"`);
    expect(await raw.exists(PREFIX + id)).toBe(1);
    await raw.del(PREFIX + id);
  });
});

describe("the commands sent", () => {
  it("for whole sessions are ToolHive's, by MONITOR", async () => {
    const session = new ProxySession(newId(), "mcp", { clock: { now: () => 0 } });
    const key = PREFIX + session.id;
    const value = `{"id":"${session.id}","type":"mcp","created_at":"1970-01-01T00:00:00Z","updated_at":"1970-01-01T00:00:00Z"}`;
    const seen = await monitor(server, async () => {
      await storage.create(session);
      await storage.store(session);
      await storage.update(session);
      await storage.load(session.id);
      await storage.delete(session.id);
      await storage.deleteExpired(new Date());
    });
    expect(seen).toEqual([
      ["SET", key, value, "EX", "7200", "NX"],
      ["SET", key, value, "EX", "7200"],
      ["SET", key, value, "EX", "7200", "XX"],
      ["GETEX", key, "EX", "7200"],
      ["DEL", key],
    ]);
  });

  it("of a touch of a record in another layout are its load and its update, which make it ToolHive's", async () => {
    const id = newId();
    const head = `{"id":"${id}","type":"mcp","created_at":"2026-08-21T10:26:05Z"`;
    const time = '"updated_at":"2026-08-21T10:26:05';
    const layouts = [
      `{"type":"mcp","id":"${id}",${time}Z"}`,
      `${head},${time}+02:00"}`,
      // The last of a repeated name counts.
      `${head},${time}Z",${time}Z"}`,
    ];
    const sent = await monitor(server, async () => {
      for (const json of layouts) {
        await raw.set(PREFIX + id, json);
        const touched = await storage.touch(id);
        const written =
          /^{"id":"[^"]*","type":"mcp","created_at":"[^"]*","updated_at":"([^"]*Z)"}$/;
        const [, now] = written.exec((await raw.get(PREFIX + id)) ?? "") ?? [];
        expect(now).toBe(touched?.updatedAtText);
        expect(Date.parse(now ?? "")).toBeGreaterThan(Date.now() - 60_000);
      }
    });
    expect(sent.filter(([name]) => name === "EVAL")).toHaveLength(2 * layouts.length);
  });

  it("of a touch of a session of the future, or of none, change nothing but its life", async () => {
    const id = newId();
    const key = PREFIX + id;
    const json = `{"id":"${id}","type":"mcp","created_at":"2026-08-21T10:26:05Z","updated_at":"2999-01-01T00:00:00.5Z"}`;
    await raw.set(key, json, "EX", 10);
    expect((await storage.touch(id))?.updatedAtText).toBe("2999-01-01T00:00:00.5Z");
    expect(await raw.get(key)).toBe(json);
    expect(await raw.ttl(key)).toBeGreaterThan(7190);
    await raw.del(key);
    expect(await storage.touch(id)).toBeUndefined();
    expect(await raw.exists(key)).toBe(0);
  });

  it("of a touch of what is no session fail, and change nothing", async () => {
    const id = newId();
    await raw.rpush(PREFIX + id, "a list");
    await expect(storage.touch(id)).rejects.toThrow(CorruptRecordError);
    await raw.set(PREFIX + id, '{"metadata":{"k":7}}');
    await expect(storage.touch(id)).rejects.toThrow(`session ${id} under key ${PREFIX}${id}`);
    expect(await raw.get(PREFIX + id)).toBe('{"metadata":{"k":7}}');
  });

  it("of each call of the manager are one, so that it waits for one answer", async () => {
    const manager = new SessionManager({ storage: await connect() });
    const session = new ProxySession(newId(), "mcp", { clock: { now: () => 0 } });
    const sent = await monitor(server, async () => {
      await manager.add(session);
      await manager.get(session.id);
      await manager.upsert(session);
      await manager.touch(session.id);
      await manager.delete(session.id);
    });
    // The script of the touch itself sends GET and SET.
    const names = ["SET", "GETEX", "SET", "EVAL", "GET", "SET", "DEL"];
    expect(sent.map(([name]) => name)).toEqual(names);
    const key = PREFIX + session.id;
    const [, , stored, evaluated, , moved] = sent;
    const now = evaluated?.[4] ?? "";
    expect(evaluated?.toSpliced(1, 1)).toEqual(["EVAL", "1", key, now, "EX", "7200"]);
    const record = stored?.[2]?.replace(/"updated_at":"[^"]*"/, `"updated_at":"${now}Z"`);
    expect(moved).toEqual(["SET", key, record, "EX", "7200"]);
    await manager.stop();
  });

  it("in one turn of the event loop leave in one write", async () => {
    const one = vi.spyOn(Socket.prototype, "_write");
    const many = vi.spyOn(Socket.prototype, "_writev" as "_write");
    await Promise.all(Array.from({ length: 20 }, () => storage.load(newId())));
    expect([one.mock.calls.length, many.mock.calls.length]).toEqual([0, 1]);
    vi.restoreAllMocks();
  });

  it("with ifStill are a script of one key that says the same, by MONITOR", async () => {
    const id = newId();
    const key = PREFIX + id;
    const first = `{"id":"${id}","type":"mcp","created_at":"1970-01-01T00:00:00Z","updated_at":"1970-01-01T00:00:00Z"}`;
    const second = first.replace(/}$/, ',"metadata":{"a":"1"}}');
    await raw.set(key, first);
    const session = await storage.load(id);
    const script = expect.stringContaining("redis.call('GET', KEYS[1]) ~= ARGV[1]");
    const seen = await monitor(server, async () => {
      await storage.update(decodeSession(second), { ifStill: session });
      await storage.update(decodeSession(first), { ifStill: session });
      await storage.delete(id, { ifStill: session });
    });
    expect(seen).toEqual([
      ["EVAL", script, "1", key, first, second, "EX", "7200"],
      ["GET", key],
      ["SET", key, second, "EX", "7200"],
      ["EVAL", script, "1", key, first, first, "EX", "7200"],
      ["GET", key],
      ["EVAL", script, "1", key, first],
      ["GET", key],
    ]);
    expect(await raw.get(key)).toBe(second);
  });

  it("of a record in foreign bytes are compared with those bytes, not with ours", async () => {
    const id = newId();
    await raw.set(PREFIX + id, ` { "v" : 2, "ID" : "${id.toUpperCase()}" } `);
    const session = await storage.load(id);
    if (!session) throw new Error("not found");
    session.setMetadata("a", "<1>");
    expect(await storage.update(session, { ifStill: session })).toBe(true);
    expect(await raw.get(PREFIX + id)).toContain(String.raw`"metadata":{"a":"\u003c1\u003e"}`);
  });

  it("of a record that is no UTF-8 are compared with its bytes, which no text holds", async () => {
    const id = newId();
    const key = PREFIX + id;
    const record = `{"id":"${id}","type":"mcp","metadata":{"k":"a?b"}}`;
    const bytes = Buffer.from(record);
    bytes[record.indexOf("?")] = 0xff;
    await raw.set(key, bytes);
    const manager = new SessionManager({ storage: await connect() });
    expect((await manager.get(id))?.getMetadataValue("k")).toBe("a\ufffdb");
    expect(await manager.touch(id)).toBe(true);
    expect(await raw.get(key)).toMatch(/"updated_at":"2.*"metadata":\{"k":"a\ufffdb"\}/);
    await raw.set(key, bytes);
    await storage.delete(id, { ifStill: await storage.load(id) });
    expect(await raw.exists(key)).toBe(0);
    await manager.stop();
  });

  it("for metadata are ToolHive's, by MONITOR", async () => {
    const keyPrefix = "thv:vmcp:session:";
    const data = await RedisDataStorage.connect({ addr, keyPrefix, ttlMs: 1_800_000 });
    const id = newId();
    const seen = await monitor(server, async () => {
      await data.create(id, null);
      await data.update(id, {
        "vmcp.identity.binding": "https://idp.example\0alice",
        "vmcp.backend.ids": "a,b",
      });
      await data.load(id);
      await data.delete(id);
    });
    await data.close();
    expect(seen).toEqual([
      ["SET", keyPrefix + id, "{}", "EX", "1800", "NX"],
      [
        "SET",
        keyPrefix + id,
        String.raw`{"vmcp.backend.ids":"a,b","vmcp.identity.binding":"https://idp.example\u0000alice"}`,
        "EX",
        "1800",
        "XX",
      ],
      ["GETEX", keyPrefix + id, "EX", "1800"],
      ["DEL", keyPrefix + id],
    ]);
  });

  it.each([
    [500, ["PX", "500"]],
    [1500, ["PX", "1500"]],
    [1000, ["EX", "1"]],
    [0.4, ["PX", "1"]],
  ])("with a TTL of %s ms say %s", async (ttlMs, expiry) => {
    const storage = await connect(ttlMs);
    const id = newId();
    const seen = await monitor(server, () => storage.load(id));
    await storage.close();
    expect(seen).toEqual([["GETEX", PREFIX + id, ...expiry]]);
  });

  it("that count and range are bounded SCANs, never KEYS, and extend no life", async () => {
    const storage = await RedisStorage.connect({ addr, keyPrefix: "scan:test:", ttlMs: 60_000 });
    for (let i = 0; i < 30; i++) await storage.store(new ProxySession(newId()));
    const seen = await monitor(server, async () => {
      expect(await storage.count()).toBe(30);
      for await (const session of storage.range({ pageSize: 10 })) expect(session.type).toBe("mcp");
    });
    await storage.close();
    const names = new Set(seen.map(([name]) => name));
    expect(names).toEqual(new Set(["SCAN", "GET"]));
    for (const args of seen) {
      if (args[0] === "SCAN")
        expect(args.slice(2)).toEqual([
          "MATCH",
          "scan:test:*",
          "COUNT",
          expect.stringMatching(/^(10|1000)$/),
        ]);
    }
  });
});

describe("keys and lifetimes", () => {
  it("the key is prefix and id", async () => {
    const id = newId();
    await storage.store(new ProxySession(id.toUpperCase()));
    expect(await raw.exists(PREFIX + id)).toBe(1);
  });

  it("an id that could reach into a longer prefix is refused", async () => {
    await expect(storage.load("other:key")).rejects.toMatchObject({ code: "invalid_session_id" });
  });

  it("sessions under a longer prefix are neither counted nor listed", async () => {
    const short = await RedisStorage.connect({ addr, keyPrefix: "nest:", ttlMs: 60_000 });
    const long = await RedisStorage.connect({ addr, keyPrefix: "nest:inner:", ttlMs: 60_000 });
    await long.store(new ProxySession(newId()));
    expect([await short.count(), await long.count()]).toEqual([0, 1]);
    await Promise.all([short.close(), long.close()]);
  });

  it("store and load slide the TTL in Redis itself", async () => {
    const session = new ProxySession(newId());
    const key = PREFIX + session.id;
    const ttlAfter = async (act: () => Promise<unknown>) => {
      await raw.expire(key, 10);
      await act();
      return raw.ttl(key);
    };
    await storage.store(session);
    expect(await ttlAfter(() => storage.load(session.id))).toBeGreaterThan(7190);
    expect(await ttlAfter(() => storage.store(session))).toBeGreaterThan(7190);
    expect(await ttlAfter(() => storage.page({ limit: 1000 }))).toBeLessThanOrEqual(10);
  });

  it("a session expires in Redis itself when nobody uses it", async () => {
    const storage = await connect(40);
    const session = new ProxySession(newId());
    await storage.store(session);
    while ((await raw.exists(PREFIX + session.id)) === 1) await raw.ping();
    expect(await storage.load(session.id)).toBeUndefined();
    await storage.close();
  });

  it("a database other than 0 holds sessions of its own, and one that is not there is refused", async () => {
    const id = newId();
    const other = await RedisStorage.connect({ addr, db: 3, keyPrefix: PREFIX, ttlMs: 60_000 });
    await other.store(new ProxySession(id));
    expect(await storage.load(id)).toBeUndefined();
    expect(await other.load(id)).toBeDefined();
    await other.close();
    const beyond = RedisStorage.connect({ addr, db: 99, keyPrefix: PREFIX, ttlMs: 60_000 });
    await expect(beyond).rejects.toMatchObject({ code: "unavailable" });
  });

  it("a closed storage fails, and says why", async () => {
    const closed = await connect();
    await closed.close();
    await expect(closed.load(newId())).rejects.toThrow(/was closed/);
  });
});

describe("two replicas over one Redis", () => {
  const managerOver = async () => new SessionManager({ storage: await connect() });

  it("that add the same id at once: one wins, the other is refused", async () => {
    const [one, two] = [await managerOver(), await managerOver()];
    for (let i = 0; i < 50; i++) {
      const id = newId();
      const tries = await Promise.allSettled([one.add(id), two.add(id)]);
      expect(tries.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    }
    await Promise.all([one.stop(), two.stop()]);
  });

  it("count and range over each other's sessions, and touch moves what the other reads", async () => {
    const prefix = `replicas:${newId()}:`;
    const open = () => RedisStorage.connect({ addr, keyPrefix: prefix, ttlMs: 60_000 });
    const one = new SessionManager({ storage: await open() });
    const two = new SessionManager({ storage: await open() });
    const session = decodeSession(`{"id":"${newId()}","type":"mcp"}`);
    await one.add(session);
    expect(await two.count()).toBe(1);
    for await (const seen of two.range()) expect(seen.id).toBe(session.id);
    expect(await two.touch(session.id)).toBe(true);
    const read = await one.get(session.id);
    expect(read?.updatedAt.getFullYear()).toBeGreaterThan(2025);
    expect(read?.createdAtText).toBe("0001-01-01T00:00:00Z");
    await Promise.all([one.stop(), two.stop()]);
  });

  it("an absolute lifetime ends a session in Redis too, whatever its use", async () => {
    let now = Date.now();
    const clock = { now: () => now, every: () => () => {} };
    const manager = new SessionManager({ storage: await connect(), maxLifetimeMs: 10_000, clock });
    const { id } = await manager.add(newId());
    now += 9_999;
    expect(await manager.get(id)).toBeDefined();
    now += 1;
    expect(await manager.get(id)).toBeUndefined();
    expect(await raw.exists(PREFIX + id)).toBe(0);
    await manager.stop();
  });
});
