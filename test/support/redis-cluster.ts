import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Certificates } from "./certificates.ts";
import { redisCli } from "./redis-cli.ts";
import { startRedis } from "./redis-server.ts";
import type { RedisServer } from "./redis-server.ts";

const SLOTS = 16_384;

export interface RedisCluster {
  readonly nodes: readonly RedisServer[];
  stop(): Promise<void>;
}

/** How the nodes are closed to others. */
interface ClusterAccess {
  /** They listen with TLS alone, and speak it to one another. */
  readonly certificates: Certificates;
  /** The default user's password. */
  readonly password: string;
  /** Further users, in the words of an ACL file. */
  readonly users: readonly string[];
}

/** Three masters that share the slots, and agree that they do. `argsOf` gives the further arguments of each. */
export async function startCluster(
  access?: ClusterAccess,
  argsOf: (node: number) => readonly string[] = () => [],
): Promise<RedisCluster> {
  const args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
  if (access) args.push("--aclfile", "users.acl", "--tls-cluster", "yes");
  const prepare = (dir: string) => {
    if (!access) return;
    const users = [`user default on >${access.password} ~* &* +@all`, ...access.users];
    writeFileSync(join(dir, "users.acl"), `${users.join("\n")}\n`);
  };
  const listen = access && { listen: access.certificates.listen };
  const nodes = await Promise.all(
    [0, 1, 2].map((node) => startRedis({ ...listen, prepare, args: [...args, ...argsOf(node)] })),
  );
  const cli = access
    ? ["--tls", "--cacert", access.certificates.caFile, "-a", access.password, "--no-auth-warning"]
    : [];
  const cluster = (node: RedisServer, ...words: string[]) =>
    redisCli(node, ...cli, "CLUSTER", ...words);
  await Promise.all(
    nodes.map((node, i) => {
      const from = Math.ceil((i * SLOTS) / nodes.length);
      const to = Math.ceil(((i + 1) * SLOTS) / nodes.length);
      const slots = Array.from({ length: to - from }, (_, slot) => String(from + slot));
      return cluster(node, "ADDSLOTS", ...slots);
    }),
  );
  const [first, ...others] = nodes;
  if (!first) throw new Error("a cluster needs nodes");
  // Nodes that join with the same epoch would argue about it first.
  await Promise.all(nodes.map((node, i) => cluster(node, "SET-CONFIG-EPOCH", String(i + 1))));
  for (const node of others) await cluster(node, "MEET", "127.0.0.1", String(first.port));
  await Promise.all(nodes.map((node) => waitUntilAgreed(() => cluster(node, "INFO"))));
  return {
    nodes,
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

async function waitUntilAgreed(ask: () => Promise<string>): Promise<void> {
  for (;;) {
    const info = await ask();
    if (/cluster_state:ok/.test(info) && /cluster_known_nodes:3/.test(info)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
