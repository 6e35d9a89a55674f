import { redisCli } from "./redis-cli.ts";
import { startRedis } from "./redis-server.ts";
import type { RedisServer } from "./redis-server.ts";

const SLOTS = 16_384;

export interface RedisCluster {
  readonly nodes: readonly RedisServer[];
  stop(): Promise<void>;
}

/** Three masters that share the slots, and agree that they do. */
export async function startCluster(): Promise<RedisCluster> {
  const args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
  const nodes = await Promise.all([0, 1, 2].map(() => startRedis({ args })));
  await Promise.all(
    nodes.map((node, i) => {
      const from = Math.ceil((i * SLOTS) / nodes.length);
      const to = Math.ceil(((i + 1) * SLOTS) / nodes.length);
      const slots = Array.from({ length: to - from }, (_, slot) => String(from + slot));
      return redisCli(node, "CLUSTER", "ADDSLOTS", ...slots);
    }),
  );
  const [first, ...others] = nodes;
  if (!first) throw new Error("a cluster needs nodes");
  // Nodes that join with the same epoch would argue about it first.
  await Promise.all(
    nodes.map((node, i) => redisCli(node, "CLUSTER", "SET-CONFIG-EPOCH", String(i + 1))),
  );
  for (const node of others)
    await redisCli(node, "CLUSTER", "MEET", "127.0.0.1", String(first.port));
  await Promise.all(nodes.map(waitUntilAgreed));
  return {
    nodes,
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

async function waitUntilAgreed(node: RedisServer): Promise<void> {
  for (;;) {
    const info = await redisCli(node, "CLUSTER", "INFO");
    if (/cluster_state:ok/.test(info) && /cluster_known_nodes:3/.test(info)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
