/** A Cluster that speaks TLS alone and wants passwords. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ProxySession } from "../../../src/library/model/session.ts";
import type { RedisOptions } from "../../../src/library/storage/redis/config.ts";
import { RedisStorage } from "../../../src/library/storage/redis/storage.ts";
import { makeCertificates, type Certificates } from "../../support/certificates.ts";
import { startCluster, type RedisCluster } from "../../support/redis-cluster.ts";

const PREFIX = "thv:proxy:session:";
const SECRET = "of-the-cluster-hunter2";
const USER_SECRET = "of-alice-hunter2";

let certificates: Certificates;
let cluster: RedisCluster;
beforeAll(async () => {
  certificates = await makeCertificates();
  const commands = "+set +get +getex +del +scan +ping +eval +cluster";
  const users = [`user alice on >${USER_SECRET} ~${PREFIX}* ${commands}`];
  cluster = await startCluster({ certificates, password: SECRET, users });
});
afterAll(async () => {
  await cluster.stop();
  await certificates.remove();
});

type Access = Pick<RedisOptions, "username" | "password" | "tls">;

const connect = (access: Access) =>
  RedisStorage.connect({
    cluster: cluster.nodes.slice(0, 1).map(({ addr }) => addr),
    keyPrefix: `${PREFIX}${crypto.randomUUID()}:`,
    ttlMs: 60_000,
    // Half of the first is for a TLS handshake and the slots, also on a busy machine.
    dialTimeoutMs: 6000,
    readTimeoutMs: 1500,
    writeTimeoutMs: 1500,
    ...access,
  });

describe("a Cluster with TLS and passwords", () => {
  it.each([
    ["an ACL user with the commands that the documentation names", "alice", USER_SECRET],
    ["a password alone", undefined, SECRET],
  ])("lets in %s, at every node", async (_name, username, password) => {
    const tls = { caCert: certificates.ca };
    const storage = await connect({ tls, password, ...(username && { username }) });
    const sessions = Array.from({ length: 30 }, () => new ProxySession(crypto.randomUUID()));
    for (const session of sessions) {
      expect(await storage.create(session)).toBe(true);
      expect(await storage.update(session, { ifStill: session })).toBe(true);
    }
    expect(await storage.count()).toBe(30);
    for (const { id } of sessions) expect((await storage.load(id))?.id).toBe(id);
    await storage.close();
  });

  it.each([
    [
      "a wrong password",
      () => ({ password: "wrong", tls: { caCert: certificates.ca } }),
      /WRONGPASS/,
    ],
    ["no password", () => ({ tls: { caCert: certificates.ca } }), /NOAUTH/],
    [
      "a certificate that the system does not trust",
      () => ({ password: SECRET, tls: {} }),
      /connection to Redis was lost/,
    ],
    ["no TLS", () => ({ password: SECRET }), /connection to Redis was lost/],
  ] satisfies [string, () => Access, RegExp][])("refuses %s", async (_name, access, says) => {
    await expect(connect(access())).rejects.toThrow(says);
    await expect(connect(access())).rejects.toMatchObject({ code: "unavailable", status: 503 });
  });
});
