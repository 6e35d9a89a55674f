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

const REFUSALS: readonly [string, RedisOptions, RegExp][] = [
  ["no server", nowhere, /one of addr, sentinel and cluster is required/],
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
    const says = REFUSALS.map(([, options]) => {
      try {
        readRedisOptions(options, "node");
        return "";
      } catch (error) {
        return String(error);
      }
    });
    // A bad address and a bad TTL can be bad in more than one way.
    expect(new Set(says).size).toBe(says.length - 4);
  });

  it("names no secret", () => {
    const options = { ...base, addr: "redis://u:hunter2@h:6379", password: "hunter2" };
    expect(() => readRedisOptions(options)).toThrow(expect.not.stringContaining("hunter2"));
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
