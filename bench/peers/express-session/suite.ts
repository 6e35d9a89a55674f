/** Sessions in Redis from Node: SessionManager over RedisStorage, against express-session with connect-redis. */
import { join } from "node:path";
import { startRedis } from "../../../test/support/redis-server.ts";
import { compare, compareAll, OURS, rate } from "../../comparison.ts";
import { CONNECTIONS, requesting } from "../../loads.ts";
import { contend, type Effort } from "../../measure.ts";
import type { Report } from "../../report.ts";
import { withServers } from "../../servers.ts";
import { installPeers, PEERS_EFFORT, peerVersion } from "../installed.ts";
import { startProcess } from "../process.ts";

const SESSIONS = 100;
const JOBS = ["create", "read", "touch", "write"];
const SERVERS = { [OURS]: "holdfast-server.ts", "express-session": "express-session-server.js" };

export async function expressSession(given: Partial<Effort>): Promise<Report> {
  const effort = { ...PEERS_EFFORT, ...given };
  await installPeers();
  return withServers(async (start) => {
    const redis = await start(startRedis());
    const running = await Promise.all(
      Object.entries(SERVERS).map(async ([name, script]) => {
        const path = join(import.meta.dirname, script);
        const { url, pid } = await start(
          startProcess(process.execPath, (port) => [path, String(port), String(redis.port)]),
        );
        return { name, pid, url, cookies: await cookies(url) };
      }),
    );
    const contenders = (job: string) =>
      contend(running, (server) => {
        const headersInTurn = job === "create" ? [] : server.cookies.map((cookie) => ({ cookie }));
        return requesting(server, { method: "POST", paths: [`/${job}`], headersInTurn });
      });
    const compared = await compareAll(
      JOBS.map(
        (job) => () => compare({ job, measures: [rate(["≥", 1])] }, contenders(job), effort),
      ),
    );
    const versions = ["express-session", "connect-redis", "redis"].map(
      async (name) => `${name} ${await peerVersion(name)}`,
    );
    return {
      suite: "express-session",
      title: "Against express-session with connect-redis",
      ...compared,
      notes: [
        `${(await Promise.all(versions)).join(", ")}; Holdfast's SessionManager over RedisStorage (ioredis). Each under Node's own HTTP server, in a process of its own, with the id in a signed cookie, and one redis-server for both.`,
        `${effort.rounds} alternating rounds of ${effort.seconds} s after a warm-up, ${CONNECTIONS} connections, ${SESSIONS} sessions in turn. The HTTP server's share is in all figures.`,
        "Redis commands, Holdfast: create SET NX, read GETEX, touch one script (it moves `updatedAt`), write GETEX and SET. express-session: create SET, read and touch GET and EXPIRE, write GET and SET.",
      ],
    };
  });
}

/** Makes the sessions and answers their cookies. */
function cookies(url: string): Promise<string[]> {
  return Promise.all(
    Array.from({ length: SESSIONS }, async () => {
      const answer = await fetch(`${url}/create`, { method: "POST" });
      const [cookie] = answer.headers.getSetCookie();
      if (!cookie) throw new Error(`creating a session answered ${answer.status}`);
      return cookie.slice(0, cookie.indexOf(";"));
    }),
  );
}
