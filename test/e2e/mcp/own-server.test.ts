/** An MCP server of one's own in the session's object, over real HTTP. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { build } from "esbuild";
import { describe, expect, it, type TestContext } from "vitest";
import {
  INITIALIZE,
  McpSession,
  messagesOf,
  post,
  textOf,
  toolCall,
  wholeAnswer,
} from "../../support/mcp/client.ts";
import { freshFetch } from "../../support/mcp/fresh-fetch.ts";
import { openLegacy } from "../../support/mcp/legacy-client.ts";
import { ModernClient, saidBy } from "../../support/mcp/modern-client.ts";
import { TaskClient } from "../../support/mcp/task-client.ts";
import { atEnd, beside, shared } from "../../support/scope.ts";
import { Service } from "../../support/service.ts";
import { SeveringRelay } from "../../support/severing-relay.ts";

const bundle = shared(async () => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-own-"));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  const outfile = join(folder, "own-worker.js");
  await build({
    entryPoints: [join(import.meta.dirname, "../../support/mcp/own-worker.ts")],
    outfile,
    bundle: true,
    format: "esm",
    conditions: ["workerd"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "warning",
  });
  return outfile;
});

const start = async (env: Record<string, string> = {}) => {
  const service = await Service.start({ ...env }, { bundle: await bundle() });
  return { service, url: `${service.url}/mcp` };
};
const running = shared(start);

const INFO = { name: "test", version: "1" };
const CAPABILITIES = { elicitation: {}, sampling: {}, roots: {} };

/** The official client, with answers to everything that a server may ask. */
async function connect(url: string, options: ConstructorParameters<typeof Client>[1] = {}) {
  const client = new Client(INFO, { capabilities: CAPABILITIES, ...options });
  client.setRequestHandler("elicitation/create", () => ({
    action: "accept",
    content: { text: "yes" },
  }));
  client.setRequestHandler("sampling/createMessage", () => ({
    role: "assistant",
    model: "m",
    content: { type: "text", text: "sampled" },
  }));
  client.setRequestHandler("roots/list", () => ({ roots: [{ uri: "file:///root" }] }));
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    fetch: freshFetch,
    reconnectionOptions: {
      initialReconnectionDelay: 20,
      maxReconnectionDelay: 100,
      reconnectionDelayGrowFactor: 1,
      maxRetries: 100,
    },
  });
  await client.connect(transport);
  atEnd(() => client.close());
  const call = async (name: string, args: Record<string, unknown> = {}) => {
    const { content, isError } = await client.callTool({ name, arguments: args });
    const text = (content as { text: string }[])[0]?.text ?? "";
    return isError ? { isError, text } : text;
  };
  return { client, transport, call };
}

const json = (text: unknown) => JSON.parse(String(text)) as Record<string, unknown>;

/** The events that were published to a session, once there are some. */
async function pageOf(service: Service, id: string | undefined): Promise<unknown> {
  const headers = { accept: "application/json" };
  return (await service.fetch(`/v1/sessions/${id}/events?wait=20&limit=1`, { headers })).json();
}

/** `kill -9`, and a start: no object has its memory any more. */
async function loseMemory(service: Service): Promise<void> {
  await service.kill();
  await service.restart();
}

it("answers an official client, asks it from inside a tool, and keeps its state", async () => {
  const { url } = await running();
  const { client, call, transport } = await connect(url);
  expect(client.getNegotiatedProtocolVersion()).toBe("2025-11-25");
  expect(await call("add", { by: 2 })).toBe("2");
  expect(await call("add", { by: 3 })).toBe("5");
  expect(json(await call("ask"))).toEqual({ action: "accept", content: { text: "yes" } });
  expect(json(await call("sample"))).toMatchObject({
    content: { text: "sampled" },
    roots: [{ uri: "file:///root" }],
  });
  expect(json(await call("whoami"))).toMatchObject({
    id: transport.sessionId,
    sessionId: transport.sessionId,
    capabilities: CAPABILITIES,
    client: INFO,
    lives: 1,
    GREETING: "no greeting",
    state: [
      ["count", 5],
      ["lives", 1],
    ],
  });
  const progress: number[] = [];
  await client.callTool(
    { name: "slow", arguments: { ms: 30 } },
    {
      onprogress: (one) => progress.push(one.progress),
    },
  );
  expect(progress).toEqual([1, 2, 3]);
});

it("answers a tool that fails, an answer that is no JSON, and a server that closes itself", async () => {
  const { url } = await running();
  const { call, client } = await connect(url);
  expect(await call("fail")).toEqual({ isError: true, text: "a tool's own words" });
  await expect(call("unwritable")).rejects.toThrow("cannot be written as JSON");
  await expect(call("close")).rejects.toThrow("could not be reached");
  // The factory is called again.
  expect(json(await call("whoami"))).toMatchObject({ lives: 2, capabilities: CAPABILITIES });
  await expect(client.callTool({ name: "nothing" })).rejects.toThrow("nothing");
});

it("refuses state beyond its bound, and stores nothing of it", async () => {
  const { url } = await running();
  const { call } = await connect(url);
  // `"fill"` and the quotes of its value count too, and so does the row of "lives".
  const room = 256 * 1024 - "fill".length - '""'.length - "lives1".length;
  expect(await call("fill", { bytes: room })).toBe("filled");
  expect(await call("fill", { bytes: room + 1 })).toEqual({
    isError: true,
    text: "the session's state would have 262145 of 262144 bytes",
  });
  expect(await call("fill", { bytes: 1 })).toBe("filled");
  expect(await call("add", { by: 1 })).toBe("1");
});

it("publishes to the session's own stream, what a publisher may publish", async () => {
  const { service, url } = await running();
  const { call, transport } = await connect(url);
  const published = json(await call("publish", { event: { event: "said", data: { n: 1 } } }));
  expect(published).toMatchObject({ writers: 0 });
  expect(await call("publish", { event: { event: "gap", data: "x" } })).toMatchObject({
    isError: true,
  });
  expect(await pageOf(service, transport.sessionId)).toMatchObject({
    events: [{ id: published["id"], event: "said", data: '{"n":1}' }],
  });
});

it("makes the server anew for a session that gets another owner", async () => {
  const { service, url } = await running();
  const session = await McpSession.open(url);
  await session.call(toolCall(1, "add", { by: 1 }));
  const body = { type: "mcp", subject: "bob", metadata: { upstream: "default" } };
  expect((await service.send("PUT", `/v1/sessions/${session.id}`, body)).status).toBe(200);
  const { messages } = await session.call(toolCall(2, "whoami"));
  expect(json(textOf(messages[0]))).toMatchObject({
    subject: "bob",
    lives: 2,
    state: [
      ["count", 1],
      ["lives", 2],
    ],
  });
});

it("serves clients of the stateless revision, whose calls share a session", async () => {
  const { url } = await running();
  for (const [said, mode] of [
    ["1", "auto"],
    ["2", { pin: "2026-07-28" }],
  ] as const) {
    const one = await connect(url, { versionNegotiation: { mode } });
    expect(one.client.getNegotiatedProtocolVersion()).toBe("2026-07-28");
    expect(await one.call("add", { by: 1 })).toBe(said);
    expect(JSON.parse(String(await one.call("sample")))).toMatchObject({
      content: { text: "sampled" },
      roots: [{ uri: "file:///root" }],
    });
  }
});

it("asks each of several calls of such a client its own question", async () => {
  const { url } = await running();
  const client = new ModernClient(url, { name: "asked at once" });
  const answered = async (texts: readonly string[]) => {
    const asked = await Promise.all(texts.map(() => client.call("ask", {})));
    const done = texts.map((text, n) => {
      const { inputRequests = {}, requestState } = asked[n]!.message.result ?? {};
      const answer = { action: "accept", content: { text } };
      const keys = Object.keys(inputRequests);
      expect(keys).toHaveLength(1);
      const inputResponses = Object.fromEntries(keys.map((key) => [key, answer]));
      return client.call("ask", {}, { inputResponses, requestState });
    });
    for (const [n, one] of (await Promise.all(done)).entries()) {
      expect(JSON.parse(String(saidBy(one)))).toMatchObject({ content: { text: texts[n] } });
    }
  };
  await answered(["alone"]);
  await answered(["a", "b", "c"]);
});

it("serves a server of the SDK's first version", async () => {
  const { url } = await running();
  const { client, call } = await connect(`${url}/v1`);
  expect(await call("roots")).toBe('[{"uri":"file:///root"}]');
  expect(client.getServerVersion()?.name).toBe("own-v1");
});

it("serves a client of 2024-11-05, and one that initializes it again", async () => {
  const { service } = await running();
  const { post: send, reader } = await openLegacy(service.url);
  const answer = async (message: object) => {
    expect((await send(message)).status).toBe(202);
    return messagesOf(await reader.take(1))[0];
  };
  expect(await answer({ ...INITIALIZE, id: 1 })).toMatchObject({
    id: 1,
    result: { serverInfo: { name: "own" } },
  });
  expect(textOf(await answer(toolCall(2, "add", { by: 1 })))).toBe("1");
  await answer({ ...INITIALIZE, id: 3 });
  expect(textOf(await answer(toolCall(4, "add", { by: 1 })))).toBe("2");
  // A client that came back after a drop does not initialize.
  const { post: other, reader: late } = await openLegacy(service.url);
  await other(toolCall(1, "add", { by: 1 }));
  expect(textOf(messagesOf(await late.take(1))[0])).toBe("1");
});

it("answers a batch, with ids that no server would choose, as one answer or as a stream", async () => {
  const { url } = await running();
  const init = { ...INITIALIZE, params: { ...INITIALIZE.params, protocolVersion: "2025-03-26" } };
  const opened = await post(url, init);
  const headers = { "mcp-session-id": opened.headers.get("mcp-session-id") ?? "" };
  const batch = (...messages: object[]) => post(url, messages, headers).then(wholeAnswer);
  const quick = await batch(toolCall(1.5, "add", { by: 1 }), toolCall("1.5", "add", { by: 1 }));
  expect(new Set(quick.messages.map(({ id }) => id))).toEqual(new Set(["1.5", 1.5]));
  const streamed = await batch(toolCall(7, "slow", { ms: 3 }), toolCall(8, "add", { by: 1 }));
  expect(streamed.onStream).toBe(true);
  expect(streamed.messages.filter(({ id }) => id !== undefined).map(({ id }) => id)).toEqual([
    8, 7,
  ]);
  // An id beyond what a number holds comes back as it was sent.
  const large = await post(
    url,
    '{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"add","arguments":{"by":1}}}',
    headers,
  );
  expect(await large.text()).toContain('"id":9007199254740993');
});

it("cancels the call that a client gives up, and no other", async () => {
  const { url } = await running();
  const session = await McpSession.open(url);
  const given = await session.stream(toolCall("a", "slow", { ms: 60_000 }));
  const kept = await session.stream(toolCall("b", "slow", { ms: 300 }));
  await given.take(2);
  await session.post({
    jsonrpc: "2.0",
    method: "notifications/cancelled",
    params: { requestId: "a" },
  });
  expect(messagesOf(await given.rest()).at(-1)).toMatchObject({
    id: "a",
    error: { message: "The request was cancelled" },
  });
  expect(textOf(messagesOf(await kept.rest()).at(-1))).toBe("slow 2");
});

it("bounds a call in all, and begins no stream for a silent one before its answer", async () => {
  const { url } = await running();
  const session = await McpSession.open(`${url}/hasty`);
  const late = await session.call(toolCall(1, "silent", { ms: 60_000 }));
  expect(late.messages).toMatchObject([
    { id: 1, error: { message: "The upstream did not answer in time" } },
  ]);
  const { messages } = await session.call(toolCall(2, "silent", { ms: 500 }));
  expect(messages.map(textOf)).toEqual(["at last"]);
});

it("refuses to initialize where no server can be made, says why in the log, and leaves nothing behind", async () => {
  const { service, url } = await start({ DIRECTORY_SHARDS: "1" });
  const refused = await post(`${url}/throws`, INITIALIZE);
  expect([refused.status, await refused.json()]).toEqual([
    502,
    {
      jsonrpc: "2.0",
      id: "init",
      error: { code: -32603, message: "The upstream could not be started" },
    },
  ]);
  const { cause } = await service.logged(({ event }) => event === "upstream.failed");
  expect(cause).toBe("Error: no server today");
  expect((await post(`${url}/fickle`, INITIALIZE)).status).toBe(502);
  const made = await McpSession.open(`${url}/fickle`);
  await loseMemory(service);
  // The first start of this life fails, the second does not.
  const failed = await made.call(toolCall(1, "whoami"));
  expect([failed.status, failed.messages[0]?.error?.code]).toEqual([502, -32603]);
  const { messages } = await made.call(toolCall(2, "whoami"));
  expect(json(textOf(messages[0]))).toMatchObject({ lives: 2 });
  // The session's object tells the directory in the background.
  const count = async () =>
    (await service.send<{ count: number }>("GET", "/v1/sessions/count")).json.count;
  await expect.poll(count).toBe(1);
});

describe.concurrent("when memory, connection or session is lost", () => {
  it(
    "a server that is made again knows its client, its state and its subscriptions",
    beside(async ({ expect }: TestContext) => {
      const { service, url } = await start({ GREETING: "hello" });
      const { client, call } = await connect(url);
      const updated: string[] = [];
      client.setNotificationHandler("notifications/resources/updated", ({ params }) => {
        updated.push(params.uri);
      });
      await client.subscribeResource({ uri: "counter://value" });
      await call("add", { by: 1 });
      await expect.poll(() => updated).toHaveLength(1);
      await loseMemory(service);
      expect(await call("add", { by: 1 })).toBe("2");
      await expect.poll(() => updated).toHaveLength(2);
      expect(json(await call("whoami"))).toMatchObject({
        capabilities: CAPABILITIES,
        client: INFO,
        lives: 2,
      });
      expect(json(await call("ask"))).toMatchObject({ action: "accept" });
      await client.unsubscribeResource({ uri: "counter://value" });
      await loseMemory(service);
      expect(await call("add", { by: 1 })).toBe("3");
      expect(updated).toHaveLength(2);
    }),
  );

  it(
    "a call that was under way ends with an error, and does not run again",
    beside(async () => {
      const { service, url } = await start();
      const session = await McpSession.open(url);
      const reader = await session.stream(toolCall("mine", "slow", { ms: 60_000 }));
      const seen = (await reader.take(2)).at(-1)?.id;
      await service.kill();
      await expect(reader.rest()).rejects.toThrow();
      await service.restart();
      const messages = messagesOf(await (await session.follow(seen)).rest());
      expect(messages.at(-1)).toMatchObject({
        id: "mine",
        error: { message: "upstream exchange was interrupted" },
      });
      const { messages: again } = await session.call(toolCall(2, "slow", { ms: 3 }));
      expect(textOf(again.at(-1))).toBe("slow 2");
    }),
  );

  it(
    "a late answer to a question of an earlier life reaches no question of this one",
    beside(async () => {
      const { service, url } = await start();
      const session = await McpSession.open(url);
      const asked = async (id: string) => {
        const reader = await session.stream(toolCall(id, "ask"));
        return { reader, question: messagesOf(await reader.take(2))[0]?.id };
      };
      const reply = (id: unknown, text: string) =>
        session.post({ jsonrpc: "2.0", id, result: { action: "accept", content: { text } } });
      const first = await asked("first");
      await loseMemory(service);
      const second = await asked("second");
      expect((await reply(first.question, "late")).status).toBe(202);
      expect((await reply(second.question, "right")).status).toBe(202);
      const [answer] = messagesOf(await second.reader.rest());
      expect(json(textOf(answer))).toEqual({ action: "accept", content: { text: "right" } });
    }),
  );

  it(
    "a client that was cut comes back for its result, and for the question that it has to answer first",
    beside(async () => {
      const { service, url } = await running();
      const relay = await SeveringRelay.open(service.port);
      atEnd(() => relay.close());
      const { client } = await connect(`${relay.url}/mcp`);
      relay.cutOnce(/"progress":2/);
      const { content } = await client.callTool(
        { name: "slow", arguments: { ms: 600 } },
        { onprogress: () => undefined },
      );
      expect(content).toEqual([{ type: "text", text: "slow 1" }]);
      const session = await McpSession.open(url);
      const reader = await session.stream(toolCall(1, "ask"));
      const [question] = messagesOf(await reader.take(2));
      await reader.leave();
      // The id that the stream began with.
      const resumed = await session.follow(/^id: (.*)$/m.exec(reader.text)?.[1]);
      expect(messagesOf(await resumed.take(2))).toEqual([question]);
      await session.post({ jsonrpc: "2.0", id: question?.id, result: { action: "decline" } });
      expect(json(textOf(messagesOf(await resumed.rest())[0]))).toEqual({ action: "decline" });
    }),
  );

  it(
    "a time at which the server is to be woken outlives the memory, and a handler that throws",
    beside(async ({ expect }: TestContext) => {
      const { service, url } = await start();
      const { client, call, transport } = await connect(url);
      const at = Math.ceil(Date.now() / 2) * 2;
      // The first one throws; the others follow all the same.
      for (const time of [at + 1501, at + 1502, at + 1504]) await call("wake", { at: time });
      await client.subscribeResource({ uri: "counter://value" });
      await loseMemory(service);
      expect(await pageOf(service, transport.sessionId)).toMatchObject({
        events: [{ event: "woken", data: '{"late":true}' }],
      });
      await expect.poll(() => call("add", { by: 0 })).toBe("200");
      const { cause } = await service.logged(({ event }) => event === "upstream.wake_failed");
      expect(cause).toBe("Error: an odd time");
      expect(json(await call("whoami"))["state"]).toContainEqual(["lives", 2]);
    }),
  );

  it(
    "an end of the session while a tool runs ends the call, and stores nothing after it",
    beside(async () => {
      const { service, url } = await running();
      const session = await McpSession.open(url);
      const reader = await session.stream(toolCall(1, "slow", { ms: 3000 }));
      await reader.take(2);
      expect((await session.delete()).status).toBe(204);
      expect(messagesOf(await reader.rest()).at(-1)).toMatchObject({ error: { code: -32001 } });
      // Another under the same id has none of the state, nor of the calls.
      const body = { id: session.id, metadata: { upstream: "default" } };
      expect((await service.send("POST", "/v1/sessions", body)).status).toBe(201);
      const { messages } = await session.call(toolCall(2, "whoami"));
      expect(json(textOf(messages[0]))).toMatchObject({ lives: 1, state: [["lives", 1]] });
    }),
  );

  it(
    "a session that expires takes its server's times with it",
    beside(async () => {
      const { service, url } = await start({ SESSION_TTL_SECONDS: "1" });
      const session = await McpSession.open(url);
      await session.call(toolCall(1, "wake", { at: Math.ceil(Date.now() / 2) * 2 + 2000 }));
      await service.logged(({ event }) => event === "session.expired");
      expect((await session.call(toolCall(2, "whoami"))).status).toBe(404);
    }),
  );
});

it("has tasks: a slow call of a client that knows of them lives on without it", async () => {
  const { url } = await running();
  const client = new TaskClient(url);
  const slow = (await client.call("slow", { ms: 3000 })).result;
  expect(slow.resultType).toBe("task");
  const done = await client.until(slow.taskId, "completed", "failed");
  expect(done).toMatchObject({ status: "completed", result: { resultType: "complete" } });
  // A quick one is answered as without tasks.
  expect((await client.call("add", { by: 0 })).result.resultType).toBe("complete");
});
