/** Redis that is full, read-only or loading, and answers that are none: failures, never "not found". */
import { describe, expect, it } from "vitest";
import { startAnsweringRelay, type Answering } from "../../support/answering-relay.ts";
import {
  UNAVAILABLE,
  cleanups,
  connect,
  connectForEveryCall,
  expectEveryCallToFail,
  newSession,
  serve,
  untilAnswered,
} from "../../support/failing-redis.ts";
import { redisCli } from "../../support/redis-cli.ts";
import { freePort } from "../../support/free-port.ts";

describe("a server that answers with an error", () => {
  it("OOM fails writes, and they go on once there is memory", async () => {
    const server = await serve();
    const storage = await connect(server);
    const session = newSession();
    await redisCli(server, "CONFIG", "SET", "maxmemory", "1");
    await expect(storage.store(session)).rejects.toThrow(/out of memory.*\(OOM\)/);
    await expect(storage.create(session)).rejects.toMatchObject(UNAVAILABLE);
    await redisCli(server, "CONFIG", "SET", "maxmemory", "0");
    await storage.store(session);
    expect(await storage.load(session.id)).toBeDefined();
  });

  it("READONLY fails writes and the reads that refresh, and they go on at the next master", async () => {
    const server = await serve();
    const storages = await connectForEveryCall(server);
    const storage = await connect(server);
    const session = newSession();
    await storage.store(session);
    await redisCli(server, "REPLICAOF", "127.0.0.1", String(await freePort()));
    await expectEveryCallToFail(storages, /READONLY|lost/);
    await expect(storage.load(session.id)).rejects.toThrow(/READONLY|lost/);
    await redisCli(server, "REPLICAOF", "NO", "ONE");
    expect(await untilAnswered(() => storage.load(session.id))).toBeDefined();
  });

  it("LOADING is a failure, never a miss, and passes", async () => {
    const server = await serve();
    // A server that loads answers when it gets round to it.
    const patient = { dialTimeoutMs: 3000, readTimeoutMs: 2000, writeTimeoutMs: 2000 };
    const storage = await connect(server, patient);
    const session = newSession();
    await storage.store(session);
    await redisCli(server, "EVAL", "for i = 1, 40000 do redis.call('SET', i, i) end", "0");
    await redisCli(server, "SAVE");
    await server.kill();
    // Loads each key in a millisecond, all in 40 s, and answers in between.
    const slowly = ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"];
    await server.restart(slowly, "listening");
    await expect(storage.load(session.id)).rejects.toThrow(/still loading.*\(LOADING\)/);
    await expect(storage.store(session)).rejects.toMatchObject(UNAVAILABLE);
    await expect(connect(server, patient)).rejects.toThrow(/still loading/);
    await redisCli(server, "CONFIG", "SET", "key-load-delay", "0");
    while ((await redisCli(server, "PING")) !== "PONG");
    expect(await storage.load(session.id)).toBeDefined();
  });

  it("NOAUTH, once a password is set, fails every call at once and says why", async () => {
    const server = await serve();
    const storages = await connectForEveryCall(server);
    const storage = await connect(server);
    await redisCli(server, "CONFIG", "SET", "requirepass", "later");
    await redisCli(
      server,
      "-a",
      "later",
      "--no-auth-warning",
      "CLIENT",
      "KILL",
      "TYPE",
      "normal",
      "SKIPME",
      "yes",
    );
    await expectEveryCallToFail(storages, /NOAUTH|lost/);
    await expect(storage.load(crypto.randomUUID())).rejects.toThrow(/NOAUTH/);
  });
});

describe("an answer", () => {
  it.concurrent.each([
    [
      // Half of a miss (`$-1`) says all of it.
      "cut off in the middle",
      (answer, client) => client.write(answer.subarray(0, answer.length >> 2), () => client.end()),
    ],
    ["half of which never comes", (answer, client) => client.write(answer.subarray(0, 1))],
    ["that is none of Redis's", (_, client) => client.write("HTTP/1.1 400 Bad Request\r\n\r\n")],
    ["to some other command", (_, client) => client.write("+QUEUED\r\n")],
  ] satisfies [string, Answering][])(
    "%s is a failure, and neither a miss nor a success",
    async (_name, answering) => {
      const server = await serve();
      const relay = await startAnsweringRelay(server.port);
      cleanups.push(() => relay.close());
      const storages = await connectForEveryCall(relay);
      relay.answering = answering;
      await expectEveryCallToFail(storages);
    },
  );
});
