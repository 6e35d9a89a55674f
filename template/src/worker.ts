/** Answers that stream word by word. An answer outlives the page that asked for it. */
import { createHoldfast, SessionError } from "holdfast/worker";
import { Hono } from "hono";
import { basicAuth } from "hono/basic-auth";
import { csrf } from "hono/csrf";
import { HTTPException } from "hono/http-exception";

interface Env {
  readonly ASSETS: Fetcher;
  readonly PASSWORD?: string;
  readonly SESSIONS: DurableObjectNamespace;
  readonly DIRECTORY: DurableObjectNamespace;
}

// An answer is read to its end within minutes, and is worth keeping for a day.
const holdfast = createHoldfast<Env>({ sessionTtlSeconds: 24 * 60 * 60 });

export class SessionObject extends holdfast.SessionObject {}
export class DirectoryObject extends holdfast.DirectoryObject {}

const app = new Hono<{ Bindings: Env }>();

app.use(async (c, next) => {
  const { PASSWORD: password } = c.env;
  if (!password) return c.text("Set the secret PASSWORD; locally it stands in .dev.vars.", 503);
  return basicAuth({ username: "me", password })(c, next);
});

// A browser sends the password with another site's form too.
app.use(csrf());

app.post("/answers", async (c) => {
  const { prompt } = await c.req.json<{ prompt?: unknown }>().catch(() => ({ prompt: undefined }));
  if (typeof prompt !== "string") return c.text("prompt: must be a text", 400);
  const { id } = await holdfast.sessions(c.env).create({ metadata: { prompt } });
  // The work lasts at most 30 s longer than this request: a slow model belongs into a Durable Object.
  c.executionCtx.waitUntil(write(c.env, id, prompt));
  return c.json({ id }, 201);
});

// The browser's EventSource comes back with Last-Event-ID, and goes on where it was.
app.get("/answers/:id/events", (c) =>
  holdfast.sessions(c.env).follow(c.req.raw, c.req.param("id")),
);

app.post("/answers/:id/stop", async (c) => {
  const stopped = { event: "stopped", data: "by a reader" };
  return c.json(await holdfast.sessions(c.env).end(c.req.param("id"), stopped));
});

app.get("*", (c) => c.env.ASSETS.fetch(c.req.raw));

app.onError((failure, c) => {
  if (failure instanceof HTTPException) return failure.getResponse();
  if (!(failure instanceof SessionError)) throw failure;
  return c.json({ code: failure.code, detail: failure.message }, failure.status as 400);
});

export default app;

/** Publishes an answer word by word, until it is complete or a reader has stopped it. Put your model here. */
async function write(env: Env, id: string, prompt: string): Promise<void> {
  const sessions = holdfast.sessions(env);
  const words = `You asked: ${prompt} Each word is stored before it is sent, so none is lost.`;
  try {
    for (const [i, word] of words.split(" ").entries()) {
      // Under one key an event is published once, so a failed call may be repeated.
      await sessions.publish(id, { data: `${word} ` }, { idempotencyKey: `word-${i}` });
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    await sessions.end(id);
  } catch (failure) {
    const isOver = failure instanceof SessionError && failure.status < 500;
    if (!isOver) throw failure;
  }
}
