/** Streams of the session era: they belong to the session, not to the connection. */
import { expect, it } from "vitest";
import {
  McpSession,
  messagesOf,
  readerOf,
  textOf,
  toolCall,
  type Rpc,
} from "../../support/mcp/client.ts";
import { fixtureBehindGateway } from "../../support/mcp/gateway.ts";
import { shared } from "../../support/scope.ts";
import { Service } from "../../support/service.ts";
import { lastEventIdIn } from "../../support/sse-reader.ts";

/** For tests that do not look at the fixture. */
const sharedGateway = shared(fixtureBehindGateway);

it("answers a quick call with JSON", async () => {
  // The demo server answers in the same process: over HTTP a busy machine can make any call a slow one.
  const { url } = await Service.start();
  const session = await McpSession.open(`${url}/mcp`);
  const quick = await session.post(toolCall(1, "echo", { text: "quick" }));
  expect([quick.status, quick.headers.get("content-type")]).toEqual([200, "application/json"]);
  expect(quick.headers.has("mcp-session-id")).toBe(false);
  expect(textOf((await quick.json()) as Rpc)).toBe("quick");
});

it("answers a slow call with a stream that begins with an id", async () => {
  const { url } = await sharedGateway();
  const session = await McpSession.open(url);
  const reader = await session.stream(toolCall(1, "slow", { ms: 400 }));
  const [priming, answer] = await reader.rest();
  expect(priming).toMatchObject({ data: "", id: expect.stringMatching(/-\d{12}-\d+$/) });
  expect(textOf(messagesOf([answer!])[0])).toBe("slow ");
});

it("writes ids last and keep-alives as comments alone, to POST and GET", async () => {
  const { url } = await sharedGateway({ KEEPALIVE_SECONDS: "0.1" });
  const session = await McpSession.open(url);
  const posted = await session.stream(toolCall(1, "slow", { ms: 600 }));
  await posted.rest();
  expect(posted.text).toMatch(
    /^retry: 1000\ndata: \nid: \S+\n\n(: keep-alive\n)+event: message\ndata: .+\nid: \S+\n\n$/,
  );
  const standalone = await session.follow();
  await standalone.until(/^retry: 1000\ndata: \nid: \S+\n\n(: keep-alive\n){2}/);
  await standalone.leave();
});

it("keeps the result of a call whose client is away, and gives it once, and then ends the stream", async () => {
  const { url, fixture } = await fixtureBehindGateway();
  const session = await McpSession.open(url);
  const reader = await session.stream(toolCall(1, "slow", { ms: 600, steps: 2, tag: "t" }));
  const seen = (await reader.take(2)).at(-1)?.id;
  await reader.leave();
  // Another call, answered after the first one has finished, tells without a clock that it has.
  await session.call(toolCall(2, "slow", { ms: 900 }));

  const resumed = await session.follow(seen);
  const frames = await resumed.rest();
  expect(frames[0]?.data).toBe("");
  const messages = messagesOf(frames);
  expect(messages.map((m) => m.params?.data ?? textOf(m))).toEqual(["t2", "slow t"]);
  // And once more from the end: an id, nothing else, and the end.
  const again = messagesOf(await (await session.follow(lastEventIdIn(resumed.text))).rest());
  expect(again).toEqual([]);
  expect(fixture.requests.filter(({ body }) => body.includes('"slow"'))).toHaveLength(2);
});

it("resumes a call that was cut before its first message", async () => {
  const { url } = await sharedGateway();
  const session = await McpSession.open(url);
  const reader = await session.stream(toolCall(1, "slow", { ms: 700, tag: "x" }));
  const [priming] = await reader.take(1);
  await reader.leave();
  const messages = messagesOf(await (await session.follow(priming?.id)).rest());
  expect(messages.map(textOf)).toEqual(["slow x"]);
});

it("hands a stream over to the last who asked for it, message by message to one reader", async () => {
  const { url } = await sharedGateway();
  const session = await McpSession.open(url);
  const first = await session.stream(toolCall(1, "slow", { ms: 800, tag: "x" }));
  const [priming] = await first.take(1);
  const second = await session.follow(priming?.id);
  expect(messagesOf(await first.rest())).toEqual([]);
  expect(messagesOf(await second.rest()).map(textOf)).toEqual(["slow x"]);
});

it("hands the standalone stream over with the upstream's, which that gives to one at a time", async () => {
  const { url } = await sharedGateway();
  const session = await McpSession.open(url);
  let reader = await session.follow();
  await reader.take(1);
  for (const data of ["a", "b", "c", "d"]) {
    const later = await session.follow();
    await later.take(1);
    expect(messagesOf(await reader.rest())).toEqual([]);
    await session.call(toolCall(data, "announce", { data }));
    expect(messagesOf(await later.take(1))[0]?.params?.data).toBe(data);
    reader = later;
  }
  await reader.leave();
});

it("refuses a Last-Event-ID that it never gave, and one of another session", async () => {
  const { url } = await sharedGateway();
  const [mine, other] = [await McpSession.open(url), await McpSession.open(url)];
  const [priming] = await (await other.stream(toolCall(1, "slow", { ms: 300 }))).rest();
  const native = priming!.id!.replace(/-\d+$/, "-0");
  const beyond = priming!.id!.replace(/-\d+$/, "-99");
  for (const id of ["nonsense", priming!.id!]) expect((await mine.get(id)).status).toBe(400);
  for (const id of [native, beyond]) expect((await other.get(id)).status).toBe(400);
});

it("gives what the upstream sends outside of any call to the one standalone stream, also what came meanwhile", async () => {
  const { url } = await sharedGateway({ KEEPALIVE_SECONDS: "0.2" });
  const session = await McpSession.open(url);
  const reader = await session.follow();
  await session.call(toolCall(1, "announce", { data: "first" }));
  const [, first] = await reader.take(2);
  expect(messagesOf([first!])[0]?.params?.data).toBe("first");
  await reader.leave();
  await session.call(toolCall(2, "announce", { data: "second" }));
  // Long enough for the bridge to notice and to let the upstream's stream go.
  await session.call(toolCall(3, "slow", { ms: 700 }));
  await session.call(toolCall(4, "announce", { data: "third" }));

  const resumed = await session.follow(first?.id);
  const frames = await resumed.take(3);
  expect(messagesOf(frames).map((m) => m.params?.data)).toEqual(["second", "third"]);
  await resumed.leave();
});

it("lets the upstream's stream go within a keep-alive of the client leaving", async () => {
  const { url, fixture } = await fixtureBehindGateway({ KEEPALIVE_SECONDS: "0.2" });
  const session = await McpSession.open(url);
  const reader = await session.follow();
  await reader.take(1);
  await expect.poll(() => fixture.openStreams).toBe(1);
  await reader.leave();
  await expect.poll(() => fixture.openStreams).toBe(0);
});

it("takes up an upstream's stream that closes in the middle of a call", async () => {
  const { url } = await sharedGateway();
  const session = await McpSession.open(url);
  const { messages } = await session.call(toolCall(1, "test_reconnection"));
  expect(messages.map(textOf)).toEqual(["answered after a reconnection"]);
});

it("ends a call that the client cancels", async () => {
  const { url } = await sharedGateway();
  const session = await McpSession.open(url);
  const reader = await session.stream(toolCall(7, "slow", { ms: 30_000 }));
  await reader.take(1);
  const params = { requestId: 7 };
  const cancel = { jsonrpc: "2.0", method: "notifications/cancelled", params };
  expect((await session.post(cancel)).status).toBe(202);
  expect(messagesOf(await reader.rest())).toMatchObject([{ id: 7, error: { code: -32603 } }]);
});

it.each([
  [
    "elicitation",
    toolCall(1, "test_elicitation", { message: "who?" }),
    "elicitation/create",
    { action: "accept", content: { username: "u", email: "e@example.com" } },
    '"username":"u"',
  ],
  [
    "sampling",
    toolCall(1, "test_sampling", { prompt: "what?" }),
    "sampling/createMessage",
    { role: "assistant", model: "m", content: { type: "text", text: "sampled" } },
    '"sampled"',
  ],
])(
  "serves %s in the middle of a call, also across a drop",
  async (_what, body, method, result, says) => {
    const { url } = await sharedGateway();
    const session = await McpSession.open(url);
    const asked = await session.follow();
    await asked.take(1);
    const call = session.call(body);
    const [frame] = await asked.take(1);
    const [question] = messagesOf([frame!]);
    expect(question).toMatchObject({ method });
    // The client drops with the question unanswered, comes back, and answers.
    await asked.leave();
    const back = readerOf(await session.get(frame?.id));
    await back.take(1);
    const answer = { jsonrpc: "2.0", id: question!.id, result };
    expect((await session.post(answer)).status).toBe(202);
    expect(textOf((await call).messages[0])).toContain(says);
    await back.leave();
  },
);
