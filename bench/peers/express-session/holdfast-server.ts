/**
 * The same server with Holdfast's SessionManager over RedisStorage, and its id in a
 * signed cookie as express-session has it. Arguments: its port, and Redis's.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import { ProxySession, SessionManager, type Session } from "../../../src/entries/index.ts";
import { PROXY_SESSION_KEY_PREFIX, RedisStorage } from "../../../src/entries/redis.ts";

const [port, redisPort] = process.argv.slice(2).map(Number);
const COOKIE = /(?:^|; )sid=([^;]*)/;

const storage = await RedisStorage.connect({
  addr: `127.0.0.1:${redisPort}`,
  keyPrefix: PROXY_SESSION_KEY_PREFIX,
  ttlMs: 7200_000,
});
const manager = new SessionManager({ storage });

const sign = (id: string) => createHmac("sha256", "bench").update(id).digest("base64url");

function sessionId({ headers }: IncomingMessage): string | undefined {
  const [id, signature] = COOKIE.exec(headers.cookie ?? "")?.[1]?.split(".") ?? [];
  if (id === undefined || signature === undefined) return undefined;
  const [given, right] = [Buffer.from(signature), Buffer.from(sign(id))];
  return given.length === right.length && timingSafeEqual(given, right) ? id : undefined;
}

/** What a request does with its session: its user, or undefined where there is no session. */
const JOBS: Readonly<Record<string, (id: string) => Promise<string | undefined>>> = {
  "/read": async (id) => (await manager.get(id))?.getMetadataValue("user"),
  "/touch": async (id) => ((await manager.touch(id)) ? "ada" : undefined),
  "/write": async (id) => {
    const session = await manager.get(id);
    if (session) await count(session);
    return session?.getMetadataValue("user");
  },
};

async function count(session: Session): Promise<void> {
  const before = Number(session.getMetadataValue("count") ?? 0);
  session.setMetadata("count", String(before + 1));
  await manager.upsertSession(session);
}

interface Answer {
  readonly user?: string;
  /** Of a session that was made. */
  readonly id?: string;
}

async function answer(request: IncomingMessage): Promise<Answer> {
  const id = sessionId(request);
  if (request.url === "/create") {
    const session = new ProxySession(crypto.randomUUID());
    session.setMetadata("user", "ada");
    await manager.add(session);
    return { user: "ada", id: session.id };
  }
  const user = id === undefined ? undefined : await JOBS[request.url ?? ""]?.(id);
  return user === undefined ? {} : { user };
}

createServer((request, response) => {
  void answer(request)
    .catch((): Answer => ({}))
    .then(({ user, id }) => {
      const cookie = id !== undefined && { "set-cookie": `sid=${id}.${sign(id)}; HttpOnly` };
      response.writeHead(user === undefined ? 500 : 200, { ...cookie });
      response.end(user);
    });
}).listen(port, "127.0.0.1");
