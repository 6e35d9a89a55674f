/** Messages that a server of `transport: "sse"` sends with no call under way reach the client. */
import { expect, it } from "vitest";
import {
  INITIALIZE,
  McpSession,
  messagesOf,
  post,
  readerOf,
  toolCall,
} from "../../support/mcp/client.ts";
import { startGateway } from "../../support/mcp/gateway.ts";
import { openLegacy } from "../../support/mcp/legacy-client.ts";
import { startRough } from "../../support/mcp/rough-gateway.ts";
import { agreedTo, event, notice, resultOf, type Asked } from "../../support/mcp/rough-server.ts";

/** A server of 2024: one stream, and everything on it. `stream` is the last one that was opened. */
async function legacyUpstream(upstream: { forwardAuthorization?: boolean } = {}) {
  const held: { stream?: Asked } = {};
  const server = await startRough((asked) => {
    if (
      upstream.forwardAuthorization === true &&
      asked.headers["authorization"] !== "Bearer mine"
    ) {
      asked.answer(401);
      return true;
    }
    if (asked.verb === "GET") {
      held.stream = asked;
      asked.stream("event: endpoint\ndata: /messages\n\n");
      return true;
    }
    asked.answer(202);
    const members = asked.method === "initialize" ? agreedTo("2025-11-25") : undefined;
    // A response of the client's has an id too, and no method.
    if (asked.id !== "" && asked.method !== "POST" && !asked.body.includes('"silent"')) {
      held.stream?.write(event(resultOf(asked.id, members)));
    }
    return true;
  });
  const { url, service } = await startGateway({
    default: { url: server.url, transport: "sse", ...upstream },
  });
  return { server, url, service, say: (text: string) => held.stream?.write(event(text)) };
}

const roots = '{"jsonrpc": "2.0", "id": "s1", "method": "roots/list"}';

it.each<[what: string, text: string]>([
  ["a notification", notice("unasked")],
  ["a change of its tools", '{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}'],
  ["a request of its own", roots],
])("%s reaches the open stream", async (_what, text) => {
  const { url, say } = await legacyUpstream();
  const reader = await (await McpSession.open(url)).follow();
  await reader.take(1);
  say(text);
  const [frame] = await reader.take(1);
  expect(frame?.data).toBe(text);
  await reader.leave();
});

it("the client's answer to such a request reaches the server", async () => {
  const { url, server, say } = await legacyUpstream();
  const session = await McpSession.open(url);
  const reader = await session.follow();
  await reader.take(1);
  say(roots);
  await reader.take(1);
  const answer = { jsonrpc: "2.0", id: "s1", result: { roots: [] } };
  expect((await session.post(answer)).status).toBe(202);
  expect(JSON.parse((await server.asked("POST")).body)).toEqual(answer);
  await reader.leave();
});

it("a message that comes while nobody follows is kept for the next reader", async () => {
  const { url, say } = await legacyUpstream();
  const session = await McpSession.open(url);
  say(notice("while nobody was there"));
  // The next answer comes behind it on the same stream, so by then it has been read. A ping takes
  // no message of the server's for its own.
  const { messages: answers } = await session.call({ jsonrpc: "2.0", id: 1, method: "ping" });
  expect(answers).toMatchObject([{ id: 1, result: {} }]);
  const reader = await session.follow();
  const messages = messagesOf(await reader.take(2));
  expect(messages.map(({ params }) => params?.data)).toEqual(["while nobody was there"]);
  await reader.leave();
  // That reader has had it: the next one gets only news.
  const next = await session.follow();
  say(notice("news"));
  const news = messagesOf(await next.take(2));
  expect(news.map(({ params }) => params?.data)).toEqual(["news"]);
  await next.leave();
});

it("a client that comes back with its last id misses nothing of it", async () => {
  const { url, say } = await legacyUpstream();
  const session = await McpSession.open(url);
  const reader = await session.follow();
  const [priming] = await reader.take(1);
  await reader.leave();
  say(notice(1));
  say(notice(2));
  // The first of these may hear them as they come, the second is given them from the log.
  for (let times = 0; times < 2; times++) {
    const again = await session.follow(priming?.id);
    const messages = messagesOf(await again.take(3));
    expect(messages.map(({ params }) => params?.data)).toEqual([1, 2]);
    await again.leave();
  }
});

it("a client that only listens hears a server again that has restarted", async () => {
  const { url, server, say } = await legacyUpstream();
  const session = await McpSession.open(url);
  const reader = await session.follow();
  await reader.take(1);
  say(notice("before"));
  await reader.take(1);
  await server.stop();
  await server.listen();
  await server.asked("notifications/initialized", 2);
  say(notice("after"));
  const messages = messagesOf(await reader.take(1));
  expect(messages.map(({ params }) => params?.data)).toEqual(["after"]);
  await reader.leave();
});

it.each(["the server", "the service"])(
  "and where %s restarts, one that takes the client's own credential",
  async (what) => {
    const { url, server, service, say } = await legacyUpstream({ forwardAuthorization: true });
    const mine = { authorization: "Bearer mine" };
    const opened = await post(url, INITIALIZE, mine);
    await opened.text();
    const sid = opened.headers.get("mcp-session-id") ?? "";
    const headers = { ...mine, accept: "text/event-stream", "mcp-session-id": sid };
    const follow = async () => readerOf(await fetch(url, { headers }));
    let reader = await follow();
    await reader.take(1);
    if (what === "the server") {
      await server.stop();
      await server.listen();
    } else {
      await service.kill();
      await service.restart();
      reader = await follow();
      await reader.take(1);
    }
    await server.asked("notifications/initialized");
    say(notice("after"));
    const messages = messagesOf(await reader.take(1));
    expect(messages.map(({ params }) => params?.data)).toEqual(["after"]);
    await reader.leave();
  },
);

it("a message that comes while a call is under way is sent to the client once", async () => {
  const { url, server, say } = await legacyUpstream();
  const session = await McpSession.open(url);
  const listening = await session.follow();
  await listening.take(1);
  const reader = await session.stream(toolCall(1, "silent"));
  await server.asked("tools/call");
  say(notice("of the call, or not"));
  say(resultOf("1"));
  const onCall = messagesOf(await reader.rest()).map(({ params, id }) => params?.data ?? id);
  say(notice("the end"));
  const frames = await listening.take(1);
  const onOwn = messagesOf(frames).map(({ params }) => params?.data);
  const all = [...onCall, ...onOwn].filter((one) => one === "of the call, or not");
  expect([onCall.includes(1), all]).toEqual([true, ["of the call, or not"]]);
  await listening.leave();
});

it("a legacy client hears it on its one stream", async () => {
  const { service, say } = await legacyUpstream();
  const session = await openLegacy(service.url);
  await session.post(INITIALIZE);
  await session.reader.take(1);
  say(notice("unasked"));
  const [frame] = await session.reader.take(1);
  expect(frame?.data).toBe(notice("unasked"));
  await session.reader.leave();
});
