/** The gateway skips data in a stream that is no message, on every path. It splits an event with several messages. */
import { expect, it } from "vitest";
import { INITIALIZE, McpSession, messagesOf, post, toolCall } from "../../support/mcp/client.ts";
import { roughUpstreams } from "../../support/mcp/rough-gateway.ts";
import { agreedTo, event, notice, resultOf } from "../../support/mcp/rough-server.ts";

const roughUpstream = roughUpstreams();

const NO_MESSAGE: readonly [what: string, data: string][] = [
  ["a word", "ping"],
  ["null", "null"],
  ["a heartbeat object", '{"type": "heartbeat", "time": 1}'],
  ["nothing", ""],
  ["an empty list", "[]"],
  ["a number", "17"],
  ["half of a message", '{"jsonrpc": "2.0", "method"'],
];

it.each(NO_MESSAGE)("before the answer: %s", async (_what, data) => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.stream(event(data) + event(notice("first")) + event(data));
    asked.end(event(resultOf(asked.id)));
    return true;
  });
  const { messages } = await (await McpSession.open(url)).call(toolCall(1, "x"));
  expect(messages.map(({ params, id }) => params?.data ?? id)).toEqual(["first", 1]);
});

it.each(NO_MESSAGE)("before the answer to initialize: %s", async (_what, data) => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "initialize") return false;
    asked.stream(event(data), { "mcp-session-id": "rough-1" });
    asked.end(event(resultOf(asked.id, agreedTo("2025-11-25"))));
    return true;
  });
  expect((await post(url, INITIALIZE)).status).toBe(200);
});

it.each(NO_MESSAGE)("on the standalone stream: %s", async (_what, data) => {
  const { url } = await roughUpstream((asked) => {
    if (asked.verb !== "GET") return false;
    asked.stream(event(notice(1)) + event(data) + event(notice(2)));
    return true;
  });
  const reader = await (await McpSession.open(url)).follow();
  const messages = messagesOf(await reader.take(3));
  expect(messages.map(({ params }) => params?.data)).toEqual([1, 2]);
  await reader.leave();
});

it("an answer that is nothing else is a clear error, and the session goes on", async () => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.stream();
    asked.end(event("ping") + event("null"));
    return true;
  });
  const session = await McpSession.open(url);
  const answer = await session.call(toolCall(1, "x"));
  expect(answer.messages).toMatchObject([{ id: 1, error: { code: -32603 } }]);
  expect((await session.call({ jsonrpc: "2.0", id: 2, method: "ping" })).status).toBe(200);
});

/** Texts that JSON.parse and JSON.stringify would change. */
const DIGITS = '"content": [], "price": 1.0, "total": 12345678901234567890, "tiny": 1E-7';
const NOTICE =
  '{"jsonrpc": "2.0","method":"notifications/message", "params":{"level":"info","data":1.0}}';

it("a list in an SSE answer is taken apart, and each message keeps its text", async () => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.stream();
    asked.end(event(`[${NOTICE} ,\t${resultOf(asked.id, DIGITS)}]`));
    return true;
  });
  const reader = await (await McpSession.open(url)).stream(toolCall(1, "x"));
  const texts = (await reader.rest()).map(({ data }) => data).filter((data) => data !== "");
  expect(texts).toEqual([NOTICE, resultOf("1", DIGITS)]);
});

it("a list as JSON is taken apart, and each message keeps its text", async () => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.json(`[${resultOf(asked.id, DIGITS)}]`);
    return true;
  });
  const { text } = await (await McpSession.open(url)).call(toolCall(1, "x"));
  expect(text).toContain(resultOf("1", DIGITS));
});

it("a list on the standalone stream is taken apart", async () => {
  const { url } = await roughUpstream((asked) => {
    if (asked.verb !== "GET") return false;
    asked.stream(event(`[${NOTICE},${notice("]},{")}]`));
    return true;
  });
  const reader = await (await McpSession.open(url)).follow();
  const texts = (await reader.take(3)).map(({ data }) => data).filter((data) => data !== "");
  expect(texts).toEqual([NOTICE, notice("]},{")]);
  await reader.leave();
});
