/** A server with sessions asks its clients of 2026-07-28 by the standalone stream, which names no call. */
import { expect, it } from "vitest";
import { EraServer } from "../../support/mcp/era-server.ts";
import { answering, startGateway, startUpstream } from "../../support/mcp/gateway.ts";
import { messagesOf, readerOf } from "../../support/mcp/client.ts";
import { accepting, ModernClient, saidBy } from "../../support/mcp/modern-client.ts";

interface Body {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: { readonly name?: string; readonly _meta?: { progressToken?: unknown } };
  readonly result?: unknown;
}

const encoder = new TextEncoder();
const frame = (message: object) => encoder.encode(`data: ${JSON.stringify(message)}\n\n`);
const says = (id: unknown, text: string) => ({
  jsonrpc: "2.0",
  id,
  result: { content: [{ type: "text", text }] },
});
const notice = (method: string, params: object) => ({ jsonrpc: "2.0", method, params });
const QUESTION = {
  jsonrpc: "2.0",
  id: "q",
  method: "elicitation/create",
  params: { message: "who?", requestedSchema: { type: "object", properties: {} } },
};

/** Its tool `asks` asks when told to, and ends when it has the answer. */
async function startAsking() {
  const listeners = new Set<ReadableStreamDefaultController<Uint8Array>>();
  const answered = Promise.withResolvers<void>();
  let changed = Promise.withResolvers<void>();
  const change = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const listened = () => {
    let own: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        own = controller;
        listeners.add(own);
        opened++;
        change();
      },
      cancel() {
        listeners.delete(own);
        change();
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
  let opened = 0;
  const called = new Map<string, unknown>();
  const upstream = await startUpstream(async (request) => {
    if (request.method === "GET") return listened();
    const { id, method, params, result } = (await request.clone().json()) as Body;
    if (method === "initialize") {
      const capabilities = { tools: { listChanged: true } };
      const serverInfo = { name: "asking", version: "1" };
      const about = { protocolVersion: "2025-11-25", capabilities, serverInfo };
      const headers = { "mcp-session-id": "asking" };
      return Response.json({ jsonrpc: "2.0", id, result: about }, { headers });
    }
    if (id === "q" && result !== undefined) answered.resolve();
    if (method === undefined || id === undefined) return new Response(null, { status: 202 });
    return answering(async () => {
      const name = params?.name ?? "";
      called.set(name, params?._meta?.progressToken);
      change();
      const body = new ReadableStream<Uint8Array>({
        async start(controller) {
          await answered.promise;
          controller.enqueue(frame(says(id, name)));
          controller.close();
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    })(request);
  });
  const until = async (holds: () => boolean) => {
    while (!holds()) await changed.promise;
  };
  return {
    url: upstream.url,
    called: (...names: string[]) => until(() => names.every((name) => called.has(name))),
    /** So many streams were opened. */
    opened: (count: number) => until(() => opened >= count),
    ask: () => listeners.forEach((listener) => listener.enqueue(frame(QUESTION))),
    say: (message: object) => listeners.forEach((listener) => listener.enqueue(frame(message))),
    /** The progress token of a call, as it came. */
    tokenOf: (name: string) => called.get(name),
    end: () => answered.resolve(),
  };
}

it("is listened to for a call under way when the client that listened leaves", async () => {
  const server = await startAsking();
  const { url } = await startGateway(
    { default: { url: server.url, era: "legacy" } },
    { KEEPALIVE_SECONDS: "0.2" },
  );
  const client = new ModernClient(url);
  const leaving = new AbortController();
  const params = { notifications: { toolsListChanged: true } };
  const listening = await client.post("subscriptions/listen", params, {}, leaving.signal);
  await readerOf(listening).take(1);
  await server.opened(1);
  const asks = client.call("asks", {});
  await server.called("asks");
  leaving.abort();
  await server.opened(2);
  server.ask();
  const asked = await asks;
  expect(asked.message.result?.resultType).toBe("input_required");
  expect(saidBy(await client.call("asks", {}, accepting(asked)))).toBe("asks");
}, 20_000);

it("has progress and log messages that name no call reach the call that asked for them", async () => {
  const server = await startAsking();
  const { url } = await startGateway({ default: { url: server.url, era: "legacy" } });
  const client = new ModernClient(url, { capabilities: {} });
  const meta = { progressToken: "mine", "io.modelcontextprotocol/logLevel": "warning" };
  const answer = client.post("tools/call", { name: "asks", arguments: {}, _meta: meta });
  await server.called("asks");
  await server.opened(1);
  const log = (level: string) => notice("notifications/message", { level, data: level });
  const progress = { progressToken: server.tokenOf("asks"), progress: 1 };
  server.say(notice("notifications/progress", progress));
  server.say(notice("notifications/progress", { ...progress, progressToken: "another's" }));
  server.say(log("info"));
  server.say(log("error"));
  const reader = readerOf(await answer);
  expect(messagesOf(await reader.take(2))).toMatchObject([
    { method: "notifications/progress", params: { progressToken: "mine", progress: 1 } },
    { method: "notifications/message", params: { level: "error" } },
  ]);
  server.end();
  expect(messagesOf(await reader.rest())).toMatchObject([{ result: { resultType: "complete" } }]);
}, 20_000);

it("tells a server that refuses the client's answer that nobody waits", async () => {
  const server = await EraServer.start("legacy");
  const { url } = await startGateway({ default: { url: server.url } });
  const client = new ModernClient(url);
  const asked = await client.call("era_elicit", { tag: "refused" });
  const { requestState, inputRequests = {} } = asked.message.result ?? {};
  const inputResponses = Object.fromEntries(Object.keys(inputRequests).map((key) => [key, "no"]));
  const { message } = await client.call(
    "era_elicit",
    { tag: "refused" },
    { requestState, inputResponses },
  );
  expect(message.error).toMatchObject({ message: "The upstream refused the request" });
  await server.effects.until(() => server.effects.cancelled.has("refused"));
  expect(server.effects.of("refused")).toBe(0);
}, 20_000);
