/** The commands that a record becomes: their bounds, as go-redis and Redis have them. */
import type { Redis } from "ioredis";
import { expect, it } from "vitest";
import { StreamableSession } from "../../../../../src/library/model/session.ts";
import { RedisStorage } from "../../../../../src/library/storage/redis/storage.ts";

async function connected(ttlMs: number) {
  const sent: (readonly unknown[])[] = [];
  const call = async (name: string, ...args: readonly unknown[]) => {
    sent.push([name, ...args]);
    return { PING: "PONG", SCAN: ["0", []], SET: "OK" }[name];
  };
  const client = { status: "ready", options: {}, call, callBuffer: call, on() {}, off() {} };
  const storage = await RedisStorage.connect({
    client: client as unknown as Redis,
    keyPrefix: "x:",
    ttlMs,
  });
  sent.length = 0;
  return { storage, sent };
}

it.each([
  [999, "PX", 999],
  [1000, "EX", 1],
  [1500, "PX", 1500],
  [2000, "EX", 2],
])("a TTL of %i ms is written as go-redis does", async (ttlMs, unit, time) => {
  const { storage, sent } = await connected(ttlMs);
  await storage.store(new StreamableSession("0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55"));
  expect(sent[0]?.slice(-2)).toEqual([unit, time]);
});

it("a cursor of 64 bits is one of Redis's, and a larger one is not", async () => {
  const { storage, sent } = await connected(1000);
  const last = String(2n ** 64n - 1n);
  await storage.page({ cursor: `${last}@` });
  expect(sent[0]?.slice(0, 2)).toEqual(["SCAN", last]);
  await expect(storage.page({ cursor: `${2n ** 64n}@` })).rejects.toThrow("cursor");
  expect(sent).toHaveLength(1);
});
