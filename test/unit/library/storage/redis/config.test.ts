import { inspect } from "node:util";
import { Cluster, Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import {
  RedisConfigError,
  readRedisOptions,
  type RedisOptions,
} from "../../../../../src/library/storage/redis/config.ts";
import { RedisStorage } from "../../../../../src/library/storage/redis/storage.ts";

const PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const base: RedisOptions = {
  addr: "redis.example:6379",
  keyPrefix: "thv:proxy:session:",
  ttlMs: 7_200_000,
};
const sentinel = { masterName: "main", addrs: ["a:26379", "b:26379"] };
const { addr: _addr, ...nowhere } = base;
const client = new Redis({ lazyConnect: true });

function thrownBy(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error;
  }
}

const REFUSALS: readonly [string, RedisOptions, RegExp][] = [
  ["no server", nowhere, /one of addr, url, sentinel, cluster and client is required/],
  ["addr and sentinel", { ...base, sentinel }, /addr and sentinel exclude each other/],
  ["addr and cluster", { ...base, cluster: ["a:1"] }, /addr and cluster exclude each other/],
  [
    "sentinel and cluster",
    { ...nowhere, sentinel, cluster: ["a:1"] },
    /sentinel and cluster exclude/,
  ],
  ["an address without a port", { ...base, addr: "redis.example" }, /addr must be host:port/],
  ["a port that is none", { ...base, addr: "redis.example:70000" }, /addr must be host:port/],
  [
    "a URL, which could hold a password",
    { ...base, addr: "redis://u:hunter2@h:6379" },
    /addr must be host:port/,
  ],
  ["addr and url", { ...base, url: "redis://h" }, /addr and url exclude each other/],
  ["url and client", { ...nowhere, url: "redis://h", client }, /url and client exclude/],
  ["an empty URL", { ...nowhere, url: "" }, /one of addr, url/],
  ["a URL of another scheme", { ...nowhere, url: "http://h:6379" }, /url must be redis:/],
  ["a URL without a host", { ...nowhere, url: "redis:///0" }, /url must be redis:/],
  ["a URL with a port that is none", { ...nowhere, url: "redis://h:0" }, /url must be redis:/],
  ["a URL whose password needs encoding", { ...nowhere, url: "redis://:a/b@h" }, /url must be/],
  [
    "a URL with half an encoding",
    { ...nowhere, url: "redis://:a%b@h" },
    /a % that encodes nothing/,
  ],
  [
    "a URL with no number at its end",
    { ...nowhere, url: "redis://h/one" },
    /number of its database/,
  ],
  ["a URL with parameters", { ...nowhere, url: "redis://h?db=1" }, /url must have no parameters/],
  [
    "a URL with a user and no password",
    { ...nowhere, url: "redis://alice@h" },
    /username needs a password/,
  ],
  [
    "a password in the URL and beside it",
    { ...nowhere, url: "redis://:p@h", password: "p" },
    /url has a password already/,
  ],
  [
    "a user in the URL and beside it",
    { ...nowhere, url: "redis://u:p@h", username: "u" },
    /url has a username already/,
  ],
  [
    "a database in the URL and beside it",
    { ...nowhere, url: "redis://h/1", db: 1 },
    /url has a db already/,
  ],
  [
    "TLS beside a URL without",
    { ...nowhere, url: "redis://h", tls: {} },
    /tls needs a url of rediss/,
  ],
  [
    "what is no client",
    { ...nowhere, client: { ...client, call: "no" } as never },
    /client must be/,
  ],
  ["a client and a user", { ...nowhere, client, username: "u" }, /username is for its owner/],
  ["a client and a password", { ...nowhere, client, password: "p" }, /password is for its owner/],
  ["a client and a database", { ...nowhere, client, db: 1 }, /db is for its owner/],
  ["a client and TLS", { ...nowhere, client, tls: {} }, /tls is for its owner/],
  [
    "a client and a listener",
    { ...nowhere, client, onConnectionProblem: () => {} },
    /onConnectionProblem is for its owner/,
  ],
  [
    "a client with a prefix of its own",
    { ...nowhere, client: new Redis({ lazyConnect: true, keyPrefix: "app:" }) },
    /client must have no keyPrefix/,
  ],
  [
    "a client that answers numbers as texts",
    { ...nowhere, client: new Redis({ lazyConnect: true, stringNumbers: true }) },
    /client must not have stringNumbers/,
  ],
  [
    "a Cluster with a prefix of its own",
    {
      ...nowhere,
      client: new Cluster(["h:1"], { lazyConnect: true, redisOptions: { keyPrefix: "app:" } }),
    },
    /client must have no keyPrefix/,
  ],
  [
    "no master name",
    { ...nowhere, sentinel: { ...sentinel, masterName: "" } },
    /masterName is required/,
  ],
  [
    "no Sentinels",
    { ...nowhere, sentinel: { ...sentinel, addrs: [] } },
    /sentinel.addrs needs at least one/,
  ],
  [
    "a Sentinel user alone",
    { ...nowhere, sentinel: { ...sentinel, username: "u" } },
    /sentinel.username needs/,
  ],
  [
    "an empty Sentinel user",
    { ...nowhere, sentinel: { ...sentinel, username: "", password: "p" } },
    /sentinel.username must not be empty/,
  ],
  [
    "an empty Sentinel password",
    { ...nowhere, sentinel: { ...sentinel, password: "" } },
    /sentinel.password must not be empty/,
  ],
  ["no cluster nodes", { ...nowhere, cluster: [] }, /cluster needs at least one/],
  ["a database in a cluster", { ...nowhere, cluster: ["a:1"], db: 1 }, /db must be 0 in a cluster/],
  ["a database that is none", { ...base, db: -1 }, /db must be a whole number/],
  ["no key prefix", { ...base, keyPrefix: "" }, /keyPrefix is required/],
  ["a key prefix without a colon", { ...base, keyPrefix: "thv" }, /keyPrefix must end with ':'/],
  ["a TTL of zero", { ...base, ttlMs: 0 }, /ttlMs must be a positive/],
  ["a negative TTL", { ...base, ttlMs: -1 }, /ttlMs must be a positive/],
  ["a TTL that Redis cannot hold", { ...base, ttlMs: 1e21 }, /ttlMs must be .* at most/],
  ["a user without a password", { ...base, username: "alice" }, /username needs a password/],
  ["an empty user", { ...base, username: "", password: "p" }, /username must not be empty/],
  ["an empty password", { ...base, password: "" }, /password must not be empty/],
  ["a dial timeout of zero", { ...base, dialTimeoutMs: 0 }, /dialTimeoutMs must be a positive/],
  ["a negative read timeout", { ...base, readTimeoutMs: -1 }, /readTimeoutMs must be a positive/],
  [
    "a write timeout that never ends",
    { ...base, writeTimeoutMs: Infinity },
    /writeTimeoutMs must be/,
  ],
  [
    "a CA that is not PEM",
    { ...base, tls: { caCert: "MIIB" } },
    /caCert must be certificates in PEM/,
  ],
  [
    "a CA that is not checked",
    { ...base, tls: { caCert: PEM, insecureSkipVerify: true } },
    /caCert and tls.insecureSkipVerify exclude/,
  ],
];

describe("a Redis configuration is refused with its own message", () => {
  it.each(REFUSALS)("%s", async (_name, options, message) => {
    expect(() => readRedisOptions(options, "node")).toThrow(RedisConfigError);
    expect(() => readRedisOptions(options, "node")).toThrow(message);
    await expect(RedisStorage.connect(options)).rejects.toThrow(message);
  });

  it("has no two refusals with the same words", () => {
    const says = REFUSALS.map(([, options]) =>
      String(thrownBy(() => readRedisOptions(options, "node"))),
    );
    // An address, a URL, a TTL and a prefix can be bad in more than one way.
    expect(new Set(says).size).toBe(says.length - 10);
  });

  it("names no secret", () => {
    for (const options of [
      { ...base, addr: "redis://u:hunter2@h:6379", password: "hunter2" },
      { ...nowhere, url: "http://u:hunter2@h:6379" },
      { ...nowhere, url: "redis://u:hunter2@h:port" },
      { ...nowhere, url: "redis://u:hunter2/x@h" },
      { ...nowhere, url: "redis://u:hunter2%@h" },
      { ...nowhere, url: "redis://u:hunter2@h/zero" },
      { ...nowhere, url: "redis://u:hunter2@h?a=hunter2#hunter2" },
      { ...nowhere, url: "redis://u:hunter2@h", password: "hunter2" },
    ]) {
      const problem = thrownBy(() => readRedisOptions(options));
      expect(problem).toBeInstanceOf(RedisConfigError);
      expect(inspect(problem, { depth: Infinity, showHidden: true })).not.toContain("hunter2");
    }
  });

  it("an option that workerd cannot honour is refused there, never weakened", () => {
    const withCa = { ...base, tls: { caCert: PEM } };
    expect(() => readRedisOptions(withCa, "workerd")).toThrow(
      /caCert cannot be honoured in workerd/,
    );
    const unverified = { ...base, tls: { insecureSkipVerify: true } };
    expect(() => readRedisOptions(unverified, "workerd")).toThrow(/insecureSkipVerify cannot be/);
    expect(readRedisOptions({ ...base, tls: {} }, "workerd").tls).toEqual({
      ca: undefined,
      verify: true,
    });
  });
});

describe("a URL", () => {
  const read = (url: string, more: Partial<RedisOptions> = {}) =>
    readRedisOptions({ ...nowhere, url, ...more }, "node");

  it.each([
    ["redis://h", { host: "h", port: 6379 }, [undefined, undefined, 0]],
    ["redis://h:1/", { host: "h", port: 1 }, [undefined, undefined, 0]],
    ["REDIS://h:1/2", { host: "h", port: 1 }, [undefined, undefined, 2]],
    ["redis://:p@h", { host: "h", port: 6379 }, [undefined, "p", 0]],
    ["redis://:@h", { host: "h", port: 6379 }, [undefined, undefined, 0]],
    ["redis://u%3A:%2F%40%23%C3%A9@h/15", { host: "h", port: 6379 }, ["u:", "/@#é", 15]],
    ["redis://u:p@ss@h", { host: "h", port: 6379 }, ["u", "p@ss", 0]],
    ["redis://u:p@[::1]:7000/1", { host: "::1", port: 7000 }, ["u", "p", 1]],
    ["redis://[2001:db8::2]", { host: "2001:db8::2", port: 6379 }, [undefined, undefined, 0]],
  ])("%s is its address, user, password and database", (url, address, [username, password, db]) => {
    const topology = { kind: "standalone", address };
    expect(read(url)).toMatchObject({ topology, username, password, db, tls: undefined });
  });

  it("of rediss speaks TLS, as tls says beside it", () => {
    expect(read("rediss://h:1").tls).toEqual({ ca: undefined, verify: true });
    expect(read("rediss://h:1", { tls: { caCert: PEM } }).tls).toEqual({ ca: PEM, verify: true });
  });

  it("may leave the user, the password and the database to the options", () => {
    const more = { username: "u", password: "p", db: 3 };
    expect(read("redis://h", more)).toMatchObject(more);
    expect(read("redis://u@h", { password: "p" })).toMatchObject({ username: "u", password: "p" });
  });
});

describe("a Redis configuration", () => {
  it("has ToolHive's timeouts: 5, 3 and 3 s", () => {
    const { dialTimeoutMs, readTimeoutMs, writeTimeoutMs, db, tls } = readRedisOptions(base);
    expect([dialTimeoutMs, readTimeoutMs, writeTimeoutMs, db]).toEqual([5000, 3000, 3000, 0]);
    expect(tls).toBeUndefined();
  });

  it("verifies certificates unless skipping it is asked for by name", () => {
    expect(readRedisOptions({ ...base, tls: {} }).tls?.verify).toBe(true);
    expect(readRedisOptions({ ...base, tls: { insecureSkipVerify: false } }).tls?.verify).toBe(
      true,
    );
    expect(
      readRedisOptions({ ...base, tls: { insecureSkipVerify: true } }, "node").tls?.verify,
    ).toBe(false);
  });

  it("takes IPv6 addresses in brackets, and a cluster as a list or an object", () => {
    expect(readRedisOptions({ ...base, addr: "[::1]:6379" }).topology).toEqual({
      kind: "standalone",
      address: { host: "::1", port: 6379 },
    });
    const list = readRedisOptions({ ...nowhere, cluster: ["a:1", "b:2"] }).topology;
    expect(readRedisOptions({ ...nowhere, cluster: { addrs: ["a:1", "b:2"] } }).topology).toEqual(
      list,
    );
  });

  it("takes a CA as text or as bytes", () => {
    const bytes = new TextEncoder().encode(PEM);
    expect(readRedisOptions({ ...base, tls: { caCert: bytes } }, "node").tls?.ca).toBe(PEM);
  });
});
