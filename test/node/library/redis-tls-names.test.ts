/** The server's name in TLS (SNI), to servers whose front shows the right certificate to no other. */
import { writeFileSync } from "node:fs";
import dns from "node:dns";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ProxySession } from "../../../src/library/model/session.ts";
import type { RedisOptions } from "../../../src/library/storage/redis/config.ts";
import { RedisStorage } from "../../../src/library/storage/redis/storage.ts";
import { makeCertificates } from "../../support/certificates.ts";
import { startCluster } from "../../support/redis-cluster.ts";
import { startRedis } from "../../support/redis-server.ts";
import { atEnd, shared } from "../../support/scope.ts";
import { MASTER_NAME } from "../../support/sentinel.ts";
import { startTlsFront, type TlsFront } from "../../support/tls-front.ts";

const certified = shared(async () => {
  const certificates = await makeCertificates();
  atEnd(certificates.remove);
  return certificates;
});

async function frontOf(name: string, target = 0): Promise<TlsFront> {
  const front = await startTlsFront(await certified(), name);
  atEnd(() => front.close());
  front.target = target;
  return front;
}

type Lookup = (
  host: string,
  options: { all?: boolean },
  done: (...found: unknown[]) => void,
) => void;

/** Every name of the fronts is this machine. */
const toLoopback: Lookup = (_host, { all }, done) =>
  all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);

beforeEach(() => {
  vi.spyOn(dns, "lookup").mockImplementation(toLoopback as unknown as typeof dns.lookup);
});
afterEach(() => {
  vi.restoreAllMocks();
});

async function writeAndRead(servers: Pick<RedisOptions, "addr" | "sentinel" | "cluster">) {
  const { ca } = await certified();
  const tls = { caCert: ca };
  const options = { keyPrefix: "names:", ttlMs: 60_000, tls, ...servers };
  await using storage = await RedisStorage.connect(options);
  const sessions = Array.from({ length: 20 }, () => new ProxySession(crypto.randomUUID()));
  for (const session of sessions) await storage.store(session);
  for (const { id } of sessions) expect((await storage.load(id))?.id).toBe(id);
  expect(await storage.count()).toBeGreaterThanOrEqual(sessions.length);
}

const redis = shared(async () => {
  const server = await startRedis();
  atEnd(server.stop);
  return server;
});

describe("a server is named in TLS", () => {
  it("a single one", async () => {
    const front = await frontOf("single.test", (await redis()).port);
    await writeAndRead({ addr: front.addr });
    expect(front.named).toEqual(["single.test"]);
  });

  it("each Sentinel, and the master that they name", async () => {
    // A name that the Sentinel itself can resolve.
    const master = await frontOf("localhost", (await redis()).port);
    const { listen } = await certified();
    const [, , , , ...tlsFiles] = listen(0);
    const config = [
      "sentinel resolve-hostnames yes",
      "sentinel announce-hostnames yes",
      `sentinel monitor ${MASTER_NAME} localhost ${master.port} 1`,
    ];
    const sentinels = await Promise.all(
      ["sentinel-1.test", "sentinel-2.test"].map(async (name) => {
        const sentinel = await startRedis({
          sentinel: true,
          args: [...tlsFiles, "--tls-replication", "yes"],
          prepare: (dir) => writeFileSync(join(dir, "sentinel.conf"), `${config.join("\n")}\n`),
        });
        atEnd(sentinel.stop);
        return frontOf(name, sentinel.port);
      }),
    );
    for (const asked of [sentinels, sentinels.toReversed()]) {
      const addrs = asked.map(({ addr }) => addr);
      await writeAndRead({ sentinel: { masterName: MASTER_NAME, addrs } });
    }
    for (const { addr, named } of sentinels) {
      expect(named.length).toBeGreaterThan(0);
      expect(new Set(named)).toEqual(new Set([addr.split(":")[0]]));
    }
    // The Sentinels reach it too, and name nothing.
    expect(new Set(master.named.filter(Boolean))).toEqual(new Set(["localhost"]));
  });

  it("each node of a Cluster, given or found", async () => {
    const names = ["node-1.test", "node-2.test", "node-3.test"];
    const fronts = await Promise.all(names.map((name) => frontOf(name)));
    const cluster = await startCluster(undefined, (node) => [
      "--cluster-preferred-endpoint-type",
      "hostname",
      "--cluster-announce-hostname",
      names[node] ?? "",
      "--cluster-announce-port",
      String(fronts[node]?.port),
    ]);
    atEnd(() => cluster.stop());
    for (const [i, front] of fronts.entries()) front.target = cluster.nodes[i]?.port ?? 0;
    await writeAndRead({ cluster: fronts.slice(0, 1).map(({ addr }) => addr) });
    for (const [i, { named }] of fronts.entries())
      expect(new Set(named)).toEqual(new Set([names[i]]));
  });
});
