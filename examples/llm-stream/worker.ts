/**
 * Streams a model's answer through a Holdfast session. The answer outlives the page that asked
 * for it: any page with its id can follow from the first token, and come back as often as it likes.
 */
import { Hono } from "hono";
import { generate } from "./model.ts";
import page from "./page.html";

interface Env {
  readonly HOLDFAST_URL: string;
  /** An API token with the scopes sessions:write, events:publish and events:subscribe. */
  readonly HOLDFAST_TOKEN: string;
}

const app = new Hono<{ Bindings: Env }>();

app.get("/", (c) => c.html(page));

app.post("/answers", async (c) => {
  const body = await c.req.json<{ prompt?: unknown } | null>().catch(() => null);
  const prompt = body?.prompt;
  if (typeof prompt !== "string" || prompt === "" || prompt.length > 200) {
    return c.text("prompt: must be a text of 1 to 200 characters", 400);
  }
  const made = await post(c.env, "/v1/sessions", { metadata: { prompt } });
  if (!made.ok) return made;
  const { id } = await made.json<{ id: string }>();
  // It lasts at most 30 s longer than this request. A slower model belongs in a Durable Object,
  // a Workflow or a queue's consumer; the page does not notice the difference.
  c.executionCtx.waitUntil(publishAnswer(c.env, id, prompt));
  return c.json({ id }, 201);
});

// The ids are random, so nobody can guess one. With accounts, check here whose answer it is.
app.post("/answers/:id/ticket", (c) => post(c.env, `${pathOf(c.req.param("id"))}/tickets`));

app.post("/answers/:id/stop", (c) =>
  post(c.env, `${pathOf(c.req.param("id"))}/end`, { event: "stopped", data: "by a reader" }),
);

export default app;

async function publishAnswer(env: Env, id: string, prompt: string): Promise<void> {
  let count = 0;
  for await (const token of generate(prompt)) {
    if (!(await publish(env, id, token, `token-${count++}`))) return;
  }
  await persist(() => post(env, `${pathOf(id)}/end`));
}

/** Answers whether the session wants more: false once a reader has stopped it, or it is gone. */
async function publish(env: Env, id: string, data: string, key: string): Promise<boolean> {
  const { status } = await persist(() =>
    // Under one key an event is published once, however often it is sent.
    post(env, `${pathOf(id)}/events`, { data }, { "idempotency-key": key }),
  );
  return status === 202;
}

/** Repeats what failed for a passing reason: no answer, or one that says to come again. */
async function persist(send: () => Promise<Response>): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const response = await send().catch(() => undefined);
    if (response && response.status !== 429 && response.status < 500) return response;
    if (attempt === 5) throw new Error(`Holdfast: ${response?.status ?? "no answer"}`);
    const seconds = Number(response?.headers.get("retry-after") ?? 0.2 * attempt);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}

function pathOf(id: string): string {
  return `/v1/sessions/${encodeURIComponent(id)}`;
}

function post(env: Env, path: string, body?: object, headers: Record<string, string> = {}) {
  return fetch(env.HOLDFAST_URL + path, {
    method: "POST",
    headers: {
      authorization: `Bearer ${env.HOLDFAST_TOKEN}`,
      ...(body && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body && { body: JSON.stringify(body) }),
  });
}
