/** Servers and proxies that refuse HELLO, in their own words, are spoken to in RESP2. */
import { connect as dial } from "node:net";
import { buffer } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { ProxySession } from "../../../src/library/model/session.ts";
import type { RedisOptions } from "../../../src/library/storage/redis/config.ts";
import { RedisStorage } from "../../../src/library/storage/redis/storage.ts";
import { HANG_UP, startRefusingProxy, type Refuse } from "../../support/refusing-proxy.ts";
import { startRedis } from "../../support/redis-server.ts";
import { atEnd, shared } from "../../support/scope.ts";

const SECRET = "hunter2-very-secret";

const closed = shared(async () => {
  const users = ["--user", "alice", "on", `>${SECRET}`, "~*", "+@all"];
  const server = await startRedis({ args: ["--requirepass", SECRET, ...users] });
  atEnd(server.stop);
  return server;
});

const open = shared(async () => {
  const server = await startRedis();
  atEnd(server.stop);
  return server;
});

async function proxyOf({ port }: { port: number }, refuse: Refuse) {
  const proxy = await startRefusingProxy(port, refuse);
  atEnd(() => proxy.close());
  return proxy;
}

async function roundTrip(addr: string, options: Partial<RedisOptions>): Promise<boolean> {
  const given = { addr, keyPrefix: "hello:", ttlMs: 60_000, ...options };
  await using storage = await RedisStorage.connect(given);
  const session = new ProxySession(crypto.randomUUID());
  return (await storage.create(session)) && (await storage.load(session.id))?.id === session.id;
}

/** The server's answer to HELLO, before it hangs up or is left. */
async function answerToHello(port: number): Promise<string> {
  const socket = dial(port, "127.0.0.1");
  socket.write("*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
  socket.on("data", (data) => data.includes("\n") && socket.end());
  return (await buffer(socket)).toString();
}

/** The words of those who refuse it, as their sources have them. */
const REFUSALS = [
  ["Envoy", "unsupported command 'HELLO'"],
  ["Envoy that wants a password", "NOAUTH Authentication required."],
  ["twemproxy, which hangs up", HANG_UP],
  ["redis-cluster-proxy", "ERR unsupported command `hello`"],
  ["Codis", "ERR command 'HELLO' is not allowed"],
  ["the first Dragonfly", "NOPROTO unsupported protocol version"],
  ["a later Dragonfly", "ERR unknown command 'HELLO' with args beginning with: `3`"],
  [
    "a Redis that lets HELLO in with AUTH alone",
    "NOAUTH HELLO must be called with the client already authenticated",
  ],
] as const;

describe.each(REFUSALS)("%s", (_name, words) => {
  const refuseHello: Refuse = (command) => (command === "HELLO" ? words : undefined);

  it("is spoken to in RESP2, with a password, with a user and without either", async () => {
    const before = await proxyOf(await closed(), refuseHello);
    expect(await answerToHello(before.port)).toBe(words === HANG_UP ? "" : `-${words}\r\n`);
    expect(await roundTrip(before.addr, { password: SECRET })).toBe(true);
    expect(await roundTrip(before.addr, { username: "alice", password: SECRET, db: 2 })).toBe(true);
    const anyone = await proxyOf(await open(), refuseHello);
    expect(await roundTrip(anyone.addr, {})).toBe(true);
  });

  it("lets nobody in with a wrong password, or without one", async () => {
    const { addr } = await proxyOf(await closed(), refuseHello);
    const wrong = roundTrip(addr, { password: "wrong" });
    await expect(wrong).rejects.toThrow("Redis refused the user name or password (WRONGPASS).");
    const stranger = roundTrip(addr, { username: "bob", password: SECRET });
    await expect(stranger).rejects.toThrow(/WRONGPASS/);
    await expect(roundTrip(addr, {})).rejects.toThrow(/NOAUTH/);
  });
});

it("a proxy's own words for a wrong password are a wrong password", async () => {
  let isKnown = false;
  const { addr } = await proxyOf(await open(), (command, [password]) => {
    if (command !== "AUTH") return isKnown ? undefined : "NOAUTH Authentication required.";
    isKnown = password === SECRET;
    return isKnown ? undefined : "ERR invalid password";
  });
  const refused = roundTrip(addr, { password: "wrong" });
  await expect(refused).rejects.toThrow("Redis refused the user name or password (ERR).");
});
