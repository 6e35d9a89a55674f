/** Sentinels, master and replica that speak TLS alone and want passwords. */
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ProxySession } from "../../../src/library/model/session.ts";
import type { RedisOptions } from "../../../src/library/storage/redis/config.ts";
import { RedisStorage } from "../../../src/library/storage/redis/storage.ts";
import { makeCertificates, type Certificates } from "../../support/certificates.ts";
import { redisCli } from "../../support/redis-cli.ts";
import { MASTER_NAME, startSentinels, type SentinelSetup } from "../../support/sentinel.ts";
import { writtenDuring } from "../../support/written.ts";

const PREFIX = "thv:proxy:session:";
const REDIS_SECRET = "of-redis-hunter2";
const USER_SECRET = "of-alice-hunter2";
const SENTINEL_SECRET = "of-the-sentinels-hunter2";
const WATCHER_SECRET = "of-the-watcher-hunter2";

let certificates: Certificates;
let setup: SentinelSetup;
beforeAll(async () => {
  certificates = await makeCertificates();
  setup = await startSentinels({
    certificates,
    password: REDIS_SECRET,
    users: [
      `user alice on >${USER_SECRET} ~${PREFIX}* +@all`,
      `user clerk on >${USER_SECRET} ~${PREFIX}* +set +get +getex +del +scan +ping +eval`,
    ],
    sentinelPassword: SENTINEL_SECRET,
    sentinelUsers: [`user watcher on >${WATCHER_SECRET} ~* &* +@all`],
  });
});
afterAll(async () => {
  await setup.stop();
  await certificates.remove();
});

const newSession = () => new ProxySession(crypto.randomUUID());

type Access = Pick<RedisOptions, "username" | "password" | "tls"> & {
  readonly sentinel?: { readonly username?: string; readonly password?: string };
};

const rightful = (): Access => ({
  username: "alice",
  password: USER_SECRET,
  tls: { caCert: certificates.ca },
  sentinel: { username: "watcher", password: WATCHER_SECRET },
});

function connect({ sentinel, ...access }: Access): Promise<RedisStorage> {
  const addrs = setup.sentinels.map(({ addr }) => addr);
  return RedisStorage.connect({
    sentinel: { masterName: MASTER_NAME, addrs, ...sentinel },
    keyPrefix: PREFIX,
    ttlMs: 60_000,
    readTimeoutMs: 1500,
    writeTimeoutMs: 1500,
    ...access,
  });
}

describe("Sentinels with TLS and passwords", () => {
  it.each([
    ["ACL users, at Redis and at the Sentinels", () => rightful()],
    [
      "passwords alone, one for Redis and another for the Sentinels",
      () => ({
        password: REDIS_SECRET,
        sentinel: { password: SENTINEL_SECRET },
        tls: { caCert: certificates.ca },
      }),
    ],
    [
      "certificates unverified, where that is asked for by name",
      () => ({ ...rightful(), tls: { insecureSkipVerify: true } }),
    ],
  ])("let in %s", async (_name, access) => {
    const storage = await connect(access());
    const session = newSession();
    expect(await storage.create(session)).toBe(true);
    const key = PREFIX + session.id;
    expect(await redisCli(setup.master, ...setup.cli, "EXISTS", key)).toBe("1");
    expect((await storage.load(session.id))?.id).toBe(session.id);
    await storage.close();
  });

  it.each([
    ["a wrong password of Redis", () => ({ ...rightful(), password: "wrong" }), /WRONGPASS/],
    [
      "a wrong password of the Sentinels",
      () => ({ ...rightful(), sentinel: { username: "watcher", password: "wrong" } }),
      /No Sentinel names a master.*WRONGPASS/,
    ],
    [
      "no password where the Sentinels want one",
      () => ({ ...rightful(), sentinel: {} }),
      /No Sentinel names a master.*NOAUTH/,
    ],
    [
      "the password of Redis at the Sentinels",
      () => ({ ...rightful(), sentinel: { password: REDIS_SECRET } }),
      /No Sentinel names a master.*WRONGPASS/,
    ],
    [
      "a certificate that the system does not trust",
      () => ({ ...rightful(), tls: {} }),
      /No Sentinel names a master/,
    ],
    ["no TLS", () => ({ ...rightful(), tls: undefined }), /No Sentinel names a master/],
  ] satisfies [string, () => Access, RegExp][])(
    "refuse %s, and say so",
    async (_name, access, says) => {
      await expect(connect(access())).rejects.toThrow(says);
      await expect(connect(access())).rejects.toMatchObject({ code: "unavailable", status: 503 });
    },
  );

  it("let in an ACL user without INFO, of which the client warns", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const storage = await connect({ ...rightful(), username: "clerk" });
    expect(await storage.create(newSession())).toBe(true);
    expect(inspect(warn.mock.calls)).toMatch(/INFO command fails/);
    expect(inspect(warn.mock.calls)).not.toContain("hunter2");
    warn.mockRestore();
    await storage.close();
  });

  it("have their secrets in no error, no report and no log", async () => {
    const written = await writtenDuring(async (note) => {
      for (const access of [
        { ...rightful(), password: `${REDIS_SECRET}-but-wrong` },
        {
          ...rightful(),
          sentinel: { username: "watcher", password: `${SENTINEL_SECRET}-but-wrong` },
        },
      ]) {
        const options = { ...access, onConnectionProblem: note };
        await connect(options).catch(note);
      }
    });
    expect(written.length).toBeGreaterThan(1);
    expect(inspect(written, { depth: Infinity, showHidden: true })).not.toContain("hunter2");
  });

  // Last: it leaves the setup without its first master.
  it("fail over as others do: writes go on at the master that they name then", async () => {
    const storage = await connect(rightful());
    const kept = newSession();
    await storage.create(kept);
    expect(await redisCli(setup.master, ...setup.cli, "WAIT", "1", "5000")).toBe("1");
    await setup.master.kill();
    // How long the Sentinels take to agree is theirs, so the test bounds no time.
    const writes = async (): Promise<void> => {
      const written = await storage.create(newSession()).catch(() => false);
      if (!written) await writes();
    };
    await writes();
    expect((await storage.load(kept.id))?.id).toBe(kept.id);
    await storage.close();
  });
});
