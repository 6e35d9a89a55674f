import { expect, it } from "vitest";
import { redisAt } from "../../../scripts/command/redis-address.ts";

const given = { isCluster: false, isInsecure: false, env: {} };
const none = { master: undefined, sentinelUser: undefined, caFile: undefined };
const at = (url: string, more: Partial<Parameters<typeof redisAt>[0]> = {}) =>
  redisAt({ ...none, ...given, url, ...more });

it("reads one server, with the default port, an IPv6 address, a database and a user", () => {
  expect(at("redis://redis.example")).toEqual({ addr: "redis.example:6379" });
  expect(at("redis://[::1]/3")).toEqual({ addr: "[::1]:6379", db: 3 });
  const env = { THV_SESSION_REDIS_PASSWORD: "of the environment" };
  expect(at("redis://ada@h:1", { env })).toEqual({
    addr: "h:1",
    username: "ada",
    password: "of the environment",
  });
  // The URL is the nearer word.
  expect(at("redis://ada:p%40ss@h:1", { env })).toMatchObject({ password: "p@ss" });
});

it("reads nodes of a Cluster, and Sentinels with credentials of their own", () => {
  expect(at("rediss://a,b:7000", { isCluster: true })).toEqual({
    cluster: ["a:6379", "b:7000"],
    tls: {},
  });
  const env = { THV_SESSION_REDIS_SENTINEL_PASSWORD: "s" };
  const asked = { master: "main", sentinelUser: "watcher", env };
  expect(at("redis://u:p@a,b:7000/2", asked)).toEqual({
    sentinel: {
      masterName: "main",
      addrs: ["a:26379", "b:7000"],
      username: "watcher",
      password: "s",
    },
    username: "u",
    password: "p",
    db: 2,
  });
});

it.each([
  ["redis://u:secret@", {}, /^--redis must be redis:/],
  ["redis://u:secret@h/db", {}, /^--redis must be redis:/],
  ["redis://u:secret@h?a=b", {}, /^--redis must be redis:/],
  ["redis://u:secret%@h", {}, /^--redis: its user or password has a %/],
  ["redis://h", { isCluster: true, master: "m" }, /^--cluster and --sentinel exclude each other$/],
  ["redis://h", { sentinelUser: "w" }, /^--sentinel-user needs --sentinel$/],
  ["redis://h", { isInsecure: true }, /^--ca and --insecure need a URL of rediss:/],
])("refuses %s with %o, and quotes no password", (url, more, says) => {
  expect(() => at(url, more)).toThrow(says);
  expect(() => at(url, more)).not.toThrow(/secret/);
});
