/** Getting in: users, passwords, certificates; and what a refusal says. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeSession } from "../../../src/library/model/codec.ts";
import { newSessionId, ProxySession } from "../../../src/library/model/session.ts";
import type { RedisOptions } from "../../../src/library/storage/redis/config.ts";
import { RedisStorage } from "../../../src/library/storage/redis/storage.ts";
import { SessionManager } from "../../../src/library/session-manager.ts";
import { makeCertificates, type Certificates } from "../../support/certificates.ts";
import { startRedis, type RedisServer } from "../../support/redis-server.ts";
import { writtenDuring } from "../../support/written.ts";

const PREFIX = "thv:proxy:session:";
const SECRET = "hunter2-very-secret";

type Access = Omit<RedisOptions, "keyPrefix" | "ttlMs">;

const connect = (options: Access, keyPrefix = PREFIX) =>
  RedisStorage.connect({ keyPrefix, ttlMs: 60_000, ...options });

async function roundTrip(options: Access): Promise<boolean> {
  const storage = await connect(options);
  try {
    const session = new ProxySession(crypto.randomUUID());
    await storage.store(session);
    return (await storage.load(session.id)) !== undefined;
  } finally {
    await storage.close();
  }
}

describe("users and passwords", () => {
  let acl: RedisServer;
  let password: RedisServer;
  beforeAll(async () => {
    const users = [
      `user alice on >${SECRET} ~${PREFIX}* +@all -info`,
      `user reader on >${SECRET} ~other:* +@all`,
      `user clerk on >${SECRET} ~${PREFIX}* +set +get +getex +del +scan +ping +eval`,
      `user toolhive on >${SECRET} ~${PREFIX}* +set +getex +del +ping`,
      "user default off",
    ].join("\n");
    const prepare = (dir: string) => writeFileSync(join(dir, "users.acl"), `${users}\n`);
    [acl, password] = await Promise.all([
      startRedis({ prepare, args: ["--aclfile", "users.acl"] }),
      startRedis({ args: ["--requirepass", SECRET] }),
    ]);
  });
  afterAll(async () => {
    await Promise.all([acl.stop(), password.stop()]);
  });

  it("an ACL user gets in, without the right to INFO", async () => {
    expect(await roundTrip({ addr: acl.addr, username: "alice", password: SECRET })).toBe(true);
  });

  it("an ACL user with the commands that the documentation names can do everything", async () => {
    const access = { addr: acl.addr, username: "clerk", password: SECRET };
    const storage = await connect(access, `${PREFIX}clerk:`);
    const manager = new SessionManager({ storage });
    const { id } = await manager.add(decodeSession(`{"id":"${newSessionId()}","type":"mcp"}`));
    expect(await manager.touch(id)).toBe(true);
    const session = await manager.getWithError(id);
    expect(await storage.update(session, { ifStill: session })).toBe(true);
    expect(await manager.count()).toBe(1);
    for await (const seen of manager.range()) expect(seen.id).toBe(id);
    await storage.delete(id, { ifStill: session });
    await manager.delete(id);
    await manager.stop();
  });

  it("an ACL user without EVAL can do what ToolHive does, and gets an error for the rest", async () => {
    const storage = await connect({ addr: acl.addr, username: "toolhive", password: SECRET });
    const manager = new SessionManager({ storage });
    const old = decodeSession(`{"id":"${newSessionId()}","type":"mcp"}`);
    await manager.add(old);
    expect((await manager.get(old.id))?.id).toBe(old.id);
    await expect(manager.touch(old.id)).rejects.toThrow(/NOPERM/);
    await manager.upsert(old);
    await manager.delete(old.id);
    await manager.stop();
  });

  it("a password alone gets in", async () => {
    expect(await roundTrip({ addr: password.addr, password: SECRET })).toBe(true);
  });

  it.each([
    ["a wrong password", () => ({ addr: password.addr, password: "wrong" }), /WRONGPASS/],
    [
      "a wrong password of a user",
      () => ({ addr: acl.addr, username: "alice", password: "wrong" }),
      /WRONGPASS/,
    ],
    [
      "a user that is not there",
      () => ({ addr: acl.addr, username: "bob", password: SECRET }),
      /WRONGPASS/,
    ],
    ["no password where one is asked for", () => ({ addr: password.addr }), /NOAUTH/],
    [
      "a key that the user may not use",
      () => ({ addr: acl.addr, username: "reader", password: SECRET }),
      /NOPERM/,
    ],
  ])("%s is refused with its own message", async (_name, options, says) => {
    await expect(roundTrip(options())).rejects.toThrow(says);
    await expect(roundTrip(options())).rejects.toMatchObject({ code: "unavailable", status: 503 });
  });

  it("secrets are in no error, no report and no log", async () => {
    const written = await writtenDuring(async (note) => {
      for (const options of [
        { addr: password.addr, password: `${SECRET}-but-wrong` },
        { addr: acl.addr, username: "alice", password: `${SECRET}-but-wrong` },
        { addr: acl.addr, username: "reader", password: SECRET },
        { addr: "127.0.0.1:1", password: SECRET },
      ]) {
        await roundTrip({ ...options, onConnectionProblem: note }).catch(note);
      }
    });
    expect(written.length).toBeGreaterThan(4);
    expect(inspect(written, { depth: Infinity, showHidden: true })).not.toContain(SECRET);
  });
});

describe("TLS", () => {
  let certificates: Certificates;
  let server: RedisServer;
  beforeAll(async () => {
    certificates = await makeCertificates();
    server = await startRedis({ listen: certificates.listen });
  });
  afterAll(async () => {
    await server.stop();
    await certificates.remove();
  });

  it("connects where the CA is the given one, as text or bytes", async () => {
    const { ca } = certificates;
    expect(await roundTrip({ addr: server.addr, tls: { caCert: ca } })).toBe(true);
    expect(await roundTrip({ addr: server.addr, tls: { caCert: Buffer.from(ca) } })).toBe(true);
  });

  it("refuses a certificate that the system does not trust", async () => {
    await expect(roundTrip({ addr: server.addr, tls: {} })).rejects.toThrow(
      /certificate.*not accepted/,
    );
  });

  it("refuses a certificate of another CA", async () => {
    const other = await makeCertificates();
    await other.remove();
    const options = { addr: server.addr, tls: { caCert: other.ca } };
    await expect(roundTrip(options)).rejects.toThrow(/certificate.*not accepted/);
  });

  it("refuses a certificate that names another host", async () => {
    const options = { addr: `localhost:${server.port}`, tls: { caCert: certificates.ca } };
    await expect(roundTrip(options)).rejects.toThrow(/ERR_TLS_CERT_ALTNAME_INVALID/);
  });

  it("skips verification only where that is asked for by name", async () => {
    const options = { addr: `localhost:${server.port}`, tls: { insecureSkipVerify: true } };
    expect(await roundTrip(options)).toBe(true);
  });

  it("fails without TLS at a port that wants it, and with TLS at one that does not", async () => {
    await expect(roundTrip({ addr: server.addr })).rejects.toMatchObject({ code: "unavailable" });
    const plain = await startRedis();
    const withTls = roundTrip({
      addr: plain.addr,
      tls: { insecureSkipVerify: true },
      dialTimeoutMs: 300,
    });
    await expect(withTls).rejects.toMatchObject({ code: "unavailable" });
    await plain.stop();
  });
});
