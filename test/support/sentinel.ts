import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { redisCli } from "./redis-cli.ts";
import { freePort, startRedis } from "./redis-server.ts";
import type { RedisServer } from "./redis-server.ts";

export const MASTER_NAME = "holdfast-test";

export interface SentinelSetup {
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: readonly RedisServer[];
  stop(): Promise<void>;
}

/** A master with a replica, and three Sentinels that have found both and one another. */
export async function startSentinels(): Promise<SentinelSetup> {
  const master = await startRedis();
  // The replica asks for what it missed at once, and not after the default of a minute.
  const replica = await startRedis({
    args: ["--replicaof", "127.0.0.1", String(master.port), "--repl-diskless-sync-delay", "0"],
  });
  const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(master)));
  await Promise.all(sentinels.map(waitForOthers));
  return {
    master,
    replica,
    sentinels,
    async stop() {
      await Promise.all([...sentinels, replica, master].map((server) => server.stop()));
    },
  };
}

async function startSentinel(master: RedisServer): Promise<RedisServer> {
  const port = await freePort();
  const config = [
    `port ${port}`,
    "bind 127.0.0.1",
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${master.port} 2`,
    `sentinel down-after-milliseconds ${MASTER_NAME} 500`,
    `sentinel failover-timeout ${MASTER_NAME} 3000`,
  ].join("\n");
  return startRedis({
    port,
    sentinel: true,
    listen: () => [],
    prepare: (dir) => writeFileSync(join(dir, "sentinel.conf"), `${config}\n`),
  });
}

async function waitForOthers(sentinel: RedisServer): Promise<void> {
  for (;;) {
    const lines = (await redisCli(sentinel, "SENTINEL", "MASTER", MASTER_NAME)).split("\n");
    const value = (name: string) => lines[lines.indexOf(name) + 1];
    if (value("num-other-sentinels") === "2" && value("num-slaves") === "1") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
