/** The Redis of `holdfast import`: one server, a Cluster, or a master that Sentinels name, from one URL. */
import { readFileSync } from "node:fs";
import type { RedisOptions } from "../../src/library/storage/redis/config.ts";
import { OptionError } from "../command-line.ts";

/** Hold the passwords: others can read arguments in the list of processes. The first is ToolHive's. */
const PASSWORD = "THV_SESSION_REDIS_PASSWORD";
const SENTINEL_PASSWORD = "THV_SESSION_REDIS_SENTINEL_PASSWORD";

const FORM = "--redis must be redis://user@host:port/db, or rediss:// for TLS";
const SENTINEL_PORT = 26_379;
const REDIS_PORT = 6379;

interface Given {
  readonly url: string | undefined;
  readonly isCluster: boolean;
  /** The master's name, if the hosts are Sentinels. */
  readonly master: string | undefined;
  readonly sentinelUser: string | undefined;
  readonly caFile: string | undefined;
  readonly isInsecure: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Throws an OptionError, which quotes no password. */
export function redisAt(given: Given): Omit<RedisOptions, "keyPrefix" | "ttlMs"> {
  const { url, isCluster, master, sentinelUser, env } = given;
  if (url === undefined) throw new OptionError("--redis is needed; holdfast import --help");
  if (isCluster && master !== undefined) {
    throw new OptionError("--cluster and --sentinel exclude each other");
  }
  if (master === undefined && sentinelUser !== undefined) {
    throw new OptionError("--sentinel-user needs --sentinel");
  }
  const [, scheme = "", before = "", hosts = "", after = ""] =
    /^(rediss?:\/\/)([^/?#]*@)?([^@/?#]+)(.*)$/.exec(url) ?? [];
  if (hosts === "") throw new OptionError(FORM);
  const { username, password, pathname, search, hash } = parsed(`${scheme}${before}host${after}`);
  const db = /^\/?(\d{0,9})$/.exec(pathname)?.[1];
  if (db === undefined || search + hash !== "") throw new OptionError(FORM);
  const secret = decoded(password) || env[PASSWORD] || undefined;
  const tls = tlsOf(given, scheme === "rediss://");
  return {
    ...serversOf(hosts.split(","), given),
    ...(username !== "" && { username: decoded(username) }),
    ...(secret !== undefined && { password: secret }),
    ...(db !== "" && { db: Number(db) }),
    ...(tls && { tls }),
  };
}

function serversOf(hosts: readonly string[], { isCluster, master, sentinelUser, env }: Given) {
  const withPort = (port: number) =>
    hosts.map((host) => (/:\d+$/.test(host) ? host : `${host}:${port}`));
  if (isCluster) return { cluster: withPort(REDIS_PORT) };
  if (master !== undefined) {
    const password = env[SENTINEL_PASSWORD] || undefined;
    const access = { username: sentinelUser, password };
    return { sentinel: { masterName: master, addrs: withPort(SENTINEL_PORT), ...access } };
  }
  const [addr, ...others] = withPort(REDIS_PORT);
  if (others.length > 0) throw new OptionError("several hosts need --cluster or --sentinel");
  return { addr };
}

function tlsOf({ caFile, isInsecure }: Given, isTls: boolean): RedisOptions["tls"] {
  if (!isTls) {
    if (caFile === undefined && !isInsecure) return undefined;
    throw new OptionError("--ca and --insecure need a URL of rediss://");
  }
  return {
    ...(caFile !== undefined && { caCert: readFileSync(caFile, "utf8") }),
    ...(isInsecure && { insecureSkipVerify: true }),
  };
}

/** Parses a URL. The error of `new URL` would show the URL, and the password in it, so this throws another one. */
function parsed(url: string): URL {
  try {
    return new URL(url);
  } catch {
    throw new OptionError(FORM);
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new OptionError("--redis: its user or password has a % that encodes nothing");
  }
}
