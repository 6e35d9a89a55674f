/**
 * express-session with connect-redis over node-redis, under Node's own HTTP server.
 * JavaScript, as what it imports is installed with the benchmark only, and the type
 * check runs without. Arguments: its port, and Redis's.
 */
import { createServer } from "node:http";
import { RedisStore } from "connect-redis";
import session from "express-session";
import { createClient } from "redis";

const [port, redisPort] = process.argv.slice(2).map(Number);
const TTL_SECONDS = 7200;

const client = createClient({ url: `redis://127.0.0.1:${redisPort}` });
await client.connect();
const withSession = session({
  store: new RedisStore({ client, ttl: TTL_SECONDS }),
  secret: "bench",
  resave: false,
  saveUninitialized: false,
  cookie: { maxAge: TTL_SECONDS * 1000 },
});

/** The work of each request on its session. The middleware loads it before, and stores or touches it after. */
const JOBS = {
  "/create": (session) => (session.user = "ada"),
  "/read": (session) => session.user,
  "/touch": (session) => session.touch() && session.user,
  "/write": (session) => {
    session.count = (session.count ?? 0) + 1;
    return session.user;
  },
};

createServer((request, response) => {
  withSession(request, response, (error) => {
    const user = error ? undefined : JOBS[request.url]?.(request.session);
    response.statusCode = user === undefined ? 500 : 200;
    response.end(user);
  });
}).listen(port, "127.0.0.1");
