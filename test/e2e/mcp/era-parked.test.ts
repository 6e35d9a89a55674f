/** Calls that wait for the client of a server of 2026-07-28: cuts and kills at each step, and answers that come twice or too late. */
import { expect, it } from "vitest";
import { McpSession, messagesOf, readerOf, textOf, toolCall } from "../../support/mcp/client.ts";
import { ModernServer } from "../../support/mcp/era-modern-server.ts";
import { startGateway } from "../../support/mcp/gateway.ts";
import { openLegacy } from "../../support/mcp/legacy-client.ts";
import { beside, shared } from "../../support/scope.ts";
import { lastEventIdIn, SseReader } from "../../support/sse-reader.ts";

async function start() {
  const server = await ModernServer.start();
  const gateway = await startGateway({ default: { url: server.url } });
  return { server, ...gateway };
}

/** For tests that kill nothing. */
const started = shared(start);

const QUESTION = /"id":"(holdfast-ask-[^"]+)"/g;

/** The ids of the questions that came so far, once there are `count`. */
async function questionsOn(reader: SseReader, count: number): Promise<string[]> {
  const found = () => [...reader.text.matchAll(QUESTION)].map(([, id]) => id ?? "");
  while (found().length < count)
    await reader.until(new RegExp(`(${QUESTION.source}[^]*){${count}}`));
  return found();
}

const accepted = (id: string, name = "Ada") => ({
  jsonrpc: "2.0",
  id,
  result: { action: "accept", content: { name } },
});

async function answer(session: McpSession, id: string, name?: string): Promise<number> {
  const response = await session.post(accepted(id, name));
  await response.body?.cancel();
  return response.status;
}

const INTERRUPTED = { code: -32603, message: "upstream exchange was interrupted" };

it.concurrent(
  "goes on after a kill between the question and the answer",
  beside(async () => {
    const { server, service, url } = await start();
    const session = await McpSession.open(url);
    const reader = await session.stream(toolCall("mine", "ask", { tag: "t", rounds: 2 }));
    const [first = ""] = await questionsOn(reader, 1);
    await service.kill();
    await service.restart();

    // The client comes back after its answer, and gets the next question.
    expect(await answer(session, first)).toBe(202);
    const resumed = await session.follow(lastEventIdIn(reader.text));
    const [second = ""] = await questionsOn(resumed, 1);
    await service.kill();
    await service.restart();

    // This time it comes back first.
    const last = await session.follow(lastEventIdIn(resumed.text));
    expect(await answer(session, second, "Bob")).toBe(202);
    const [result, ...more] = messagesOf(await last.rest());
    expect(more).toEqual([]);
    expect(result).toMatchObject({ id: "mine" });
    expect(textOf(result)).toMatch(/Ada.*Bob/);
    expect(server.done).toEqual(["t"]);
    // An object that comes back does not discover the server again.
    expect(server.sent("server/discover")).toHaveLength(1);
    expect(server.sent("tools/call")).toHaveLength(3);
  }),
);

it.concurrent(
  "never sends a call again whose answers were on their way when the service was killed",
  beside(async () => {
    const { server, service, url } = await start();
    const session = await McpSession.open(url);
    const reader = await session.stream(toolCall(7, "ask", { tag: "t", rounds: 1 }));
    const [question = ""] = await questionsOn(reader, 1);
    const gate = Promise.withResolvers<void>();
    server.gate = gate.promise;
    expect(await answer(session, question)).toBe(202);
    await server.until(() => server.sent("tools/call").length === 2);
    await service.kill();
    await service.restart();
    const resumed = await session.follow(lastEventIdIn(reader.text));
    expect(messagesOf(await resumed.rest())).toEqual([
      { jsonrpc: "2.0", id: 7, error: INTERRUPTED },
    ]);
    gate.resolve();
    expect(await answer(session, question)).toBe(202);
    expect(textOf((await session.call(toolCall(8, "echo", { tag: "after" }))).messages[0])).toBe(
      "after",
    );
    expect(server.sent("tools/call")).toHaveLength(3);
    expect(server.done.filter((tag) => tag === "t").length).toBeLessThan(2);
  }),
);

it.concurrent(
  "keeps the answers that came before a kill, and takes each question's first answer",
  beside(async () => {
    const { server, service, url } = await start();
    const capabilities = { elicitation: {}, sampling: {}, roots: {} };
    const capable = await McpSession.open(url, { capabilities });
    const reader = await capable.stream(toolCall(1, "askAll", { tag: "t" }));
    const [name = "", capital = "", roots = ""] = await questionsOn(reader, 3);
    expect(await answer(capable, name, "first")).toBe(202);
    expect(await answer(capable, name, "second")).toBe(202);
    await service.kill();
    await service.restart();
    const resumed = await capable.follow(lastEventIdIn(reader.text));
    const sampled = { role: "assistant", model: "m", content: { type: "text", text: "Paris" } };
    const batch = { jsonrpc: "2.0", id: capital, result: sampled };
    expect((await capable.post(batch)).status).toBe(202);
    expect(server.done).toEqual([]);
    const listed = { jsonrpc: "2.0", id: roots, result: { roots: [] } };
    expect((await capable.post(listed)).status).toBe(202);
    const [result] = messagesOf(await resumed.rest());
    expect(textOf(result)).toContain('"name":"first"');
    expect(textOf(result)).toContain("Paris");
    expect(server.done).toEqual(["t"]);
  }),
);

it.concurrent(
  "answers a call that is cancelled while it waits, and takes no answer for it",
  beside(async () => {
    const { server, url } = await started();
    const session = await McpSession.open(url);
    const reader = await session.stream(toolCall(3, "ask", { tag: "cancelled", rounds: 1 }));
    const [question = ""] = await questionsOn(reader, 1);
    const params = { requestId: 3 };
    const cancel = { jsonrpc: "2.0", method: "notifications/cancelled", params };
    expect((await session.post(cancel)).status).toBe(202);
    expect(messagesOf(await reader.rest()).at(-1)).toMatchObject({
      id: 3,
      error: { message: "The request was cancelled" },
    });
    expect(await answer(session, question)).toBe(202);
    await session.call(toolCall(4, "echo", { tag: "cancelled-after" }));
    expect(server.done).not.toContain("cancelled");
  }),
);

it.concurrent(
  "ends a call that waits together with its session",
  beside(async () => {
    const { url } = await started();
    const session = await McpSession.open(url);
    const reader = await session.stream(toolCall(5, "ask", { tag: "ended", rounds: 1 }));
    await questionsOn(reader, 1);
    expect((await session.delete()).status).toBe(204);
    await reader.rest();
    expect(reader.text).toContain('"id":5,"error":{"code":-32001');
  }),
);

it.concurrent(
  "ends a call that waits where the session gets another owner, who cannot answer for the last one",
  beside(async () => {
    const { server, service, url } = await started();
    const session = await McpSession.open(url);
    const reader = await session.stream(toolCall(5, "ask", { tag: "owned", rounds: 1 }));
    const [question = ""] = await questionsOn(reader, 1);
    const body = { type: "mcp", subject: "bob", metadata: { upstream: "default" } };
    expect((await service.send("PUT", `/v1/sessions/${session.id}`, body)).status).toBe(200);
    await reader.rest();
    const again = await session.follow(lastEventIdIn(reader.text));
    const all = [reader.text, (await again.rest()).map(({ data }) => data).join("")].join("");
    expect(all).toContain('"id":5,"error":{"code":-32603');
    expect(await answer(session, question)).toBe(202);
    await session.call(toolCall(6, "echo", { tag: "owned-after" }));
    expect(server.done).not.toContain("owned");
  }),
);

it.concurrent(
  "takes answers of its own session alone",
  beside(async () => {
    const { server, url } = await started();
    const session = await McpSession.open(url);
    const other = await McpSession.open(url);
    const reader = await session.stream(toolCall(6, "ask", { tag: "own", rounds: 1 }));
    const [question = ""] = await questionsOn(reader, 1);
    expect(await answer(other, question, "Mallory")).toBe(202);
    expect(await answer(other, "holdfast-ask-none")).toBe(202);
    expect(server.done).not.toContain("own");
    expect(await answer(session, question, "Ada")).toBe(202);
    expect(textOf(messagesOf(await reader.rest()).at(-1))).toContain("Ada");
  }),
);

it.concurrent(
  "goes on for a client of HTTP+SSE, whose answers come on its one stream",
  beside(async () => {
    const { service, server } = await started();
    const client = await openLegacy(service.url);
    const params = {
      protocolVersion: "2024-11-05",
      capabilities: { elicitation: {} },
      clientInfo: { name: "old", version: "1" },
    };
    await client.post({ jsonrpc: "2.0", id: 0, method: "initialize", params });
    await client.reader.until(/modern-only/);
    await client.post(toolCall(1, "ask", { tag: "old", rounds: 1 }));
    const [question = ""] = await questionsOn(client.reader, 1);
    expect((await client.post(accepted(question, "Eve"))).status).toBe(202);
    await client.reader.until(/Eve/);
    expect(server.done).toContain("old");
  }),
);

it.concurrent(
  "carries answers and requests that are larger than a row of its storage",
  beside(async () => {
    const { url } = await started();
    const session = await McpSession.open(url);
    const tag = `large ${"é".repeat(700_000)}`;
    const reader = await session.stream(toolCall(9, "ask", { tag, rounds: 1 }));
    const [question = ""] = await questionsOn(reader, 1);
    expect(await answer(session, question, "y".repeat(1_500_000))).toBe(202);
    expect(textOf(messagesOf(await reader.rest()).at(-1))).toContain("y".repeat(1_500_000));
  }),
);

it.concurrent(
  "sends a call again with the credential that the client's answer came with",
  beside(async () => {
    const { server, service, url } = await start();
    const settings = { url: server.url, forwardAuthorization: true };
    service.configure({ UPSTREAMS: JSON.stringify({ default: settings }) });
    await service.kill();
    await service.restart();
    const session = await McpSession.open(url);
    const call = toolCall(1, "ask", { tag: "t", rounds: 1 });
    const first = await session.post(call, { authorization: "Bearer old" });
    const reader = readerOf(first);
    const [question = ""] = await questionsOn(reader, 1);
    await service.kill();
    await service.restart();
    const taken = await session.post(accepted(question), { authorization: "Bearer new" });
    expect(taken.status).toBe(202);
    const resumed = await session.follow(lastEventIdIn(reader.text));
    expect(textOf(messagesOf(await resumed.rest()).at(-1))).toContain("Ada");
    const sent = server.sent("tools/call").map(({ headers }) => headers.get("authorization"));
    expect(sent).toEqual(["Bearer old", "Bearer new"]);
  }),
);

it.concurrent(
  "bounds the calls that wait: one too many ends with an error, and the others go on",
  beside(async () => {
    const { server, url } = await started();
    const session = await McpSession.open(url);
    const large = "x".repeat(2_000_000);
    const first = await session.stream(toolCall(0, "ask", { tag: `first ${large}`, rounds: 1 }));
    const [question = ""] = await questionsOn(first, 1);
    let refused: unknown;
    for (let n = 1; refused === undefined && n < 20; n++) {
      const response = await session.post(toolCall(n, "ask", { tag: large, rounds: 1 }));
      const reader = new SseReader(response.body!);
      // The refusal is JSON or on a stream, as fast as the machine is.
      await reader.until(/holdfast-ask|"error"/);
      refused = /"error":(\{.*?\})/.exec(reader.text)?.[1];
      await reader.leave();
    }
    expect(JSON.parse(String(refused))).toEqual({
      code: -32603,
      message: "Too many calls of the session wait for its client",
    });
    expect(await answer(session, question)).toBe(202);
    expect(textOf(messagesOf(await first.rest()).at(-1))).toContain("Ada");
    expect(server.done.filter((tag) => tag.startsWith("first"))).toHaveLength(1);
  }),
);

it.concurrent(
  "asks for one request of a batch while another is at work, and after a kill only that other one is lost",
  beside(async () => {
    const { server, url, service } = await start();
    const session = await McpSession.open(url, { protocolVersion: "2025-03-26" });
    const version = { "mcp-protocol-version": "2025-03-26" };
    const gate = Promise.withResolvers<void>();
    server.gate = gate.promise;
    const batch = [
      toolCall("a", "ask", { tag: "asks", rounds: 1 }),
      toolCall("b", "echo", { tag: "works" }),
    ];
    const reader = readerOf(await session.post(batch, version));
    const [question = ""] = await questionsOn(reader, 1);
    await service.kill();
    await service.restart();
    gate.resolve();
    const headers = { accept: "text/event-stream", "mcp-session-id": session.id, ...version };
    const lastEventId = lastEventIdIn(reader.text) ?? "";
    const again = readerOf(
      await fetch(url, { headers: { ...headers, "last-event-id": lastEventId } }),
    );
    await again.until(/interrupted/);
    const answered = await session.post(accepted(question), version);
    expect(answered.status).toBe(202);
    const messages = messagesOf(await again.rest());
    expect(messages).toMatchObject([
      { id: "b", error: INTERRUPTED },
      { id: "a", result: { content: [{ text: expect.stringContaining("Ada") as string }] } },
    ]);
    expect(server.done.toSorted()).toEqual(["asks", "works"]);
  }),
);
