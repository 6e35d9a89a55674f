/** The streams of a session: which reader gets what, where each starts, and the words between object and bridge. */
import { expect, it, vi } from "vitest";
import { parseEventId } from "../../../../src/core/event-id.ts";
import { RETRY_MS, UPSTREAM_HELD_MS } from "../../../../src/core/limits.ts";
import { GatewayStreams } from "../../../../src/gateway/object/streams.ts";
import { FAILURES } from "../../../../src/gateway/upstream/failure.ts";
import { Subscribers } from "../../../../src/stream/subscribers.ts";
import {
  accepted,
  agreed,
  errorOf,
  Flow,
  json,
  notice,
  ObjectInNode,
  pass,
  resultOf,
  rpc,
  settle,
  toolCall,
  withObjects,
  type Asked,
  type ObjectOptions,
  type Reader,
} from "../../../support/mcp/object-in-node.ts";
import { ObjectStorage } from "../../../support/object-storage.ts";

withObjects();

const own = (stream: number) => ({ kind: "exchange" as const, stream });
const standalone = { kind: "standalone" as const };
const seqOf = (id: string) => parseEventId(id)?.seq;

async function flowing(options: ObjectOptions = {}) {
  const flow = new Flow();
  const script = ({ method }: Asked) => (method === "tools/call" ? flow.response : undefined);
  return { flow, one: await ObjectInNode.open({ script, ...options }) };
}

/** The first frame, as it was written. */
const primingOf = ({ socket: { sent } }: Reader) => new TextDecoder().decode(sent[0] as Uint8Array);
const backendsOf = ({ words }: Reader) =>
  words
    .filter((word) => word.startsWith("backend "))
    .map((word) => JSON.parse(word.slice("backend ".length)) as Record<string, unknown>);

it.each([
  ["2025-11-25", /^retry: 1000\ndata: \nid: \w{15}-0{12}-2\n\n$/],
  ["2025-06-18", /^retry: 1000\nid: \w{15}-0{12}-2\n\n$/],
])("begins a stream of %s with its id and the time to reconnect", async (version, frame) => {
  const { one } = await flowing({
    initialize: rpc(0, "initialize", { protocolVersion: version }),
  });
  const reader = await one.follow(toolCall(1));
  expect(RETRY_MS).toBe(1000);
  expect(primingOf(reader)).toMatch(frame);
});

it("gives each message of every stream an id of its own, in the order in which they came", async () => {
  const { one, flow } = await flowing();
  const listening = await one.attach(standalone);
  await one.word(listening, "held");
  const reader = await one.follow(toolCall(1));
  await flow.say(notice(1));
  await one.word(listening, `upstream \n${notice(2)}`);
  await flow.say(resultOf("1"));
  expect(reader.events.map(({ event }) => event).slice(1)).toEqual(["message", "message"]);
  expect([seqOf(reader.lastEventId), seqOf(listening.lastEventId)]).toEqual([3, 2]);
  expect(listening.messages).toEqual([notice(2)]);
});

it("replays each stream from its own place, without the messages of the others", async () => {
  const flows = [new Flow(), new Flow()];
  const one = await ObjectInNode.open({
    script: ({ method, id }) =>
      method === "tools/call" ? flows[Number(id) - 1]?.response : undefined,
  });
  const first = await one.follow(toolCall(1));
  const second = await one.follow(toolCall(2));
  const start = second.lastEventId;
  await flows[0]?.say(notice("a"));
  await flows[1]?.say(notice("b"));
  await flows[0]?.say(notice("c"));
  await flows[1]?.say(notice("d"));
  const again = await one.attach({ kind: "resume", lastEventId: start });
  expect([again.messages, second.closed]).toEqual([[notice("b"), notice("d")], 4003]);
  await flows[1]?.say(resultOf("2"));
  expect([again.messages.at(-1), again.closed, first.closed]).toEqual([
    resultOf("2"),
    4002,
    undefined,
  ]);
  expect(second.messages).toEqual([notice("b"), notice("d")]);
});

it("gives a second standalone stream everything from then on, and the first one nothing", async () => {
  const one = await ObjectInNode.open();
  const first = await one.attach(standalone);
  const second = await one.attach(standalone);
  expect(first.closed).toBe(4003);
  await one.word(second, `upstream \n${notice(1)}`);
  expect([first.messages, second.messages]).toEqual([[], [notice(1)]]);
});

it("keeps what comes while nobody follows the standalone stream for the one who follows it next, once", async () => {
  const { one, flow } = await flowing();
  const reader = await one.attach(standalone);
  await one.word(reader, "held");
  await one.word(reader, `upstream e1\n${notice("read")}`);
  // The bridge writes on while its reader leaves: the socket is closing, and the message comes all the same.
  one.leave(reader);
  await one.follow(toolCall(1));
  await flow.say(notice("of the call"));
  const next = await one.attach(standalone);
  expect(next.messages).toEqual([]);
});

it("keeps answers of the server to nobody from the standalone stream", async () => {
  const one = await ObjectInNode.open();
  const reader = await one.attach(standalone);
  const question = rpc("q", "roots/list");
  await one.word(reader, `upstream e1\n[${resultOf("9")},${question},${notice(1)}]`);
  await one.word(reader, "upstream e2\n{}");
  expect(reader.messages).toEqual([question, notice(1)]);
  const next = await one.attach(standalone);
  expect(backendsOf(next)).toMatchObject([{ sid: "upstream-1", lastEventId: "e2" }]);
});

it("tells the bridge which stream to hold: url, session, version and the last event that came", async () => {
  const one = await ObjectInNode.open();
  const reader = await one.attach(standalone);
  expect(backendsOf(reader)).toEqual([
    { url: one.urls[0], sid: "upstream-1", version: "2025-11-25" },
  ]);
  expect((await one.follow(toolCall(1)).catch(() => undefined))?.words ?? []).toEqual([]);
});

it("resumes the upstream's stream after its newest id, though messages without one came after it", async () => {
  const one = await ObjectInNode.open();
  const reader = await one.attach(standalone);
  await one.word(reader, `upstream e1\n${notice(1)}`);
  await one.word(reader, `upstream \n${notice(2)}`);
  const next = await one.attach(standalone);
  expect(backendsOf(next)).toMatchObject([{ lastEventId: "e1" }]);
});

it("has a call wait for the upstream's stream that is being opened, until the bridge has it", async () => {
  const one = await ObjectInNode.open();
  const reader = await one.attach(standalone);
  void one.post(toolCall(1));
  await pass(UPSTREAM_HELD_MS - 1);
  expect(one.methods()).toEqual([]);
  await one.word(reader, "held");
  expect(one.methods()).toEqual(["tools/call"]);
  void one.post(toolCall(2));
  await settle();
  expect(one.methods()).toEqual(["tools/call", "tools/call"]);
  // A bridge that says it again says nothing.
  await expect(one.word(reader, "held")).resolves.toBeUndefined();
});

it("has it wait a second at most, and a notification not at all", async () => {
  const one = await ObjectInNode.open();
  await one.attach(standalone);
  void one.post(toolCall(1));
  void one.post(rpc(undefined, "notifications/progress"));
  await pass(UPSTREAM_HELD_MS - 1);
  expect(one.methods()).toEqual(["notifications/progress"]);
  await pass(1);
  expect(one.methods()).toEqual(["notifications/progress", "tools/call"]);
});

it("has it wait for the newest bridge, and for no word of the one before", async () => {
  const one = await ObjectInNode.open();
  const first = await one.attach(standalone);
  void one.post(toolCall(1));
  await pass(500);
  const second = await one.attach(standalone);
  // The call that waited goes on: the bridge that it waited for has been superseded.
  expect([first.closed, one.methods()]).toEqual([4003, ["tools/call"]]);
  void one.post(toolCall(2));
  await one.word(first, "held");
  expect(one.methods()).toEqual(["tools/call"]);
  await one.word(second, "held");
  expect(one.methods()).toEqual(["tools/call", "tools/call"]);
});

it("passes on for how long the upstream wants readers to wait, to those of its standalone stream", async () => {
  const { one } = await flowing();
  const reader = await one.attach(standalone);
  await one.word(reader, "held");
  const other = await one.follow(toolCall(1));
  const [before, otherBefore] = [reader.socket.sent.length, other.socket.sent.length];
  await one.word(reader, "retry 5000");
  await one.word(reader, "retry soon");
  await one.word(reader, "retry 5s");
  await one.word(reader, "retry -1");
  const after = reader.socket.sent
    .slice(before)
    .map((one_) => new TextDecoder().decode(one_ as Uint8Array));
  expect(after).toEqual(["retry: 5000\n"]);
  expect(other.socket.sent).toHaveLength(otherBefore);
});

it("heeds words of a standalone stream's bridge from no other one", async () => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(1));
  await one.word(reader, `upstream e1\n${notice("forged")}`);
  await one.word(reader, "retry 1");
  await one.word(reader, 'lost {"sid":"upstream-1"}');
  await one.word(reader, "nonsense");
  await flow.say(notice(1));
  expect(reader.messages).toEqual([notice(1)]);
  expect(one.methods()).toEqual(["tools/call"]);
  expect((await one.attach(standalone)).messages).toEqual([]);
});

it("makes the bridge follow a new upstream session from its beginning", async () => {
  const one = await ObjectInNode.open();
  const reader = await one.attach(standalone);
  await one.word(reader, `upstream e1\n${notice(1)}`);
  one.upstreamSid = "upstream-2";
  one.script = ({ method, sid, verb }) =>
    verb === "POST" && method !== "initialize" && sid === "upstream-1"
      ? new Response(null, { status: 404 })
      : undefined;
  await one.word(reader, "held");
  await one.post(toolCall(1));
  const [, second] = backendsOf(reader);
  expect(second).toMatchObject({ sid: "upstream-2" });
  expect(second).not.toHaveProperty("lastEventId");
});

it("sends what is much in pages, each when the bridge asks for it, and follows live after the last", async () => {
  const { one, flow } = await flowing();
  const before = await one.follow(toolCall(1));
  one.leave(before);
  const large = Array.from({ length: 5 }, (_, n) => notice(`${n}`.padEnd(100_000, "x")));
  for (const text of large) await flow.say(text);
  const reader = await one.attach(own(2));
  expect([reader.messages.length, reader.words]).toEqual([2, ["behind"]]);
  await flow.say(notice("while it is behind"));
  expect(reader.messages).toHaveLength(2);
  while (reader.words.length < 10 && reader.messages.length < 6) await one.word(reader, "more");
  expect(reader.messages).toEqual([...large, notice("while it is behind")]);
  await flow.say(notice("live"), resultOf("1"));
  expect(reader.messages.slice(6)).toEqual([notice("live"), resultOf("1")]);
  expect(reader.closed).toBe(4002);
});

it("lets a reader go that is behind what the log has kept: it must not wait for what is gone", async () => {
  const { one, flow } = await flowing({ env: { LOG_MAX_EVENTS: "4" } });
  const first = await one.follow(toolCall(1));
  one.leave(first);
  const large = Array.from({ length: 4 }, (_, n) => notice(`${n}`.padEnd(200_000, "x")));
  for (const text of large) await flow.say(text);
  const reader = await one.attach(own(2));
  expect(reader.words).toEqual(["behind"]);
  for (let n = 0; n < 3; n++) await flow.say(notice(n));
  await one.word(reader, "more");
  expect([reader.messages.length, reader.closed]).toEqual([1, 4004]);
  expect(await one.tryToAttach({ kind: "resume", lastEventId: first.lastEventId })).toBe(400);
  // A reader without an id starts at what is left.
  const fresh = await one.attach(own(2));
  expect(fresh.messages[0]).toBe(large[3]);
});

it("leaves a reader alone who asks for more and is behind nothing, and one whose connection is closing", async () => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(1));
  await one.word(reader, "more");
  expect(reader.closed).toBeUndefined();
  await flow.say(notice(1));
  expect(reader.messages).toEqual([notice(1)]);
  reader.socket.readyState = WebSocket.CLOSING;
  await expect(one.word(reader, "more")).resolves.toBeUndefined();
});

it("knows the streams that were begun, and no other", async () => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(1));
  await flow.say(notice(1));
  const id = (stream: number) => reader.lastEventId.replace(/\d+$/, String(stream));
  const verdict = async (stream: number) => {
    const given = await one.tryToAttach({ kind: "resume", lastEventId: id(stream) });
    return typeof given === "number" ? given : "attached";
  };
  expect([await verdict(0), await verdict(1), await verdict(2), await verdict(3)]).toEqual([
    400,
    "attached",
    "attached",
    400,
  ]);
});

it("stores a message that is larger than a row, in the session's log and for another life of the object", async () => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(1));
  const huge = notice("x".repeat(1_500_000));
  await flow.say(huge);
  await one.evict();
  const again = await one.attach({ kind: "resume", lastEventId: reader.lastEventId });
  expect(again.messages[0]).toContain("interrupted");
  const whole = await one.attach(own(2));
  await one.word(whole, "more");
  expect(whole.messages[0]).toBe(huge);
});

it("answers a call by JSON without a row where nothing has to be kept", async () => {
  const one = await ObjectInNode.open({
    script: ({ id, method }) => (method === "tools/call" ? json(resultOf(id)) : undefined),
  });
  await one.post(toolCall(1));
  expect(one.storage.rows()).toEqual({});
});

/** A session at a server of HTTP+SSE, whose one stream lives in the object. The function has the server say something. */
async function atOneStream(env: Readonly<Record<string, string>> = {}) {
  let flow = new Flow();
  const script = ({ verb, id, method, body }: Asked) => {
    if (verb === "GET") {
      flow = new Flow();
      void flow.write("event: endpoint\ndata: /messages\n\n");
      return flow.response;
    }
    if (id !== "") {
      const answer = method === "initialize" ? agreed(id, body).text() : resultOf(id);
      void Promise.resolve(answer).then((text) => flow.say(text));
    }
    return accepted();
  };
  const upstream = { transport: "sse", era: undefined };
  const one = await ObjectInNode.open({ script, upstream, env });
  return {
    one,
    say: (...messages: string[]) => flow.say(...messages),
    breakOff: () => flow.breakOff(),
  };
}

it("keeps what the server says while nobody follows for the next reader, once, in whichever life", async () => {
  const { one, say } = await atOneStream();
  await one.post(toolCall(1));
  await say(notice(1));
  await say(notice(2));
  const reader = await one.attach(standalone);
  expect(reader.messages).toEqual([notice(1), notice(2)]);
  await say(notice(3));
  one.leave(reader);
  const second = await one.attach(standalone);
  expect([reader.messages.at(-1), second.messages]).toEqual([notice(3), []]);
  one.leave(second);
  await say(notice(4));
  await one.evict();
  const third = await one.attach(standalone);
  expect(third.messages).toEqual([notice(4)]);
  // The object listens itself, so it names no stream to the bridge.
  expect(backendsOf(third)).toEqual([]);
});

it("names no stream of a new upstream session to the bridge there either", async () => {
  const { one, say, breakOff } = await atOneStream();
  const reader = await one.attach(standalone);
  await one.post(toolCall(1));
  await breakOff();
  await pass(1000);
  expect(one.all("initialize")).toHaveLength(1);
  expect(backendsOf(reader)).toEqual([]);
  // It listens there itself, once, whatever the client asks for.
  await one.post(toolCall(2));
  await say(notice(1));
  expect(reader.messages).toEqual([notice(1)]);
});

it("gives it what the log has kept of that, and not what a call said meanwhile", async () => {
  const { one, say } = await atOneStream();
  await one.post(toolCall(1));
  for (let n = 0; n < 3; n++) await say(notice(n));
  const late = await one.attach(standalone);
  expect(late.messages).toEqual([0, 1, 2].map(notice));
  const resumed = await one.attach({ kind: "resume", lastEventId: late.lastEventId });
  expect([late.closed, resumed.messages]).toEqual([4003, []]);
});

it("gives it the newest of what the log could keep, and lets it follow from there", async () => {
  const { one, say } = await atOneStream({ LOG_MAX_EVENTS: "3" });
  await one.post(toolCall(1));
  for (let n = 0; n < 6; n++) await say(notice(n));
  const late = await one.attach(standalone);
  expect([late.messages, late.closed]).toEqual([[3, 4, 5].map(notice), undefined]);
  await say(notice(6));
  expect(late.messages.at(-1)).toBe(notice(6));
});

const CHANGED = rpc(undefined, "notifications/tools/list_changed");
const ERA_MATCH = { type: "mcp", upstream: "default", era: "1" };

/** A session for clients of the stateless revision, at a server that reports changes of its tools. The function attaches one. */
async function forListeners() {
  const capabilities = '"capabilities":{"tools":{"listChanged":true}}';
  const result = `"protocolVersion":"2025-11-25",${capabilities},"serverInfo":{"name":"s","version":"1"}`;
  const script = ({ method, id }: Asked) =>
    method === "initialize"
      ? json(resultOf(id, result), 200, { "mcp-session-id": "upstream-1" })
      : undefined;
  const one = ObjectInNode.empty({ script });
  await one.initialize(rpc(0, "initialize", { protocolVersion: "2025-11-25" }), { era: true });
  const listen = async (id: number, filter: object = { toolsListChanged: true }) => {
    const start = { kind: "listen", id: String(id), filter, headers: {}, match: ERA_MATCH };
    const reader = await one.attach(start as never);
    await settle();
    return reader;
  };
  return { one, listen };
}

const methodsOn = ({ messages }: Reader) =>
  messages.map((text) => (JSON.parse(text) as { method: string }).method);
const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";

it("has one of several listeners hold the upstream's stream, and another once that one has left, in whichever life", async () => {
  const { one, listen } = await forListeners();
  const first = await listen(1);
  expect(backendsOf(first)).toMatchObject([{ sid: "upstream-1", version: "2025-11-25" }]);
  // Its request is acknowledged once the upstream's stream is there.
  expect(methodsOn(first)).toEqual([]);
  await one.word(first, "held");
  expect(methodsOn(first)).toEqual([ACKNOWLEDGED]);
  const second = await listen(2);
  expect([methodsOn(second), first.closed]).toEqual([[ACKNOWLEDGED], undefined]);
  await one.evict();
  const third = await listen(3);
  expect([backendsOf(second), backendsOf(third)]).toEqual([[], []]);
  one.leave(third);
  expect([first, second].map((reader) => backendsOf(reader).length)).toEqual([1, 0]);
  one.leave(first);
  expect([first, second].map((reader) => backendsOf(reader).length)).toEqual([1, 1]);
  one.leave(second);
  expect(backendsOf(await listen(4))).toHaveLength(1);
});

it("has a call wait for no stream that nobody listens to any more", async () => {
  const { one, listen } = await forListeners();
  const reader = await listen(1);
  await one.word(reader, "held");
  one.leave(reader);
  one.asked.length = 0;
  const era = { id: "7", method: "tools/list", capabilities: {}, inputResponses: {} };
  void one.post(rpc("up-1", "tools/list"), { match: ERA_MATCH, era } as never);
  await settle();
  expect(one.methods()).toEqual(["tools/list"]);
});

it("lets a listener go that can hear of nothing, with the answer to its request", async () => {
  const { one, listen } = await forListeners();
  const stays = await listen(1);
  await one.word(stays, "held");
  const idle = await listen(7, { promptsListChanged: true });
  expect(idle.messages.map((text) => JSON.parse(text) as unknown)).toMatchObject([
    { method: ACKNOWLEDGED },
    { id: 7, result: { resultType: "complete" } },
  ]);
  expect([idle.closed, stays.closed]).toEqual([4002, undefined]);
});

it("gives every listener what comes while it listens, and keeps nothing for the next one", async () => {
  const { one, listen } = await forListeners();
  const [first, second] = [await listen(1), await listen(2)];
  await one.word(first, "held");
  await one.word(first, `upstream e1\n${CHANGED}`);
  for (const reader of [first, second]) {
    expect(methodsOn(reader)).toEqual([ACKNOWLEDGED, "notifications/tools/list_changed"]);
  }
  one.leave(first);
  one.leave(second);
  await one.word(second, `upstream e2\n${CHANGED}`);
  await one.evict();
  const late = await listen(3);
  await one.word(late, "held");
  expect(methodsOn(late)).toEqual([ACKNOWLEDGED]);
  expect(backendsOf(late)).toHaveLength(1);
  expect(backendsOf(late)[0]).not.toHaveProperty("lastEventId");
});

it("tells the one who holds the upstream's stream, and no other listener, of a new upstream session", async () => {
  const { one, listen } = await forListeners();
  const [first, second] = [await listen(1), await listen(2)];
  await one.word(first, "held");
  const known = one.script;
  one.upstreamSid = "upstream-2";
  one.script = (asked) =>
    asked.method === "initialize" ? undefined : asked.method === "ping" ? notFound() : known(asked);
  await one.word(first, 'lost {"sid":"upstream-1"}');
  await settle();
  expect(backendsOf(first).map(({ sid }) => sid)).toEqual(["upstream-1", "upstream-2"]);
  expect(backendsOf(second)).toEqual([]);
});

const notFound = () => new Response(null, { status: 404 });

/** The streams by themselves. */
function streamsAlone() {
  const { storage } = new ObjectStorage().open();
  const ctx = { getWebSockets: () => [], acceptWebSocket: () => undefined };
  const subscribers = new Subscribers(ctx as unknown as DurableObjectState);
  const limits = { logMaxEvents: 10, logMaxBytes: 10_000, streamBufferBytes: 10_000 };
  const hooks = { listens: () => false, subscription: () => undefined };
  return new GatewayStreams({ storage, subscribers, limits }, "e".repeat(15), hooks);
}

it("takes no batch up of which one call waits for its client, though its stream could be resumed", () => {
  const streams = streamsAlone();
  const row = streams.beginExchange(["1", "2"], false, "e1");
  streams.rounds.park({ exchange: row.id, request: "1", body: "{}", questions: [] });
  const takesUp = vi.fn(() => true);
  streams.answerInterrupted(takesUp);
  expect(takesUp).not.toHaveBeenCalled();
  expect(streams.messagesAfter(row.stream, 0)).toEqual([interrupted("2")]);
  expect(streams.openExchange(row.id)).toMatchObject({ pending: ["1"] });
});

it("attaches a reader whose connection breaks meanwhile without a failure, and lets it go", () => {
  const streams = streamsAlone();
  const close = vi.fn(function (this: { readyState: number }) {
    this.readyState = WebSocket.CLOSING;
  });
  const send = () => {
    throw new Error("the socket is closed");
  };
  const socket = { readyState: WebSocket.OPEN, send, close, serializeAttachment: () => undefined };
  const match = { type: "mcp", upstream: "default" } as const;
  streams.attach(socket as never, { match, kind: "standalone" }, { stream: 1, seq: 0 }, {});
  expect(close).toHaveBeenCalled();
  expect(streams.isFollowed).toBe(false);
});

const interrupted = (id: string) => errorOf(-32603, FAILURES.interrupted.message, id);

it("has the bridge listen to what the client has subscribed to, before the subscription is answered", async () => {
  const script = ({ method, id }: Asked) =>
    method === "server/discover"
      ? json(resultOf(id, '"supportedVersions":["2026-07-28"],"capabilities":{}'))
      : undefined;
  const one = await ObjectInNode.open({ script, upstream: { era: "modern" } });
  const subscribe = (id: number, uri: string) => one.post(rpc(id, "resources/subscribe", { uri }));
  expect(await subscribe(1, "test://a")).toMatchObject({ value: { kind: "json" } });
  const reader = await one.attach(standalone);
  await one.word(reader, "held");
  let isAnswered = false;
  void subscribe(2, "test://b").then(() => (isAnswered = true));
  await settle();
  const subscriptions = backendsOf(reader).map(({ subscription }) => String(subscription));
  expect(subscriptions).toHaveLength(2);
  expect(subscriptions[0]).toContain("test://a");
  expect(subscriptions[1]).toContain("test://b");
  expect(isAnswered).toBe(false);
  await one.word(reader, "held");
  expect(isAnswered).toBe(true);
});
