/**
 * The server of express-session-server.js with Holdfast's SessionManager over RedisStorage. It
 * keeps the id in a signed cookie, too. Arguments: its port, and Redis's.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { ProxySession, SessionManager } from "../../../src/entries/index.ts";
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

/** Each job answers the session's user, or undefined if there is no session. */
const JOBS: Readonly<Record<string, (id: string) => Promise<string | undefined>>> = {
  "/read": async (id) => (await manager.get(id))?.getMetadataValue("user"),
  "/touch": async (id) => ((await manager.touch(id)) ? "ada" : undefined),
  "/write": async (id) => {
    const session = await manager.get(id);
    if (!session) return undefined;
    const before = Number(session.getMetadataValue("count") ?? 0);
    session.setMetadata("count", String(before + 1));
    await manager.upsertSession(session);
    return session.getMetadataValue("user");
  },
};

/** Makes a session and answers its cookie. */
async function create(): Promise<string> {
  const session = new ProxySession(crypto.randomUUID());
  session.setMetadata("user", "ada");
  await manager.add(session);
  return `sid=${session.id}.${sign(session.id)}; HttpOnly`;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const id = sessionId(request);
  if (request.url === "/create") {
    response.setHeader("set-cookie", await create()).end("ada");
    return;
  }
  const user = id === undefined ? undefined : await JOBS[request.url ?? ""]?.(id);
  response.writeHead(user === undefined ? 500 : 200).end(user);
}

createServer((request, response) => {
  answer(request, response).catch(() => response.writeHead(500).end());
}).listen(port, "127.0.0.1");
