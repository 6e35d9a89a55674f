/**
 * An app with a login by cookie, which answers through Holdfast sessions of its own. An answer outlives
 * the page that asked for it, and nobody but its owner can follow it.
 */
import { DurableObject } from "cloudflare:workers";
import { createHoldfast, SessionError } from "holdfast/worker";
import { Hono } from "hono";
import { getSignedCookie, setSignedCookie } from "hono/cookie";
import { csrf } from "hono/csrf";
import { parseSigned } from "hono/utils/cookie";
import page from "./page.html";

interface Env {
  readonly COOKIE_SECRET: string;
  readonly SESSIONS: DurableObjectNamespace;
  readonly DIRECTORY: DurableObjectNamespace;
  readonly TALLY: DurableObjectNamespace<Tally>;
}

const LOGIN = "login";

const holdfast = createHoldfast<Env>({
  // Scripts and other clients of the app use Holdfast's own routes: /live/v1/sessions, /live/mcp.
  basePath: "/live",
  authenticate: async (request, env) => {
    const cookies = request.headers.get("cookie") ?? "";
    const subject = (await parseSigned(cookies, env.COOKIE_SECRET, LOGIN))[LOGIN];
    if (!subject) return null;
    return { subject, scopes: ["sessions:read", "sessions:write", "events:subscribe"] };
  },
  // An answer is read to its end within minutes, and is worth keeping for a day.
  sessionTtlSeconds: 24 * 60 * 60,
});

// Classes of the app's own, so that `wrangler types` finds their types.
export class SessionObject extends holdfast.SessionObject {}
export class DirectoryObject extends holdfast.DirectoryObject {}

/** An object of the app's own: how many answers a user has asked for. */
export class Tally extends DurableObject<Env> {
  add(): number {
    const count = (this.ctx.storage.kv.get<number>("count") ?? 0) + 1;
    this.ctx.storage.kv.put("count", count);
    return count;
  }
}

const app = new Hono<{ Bindings: Env; Variables: { user: string } }>();

app.all("/live/*", (c) => holdfast.fetch(c.req.raw, c.env, c.executionCtx));

// Another site's form would be sent with the cookie too. Holdfast's routes check by themselves.
app.use(csrf());

app.get("/", (c) => c.html(page));

// A login of your own checks more than the form of a name.
app.post("/login", async (c) => {
  const { name } = await c.req.parseBody();
  if (typeof name !== "string" || !/^\w{1,20}$/.test(name)) {
    return c.text("name: must be 1 to 20 letters, digits or _", 400);
  }
  const secure = new URL(c.req.url).protocol === "https:";
  await setSignedCookie(c, LOGIN, name, c.env.COOKIE_SECRET, {
    httpOnly: true,
    sameSite: "Lax",
    path: "/",
    secure,
  });
  return c.redirect("/");
});

app.use("/answers/*", async (c, next) => {
  const user = await getSignedCookie(c, c.env.COOKIE_SECRET, LOGIN);
  if (!user) return c.text("Log in first.", 401);
  c.set("user", user);
  return next();
});

app.post("/answers", async (c) => {
  const { prompt } = await c.req.json<{ prompt?: unknown }>().catch(() => ({ prompt: undefined }));
  if (typeof prompt !== "string") return c.text("prompt: must be a text", 400);
  const user = c.get("user");
  const { id } = await sessionsOf(c).create({ metadata: { prompt } });
  const asked = await c.env.TALLY.getByName(user).add();
  // It lasts at most 30 s longer than this request: a slow model belongs into a Durable Object.
  c.executionCtx.waitUntil(write(c.env, id, prompt));
  return c.json({ id, asked }, 201);
});

app.get("/answers", async (c) => c.json(await sessionsOf(c).list({ limit: 10 })));

// The browser's EventSource comes back with Last-Event-ID, and goes on where it was.
app.get("/answers/:id/events", (c) => sessionsOf(c).follow(c.req.raw, c.req.param("id")));

app.post("/answers/:id/stop", async (c) =>
  c.json(await sessionsOf(c).end(c.req.param("id"), { event: "stopped", data: "by a reader" })),
);

app.onError((failure, c) => {
  if (!(failure instanceof SessionError)) throw failure;
  return Response.json(
    { code: failure.code, detail: failure.message },
    { status: failure.status, headers: c.res.headers },
  );
});

export default app;

/** The sessions in reach of who is logged in. Another's is not found. */
function sessionsOf(c: { readonly env: Env; get(name: "user"): string }) {
  return holdfast.sessions(c.env, { subject: c.get("user") });
}

/** Publishes an answer word by word, until it is complete or somebody has stopped it. */
async function write(env: Env, id: string, prompt: string): Promise<void> {
  // The app writes, whoever is logged in.
  const sessions = holdfast.sessions(env);
  const words = `You asked: ${prompt} Each word is stored before it is sent, so none is lost.`;
  try {
    for (const [i, word] of words.split(" ").entries()) {
      // Under one key an event is published once, so a failed call may be repeated.
      await sessions.publish(id, { data: `${word} ` }, { idempotencyKey: `word-${i}` });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await sessions.end(id);
  } catch (failure) {
    const isOver = failure instanceof SessionError && failure.status < 500;
    if (!isOver) throw failure;
  }
}
