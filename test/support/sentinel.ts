import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Certificates } from "./certificates.ts";
import { redisCli } from "./redis-cli.ts";
import { freePort } from "./free-port.ts";
import { startRedis } from "./redis-server.ts";
import type { RedisServer } from "./redis-server.ts";

export const MASTER_NAME = "holdfast-test";
/** Longer than any test. */
const TILT_TRIGGER_MS = 600_000;

export interface SentinelSetup {
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: readonly RedisServer[];
  /** Arguments with which redis-cli gets in at the master and the replica. */
  readonly cli: readonly string[];
  stop(): Promise<void>;
}

/** How the servers are closed to others. */
interface SentinelAccess {
  /** They listen with TLS alone, and speak it to one another. */
  readonly certificates: Certificates;
  /** The default user's password at master and replica, which these and the Sentinels use among themselves. */
  readonly password: string;
  /** Further users there, in the words of an ACL file. */
  readonly users: readonly string[];
  /** The default user's password at the Sentinels. */
  readonly sentinelPassword: string;
  /** Further users there. */
  readonly sentinelUsers: readonly string[];
}

/** A master with a replica, and three Sentinels that have found both and one another. */
export async function startSentinels(access?: SentinelAccess): Promise<SentinelSetup> {
  const listen = access && { listen: access.certificates.listen };
  const prepare = (dir: string) => {
    if (!access) return;
    const users = [`user default on >${access.password} ~* &* +@all`, ...access.users];
    writeFileSync(join(dir, "users.acl"), `${users.join("\n")}\n`);
  };
  const closed = access
    ? ["--aclfile", "users.acl", "--masterauth", access.password, "--tls-replication", "yes"]
    : [];
  const master = await startRedis({ ...listen, prepare, args: closed });
  // The replica asks for what it missed at once, and not after the default of a minute.
  const replicaOf = ["--replicaof", "127.0.0.1", String(master.port)];
  const args = [...closed, ...replicaOf, "--repl-diskless-sync-delay", "0"];
  const replica = await startRedis({ ...listen, prepare, args });
  const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(master, access)));
  const sentinelCli = cliArgs(access, access?.sentinelPassword);
  await Promise.all(sentinels.map((sentinel) => waitForOthers(sentinel, sentinelCli)));
  return {
    master,
    replica,
    sentinels,
    cli: cliArgs(access, access?.password),
    async stop() {
      await Promise.all([...sentinels, replica, master].map((server) => server.stop()));
    },
  };
}

/** Arguments with which redis-cli gets in at a server that is closed to others. */
function cliArgs(access: SentinelAccess | undefined, password: string | undefined): string[] {
  if (!access || password === undefined) return [];
  return ["--tls", "--cacert", access.certificates.caFile, "-a", password, "--no-auth-warning"];
}

/** One Sentinel that names this master, and goes on naming it while it knows of no replica. */
export async function startSentinel(
  master: Pick<RedisServer, "port">,
  access?: SentinelAccess,
): Promise<RedisServer> {
  const port = await freePort();
  const config = [
    ...(access ? closedSentinel(port, access) : [`port ${port}`]),
    "bind 127.0.0.1",
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${master.port} 2`,
    ...(access ? [`sentinel auth-pass ${MASTER_NAME} ${access.password}`] : []),
    `sentinel down-after-milliseconds ${MASTER_NAME} 500`,
    `sentinel failover-timeout ${MASTER_NAME} 3000`,
  ].join("\n");
  const sentinel = await startRedis({
    port,
    sentinel: true,
    listen: () => [],
    prepare: (dir) => writeFileSync(join(dir, "sentinel.conf"), `${config}\n`),
  });
  await keepOutOfTilt(sentinel, cliArgs(access, access?.sentinelPassword));
  return sentinel;
}

/**
 * Raises the time after which a Sentinel enters TILT. A Sentinel that got no CPU for 2 s mistrusts
 * its clock for the next 30 s and starts no failover, and on a busy machine this happens. A server
 * before Redis 7.0 answers the setting with an error and keeps the 2 s.
 */
async function keepOutOfTilt(sentinel: RedisServer, cli: readonly string[]): Promise<void> {
  const setting = ["SENTINEL", "DEBUG", "TILT-TRIGGER", String(TILT_TRIGGER_MS)];
  const answer = await redisCli(sentinel, ...cli, ...setting);
  if (!/^(OK|ERR)/.test(answer)) throw new Error(`the Sentinel answered ${answer}`);
}

function closedSentinel(port: number, access: SentinelAccess): string[] {
  // As arguments they begin with two dashes, in a file they stand one a line.
  const listen = access.certificates.listen(port).join(" ").split("--").slice(1);
  return [
    ...listen.map((line) => line.trim()),
    "tls-replication yes",
    `requirepass ${access.sentinelPassword}`,
    `sentinel sentinel-pass ${access.sentinelPassword}`,
    ...access.sentinelUsers,
  ];
}

async function waitForOthers(sentinel: RedisServer, cli: readonly string[]): Promise<void> {
  for (;;) {
    const asked = [...cli, "SENTINEL", "MASTER", MASTER_NAME];
    const lines = (await redisCli(sentinel, ...asked)).split("\n");
    const value = (name: string) => lines[lines.indexOf(name) + 1];
    if (value("num-other-sentinels") === "2" && value("num-slaves") === "1") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
