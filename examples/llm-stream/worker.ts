/**
 * Streams a model's answer through a Holdfast session. The answer outlives the page that asked
 * for it: any page with its id can follow from the first token, and come back as often as it likes.
 */
import { HoldfastClient, HoldfastError } from "holdfast/client";
import { Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { generate } from "./model.ts";

interface Env {
  readonly HOLDFAST_URL: string;
  /** An API token with the scopes sessions:write, events:publish and events:subscribe. */
  readonly HOLDFAST_TOKEN: string;
}

const app = new Hono<{ Bindings: Env }>();

// The page asks where the service is. It follows there, and not through this Worker.
app.get("/holdfast", (c) => c.json({ url: c.env.HOLDFAST_URL }));

app.post("/answers", async (c) => {
  const body = await c.req.json<{ prompt?: unknown } | null>().catch(() => null);
  const prompt = body?.prompt;
  if (typeof prompt !== "string" || prompt === "" || prompt.length > 2000) {
    return c.text("prompt: must be a text of 1 to 2000 characters", 400);
  }
  const holdfast = clientOf(c.env);
  const { id } = await holdfast.create({ metadata: { prompt } }, soon());
  // The work lasts at most 30 s longer than this request. A slower model belongs in a Durable Object,
  // a Workflow or a queue's consumer; the page does not notice the difference.
  c.executionCtx.waitUntil(publishAnswer(holdfast, id, prompt));
  return c.json({ id }, 201);
});

// The ids are random, so nobody can guess one. With accounts, check here whose answer it is.
app.post("/answers/:id/ticket", async (c) =>
  c.json(await clientOf(c.env).ticket(c.req.param("id"), soon()), 201),
);

app.post("/answers/:id/stop", async (c) => {
  const last = { event: "stopped", data: "by a reader" };
  return c.json(await clientOf(c.env).end(c.req.param("id"), last, soon()), 202);
});

app.onError((error, c) => {
  if (!(error instanceof HoldfastError)) return c.text("Holdfast does not answer.", 503);
  // The statuses that the client does not try again have a body.
  return c.text(error.detail, error.status as ContentfulStatusCode);
});

export default app;

function clientOf({ HOLDFAST_URL: url, HOLDFAST_TOKEN: token }: Env): HoldfastClient {
  return new HoldfastClient({ url, token });
}

/** A page that waits asks again, so the client need not try for longer than this. */
function soon() {
  return { signal: AbortSignal.timeout(5000) };
}

async function publishAnswer(holdfast: HoldfastClient, id: string, prompt: string): Promise<void> {
  try {
    for await (const data of generate(prompt)) await holdfast.publish(id, { data });
    await holdfast.end(id);
  } catch (error) {
    // A reader has stopped the answer, or its session is gone. Anything else is not this one's to hide.
    if (!(error instanceof HoldfastError) || ![404, 409].includes(error.status)) throw error;
  }
}
