/**
 * A chat with the AI SDK whose answers outlive the page. A chat is a session, whose data are the messages;
 * each answer is another session, whose stream has the chunks that `useChat` reads.
 */
import {
  convertToModelMessages,
  generateId,
  readUIMessageStream,
  safeValidateUIMessages,
  streamText,
  toUIMessageStream,
  type UIMessage,
  type UIMessageChunk,
} from "ai";
import { createHoldfast, SessionError } from "holdfast/worker";
import { Hono } from "hono";
import { model } from "./model.ts";

interface Env {
  readonly SESSIONS: DurableObjectNamespace;
  readonly DIRECTORY: DurableObjectNamespace;
}

/** The data of a chat's session. */
interface Chat {
  readonly messages: UIMessage[];
  /** The session of the answer that is being written. */
  readonly answer?: string;
}

/** The ids are random, so nobody can guess one. With accounts, whose chat it is (examples/own-worker). */
const VISITOR = "visitor";

const holdfast = createHoldfast<Env>({
  basePath: "/live",
  // A page that knows an answer's id may follow it, and nothing else.
  authenticate: () => ({ subject: VISITOR, scopes: ["events:subscribe"] }),
});

export class SessionObject extends holdfast.SessionObject {}
export class DirectoryObject extends holdfast.DirectoryObject {}

const app = new Hono<{ Bindings: Env }>();

app.all("/live/*", (c) => holdfast.fetch(c.req.raw, c.env, c.executionCtx));

app.post("/api/chats", async (c) => {
  const data: Chat = { messages: [] };
  const { id } = await sessionsIn(c.env).create({ data, ttlSeconds: 24 * 60 * 60 });
  return c.json({ id }, 201);
});

app.get("/api/chats/:id", async (c) =>
  c.json((await sessionsIn(c.env).get(c.req.param("id"))).data as Chat),
);

app.post("/api/chats/:id", async (c) => {
  const { message } = await c.req.json<{ message?: unknown }>().catch(() => ({ message: null }));
  const asked = await safeValidateUIMessages({ messages: [message] });
  if (!asked.success) return c.text("message: must be a UIMessage", 400);
  const sessions = sessionsIn(c.env);
  const id = c.req.param("id");
  const chat = await sessions.get(id);
  const { answer: before, messages: said } = chat.data as Chat;
  if (before && (await exists(c.env, before))) return c.text("An answer is being written.", 409);
  const messages = [...said, ...asked.data];
  const answer = await sessions.create({ ttlSeconds: 300 });
  // Two tabs that ask at once: the second one is refused (412).
  const data = { messages, answer: answer.id };
  await sessions.patch(id, { data }, { ifMatch: chat.etag });
  // The work lasts at most 30 s longer than this request. A slower model belongs in a Durable Object,
  // a Workflow or a queue's consumer; the page does not notice the difference.
  c.executionCtx.waitUntil(write(c.env, id, data));
  return c.json({ answer: answer.id }, 201);
});

// useChat's own stop() only leaves the stream. This ends it, for every page and for the model.
app.post("/api/chats/:id/stop", async (c) => {
  const sessions = sessionsIn(c.env);
  const { answer } = (await sessions.get(c.req.param("id"))).data as Chat;
  const last: UIMessageChunk = { type: "abort" };
  if (answer) await sessions.end(answer, { data: last });
  return c.body(null, 204);
});

app.onError((failure, c) => {
  if (!(failure instanceof SessionError)) throw failure;
  return Response.json(
    { code: failure.code, detail: failure.message },
    { status: failure.status, headers: c.res.headers },
  );
});

export default app;

function sessionsIn(env: Env) {
  return holdfast.sessions(env, { subject: VISITOR });
}

/** A writer that died leaves the answer's session, which expires. */
async function exists(env: Env, answer: string): Promise<boolean> {
  try {
    return Boolean(await sessionsIn(env).get(answer, { touch: false }));
  } catch (failure) {
    if (failure instanceof SessionError && failure.status === 404) return false;
    throw failure;
  }
}

/** Publishes the model's chunks, and puts the message that they make into the chat. */
async function write(env: Env, chat: string, { messages, answer }: Required<Chat>): Promise<void> {
  const sessions = sessionsIn(env);
  const stop = new AbortController();
  const { stream } = streamText({
    model: model(),
    messages: await convertToModelMessages(messages),
    abortSignal: stop.signal,
  });
  // The id makes the message one and the same in every tab, after a reload and in the chat.
  const chunks = toUIMessageStream({ stream, generateMessageId: generateId });
  const published = chunks.pipeThrough(
    new TransformStream<UIMessageChunk, UIMessageChunk>({
      async transform(chunk, controller) {
        await sessions.publish(answer, { data: chunk });
        controller.enqueue(chunk);
      },
    }),
  );
  let failure: unknown;
  let message: UIMessage | undefined;
  const states = readUIMessageStream({ stream: published, onError: (error) => (failure = error) });
  for await (const state of states) message = state;
  // A reader has stopped the answer: the model stops too, and what it said until then is kept.
  stop.abort();
  const isStopped = failure instanceof SessionError && [404, 409].includes(failure.status);
  const data = { messages: message ? [...messages, message] : messages, answer: null };
  await sessions.patch(chat, { data });
  if (!isStopped) await sessions.end(answer);
  if (failure && !isStopped) throw failure;
}
