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

interface Env {
  readonly COOKIE_SECRET: string;
  readonly SESSIONS: DurableObjectNamespace;
  readonly DIRECTORY: DurableObjectNamespace;
  readonly TALLY: DurableObjectNamespace<Tally>;
}

const LOGIN = "login";

const holdfast = createHoldfast<Env>({
  // The page's client uses Holdfast's own routes: /live/v1/sessions/{id}/events and so on.
  basePath: "/live",
  authenticate: async (request, env) => {
    const cookies = request.headers.get("cookie") ?? "";
    const subject = (await parseSigned(cookies, env.COOKIE_SECRET, LOGIN))[LOGIN];
    if (!subject) return null;
    // To list, to follow, and to stop. The app alone makes sessions.
    return { subject, scopes: ["sessions:read", "events:subscribe", "events:publish"] };
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

const app = new Hono<{ Bindings: Env }>();

app.all("/live/*", (c) => holdfast.fetch(c.req.raw, c.env, c.executionCtx));

// Another site's form would be sent with the cookie too. Holdfast's routes check by themselves.
app.use(csrf());

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

app.post("/answers", async (c) => {
  const user = await getSignedCookie(c, c.env.COOKIE_SECRET, LOGIN);
  if (!user) return c.text("Log in first.", 401);
  const { prompt } = await c.req.json<{ prompt?: unknown }>().catch(() => ({ prompt: undefined }));
  if (typeof prompt !== "string") return c.text("prompt: must be a text", 400);
  // The session belongs to the user. For another user's login there is no such session.
  const { id } = await holdfast.sessions(c.env, { subject: user }).create({ metadata: { prompt } });
  const asked = await c.env.TALLY.getByName(user).add();
  // The work lasts at most 30 s longer than this request: a slow model belongs into a Durable Object.
  c.executionCtx.waitUntil(write(c.env, id, prompt));
  return c.json({ id, asked }, 201);
});

app.onError((failure, c) => {
  if (!(failure instanceof SessionError)) throw failure;
  return Response.json(
    { code: failure.code, detail: failure.message },
    { status: failure.status, headers: c.res.headers },
  );
});

export default app;

/** Stands in for the work of your app. */
function answerTo(prompt: string): string {
  return `You asked: ${prompt} This Worker answers word by word. Each word is stored before it is \
sent, so none is lost: reload this page, and the answer is there from its first word. Open its \
address in a second tab, and both show the same. Log in under another name, and there is no such \
answer. Press the stop button, and it ends in every tab.`;
}

/** Publishes an answer word by word, until it is complete or somebody has stopped it. */
async function write(env: Env, id: string, prompt: string): Promise<void> {
  // The app writes, whoever is logged in.
  const sessions = holdfast.sessions(env);
  const words = answerTo(prompt);
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
