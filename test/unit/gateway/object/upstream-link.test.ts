/** A session and its upstream: what is sent, to which replica, how often, and what a lost session costs. */
import { expect, it } from "vitest";
import { UPSTREAM_ASKED_MS, UPSTREAM_SETTLE_MS } from "../../../../src/core/limits.ts";
import { FAILURES } from "../../../../src/gateway/upstream/failure.ts";
import type { RequestId } from "../../../../src/gateway/json-rpc.ts";
import { healthOf } from "../../../../src/gateway/upstream/health.ts";
import {
  accepted,
  agreed,
  brokenOff,
  errorOf,
  Flow,
  INITIALIZE,
  json,
  logged,
  never,
  notice,
  ObjectInNode,
  pass,
  resultOf,
  rpc,
  settle,
  toolCall,
  VERSION,
  withObjects,
  type Asked,
  type Reader,
  type Script,
} from "../../../support/mcp/object-in-node.ts";

withObjects();

const LOST = () => new Response("no such session", { status: 404 });
const TWO = { replicas: [] };
const INITIALIZED = "notifications/initialized";

/** An upstream that knows its sessions of these ids alone. */
const knows =
  (...sids: readonly string[]): Script =>
  ({ verb, method, sid }) =>
    verb === "POST" && method !== "initialize" && !sids.includes(sid ?? "") ? LOST() : undefined;

const answered = (id: number) => ({
  ok: true,
  value: { kind: "json", status: 200, body: resultOf(String(id)) },
});
const failedWith = (failure: object) => ({ ok: true, value: { kind: "failed", failure } });

it("sends a request under the upstream's session, its version, and the client's headers", async () => {
  const one = await ObjectInNode.open();
  expect(await one.post(toolCall(1), { headers: { "x-client": "a" } })).toEqual(answered(1));
  const [asked] = one.asked;
  expect(asked).toMatchObject({
    url: one.urls[0],
    verb: "POST",
    body: toolCall(1),
    headers: {
      "mcp-session-id": "upstream-1",
      "mcp-protocol-version": VERSION,
      "content-type": "application/json",
      "x-client": "a",
    },
  });
  expect(one.methods()).toEqual(["tools/call"]);
});

it("makes a lost session anew, once for all calls that miss it, and sends each of them once more", async () => {
  const one = await ObjectInNode.open();
  one.script = knows("upstream-2");
  one.upstreamSid = "upstream-2";
  const calls = [1, 2, 3].map((id) => one.post(toolCall(id)));
  expect(await Promise.all(calls)).toEqual([1, 2, 3].map(answered));
  expect(one.all("ping")).toHaveLength(1);
  expect(one.all("initialize").map(({ body, sid }) => [body, sid])).toEqual([
    [INITIALIZE, undefined],
  ]);
  expect(one.all(INITIALIZED).map(({ sid }) => sid)).toEqual(["upstream-2"]);
  const sids = one.all("tools/call").map(({ sid }) => sid);
  expect(sids).toEqual([...Array(3).fill("upstream-1"), ...Array(3).fill("upstream-2")]);
  // It is stored: another life of the object uses it, and asks nothing.
  await one.evict();
  one.asked.length = 0;
  expect(await one.post(toolCall(4))).toEqual(answered(4));
  expect(one.asked.map(({ method, sid }) => [method, sid])).toEqual([["tools/call", "upstream-2"]]);
});

it("recovers again where the new session is lost as well, but sends a call no third time", async () => {
  const one = await ObjectInNode.open();
  one.script = ({ method }) => (["tools/call", "ping"].includes(method) ? LOST() : undefined);
  expect(await one.post(toolCall(1))).toEqual(failedWith(FAILURES.refused));
  expect([one.all("initialize").length, one.all("tools/call").length]).toEqual([1, 2]);
  one.script = knows("upstream-3");
  one.upstreamSid = "upstream-3";
  expect(await one.post(toolCall(2))).toEqual(answered(2));
  expect(one.all("initialize")).toHaveLength(2);
});

it("asks before it believes a refusal: a session that lives is kept, and the refusal is the answer", async () => {
  const one = await ObjectInNode.open();
  one.script = ({ method }) => (method === "tools/call" ? LOST() : undefined);
  expect(await one.post(toolCall(1))).toEqual(failedWith(FAILURES.refused));
  expect(one.methods()).toEqual(["tools/call", "ping"]);
  expect(one.all("ping")[0]?.sid).toBe("upstream-1");
});

/** The answer of a server that has no ping, to the ping that was asked last. */
const noPing = (status: number) => json(errorOf(-32601, "no such method", pinged), status);
let pinged: RequestId = "";

it.each<[what: string, answer: () => Promise<Response> | Response, ms: number]>([
  ["is refused for a limit", () => new Response(null, { status: 429 }), 0],
  ["fails", () => new Response("out of order", { status: 500 }), 0],
  ["is answered by an error, with whatever status", () => noPing(404), 0],
  ["breaks off", brokenOff, 0],
  ["is not answered within 5 s", never, UPSTREAM_ASKED_MS],
])("keeps the session where the question %s", async (_what, answer, ms) => {
  const one = await ObjectInNode.open();
  one.script = ({ method, id }) => {
    if (method === "tools/call") return LOST();
    pinged = id;
    return method === "ping" ? answer() : undefined;
  };
  const call = one.post(toolCall(1));
  await pass(ms);
  if (ms === 0) expect(await call).toEqual(failedWith(FAILURES.refused));
  else expect(await call).toMatchObject({ value: { kind: "stream" } });
  expect(one.all("initialize")).toEqual([]);
});

it("has a call that comes while the session is made anew wait for the new one", async () => {
  const one = await ObjectInNode.open();
  const handshake = Promise.withResolvers<Response>();
  one.script = (asked) =>
    asked.method === "initialize" ? handshake.promise : knows("upstream-2")(asked);
  const first = one.post(toolCall(1));
  await settle();
  const second = one.post(toolCall(2));
  await settle();
  expect(one.methods()).toEqual(["tools/call", "ping", "initialize", "tools/call"]);
  handshake.resolve(agreed("0", INITIALIZE, "upstream-2"));
  expect(await Promise.all([first, second])).toEqual([answered(1), answered(2)]);
  expect(one.all("initialize")).toHaveLength(1);
  expect(one.all("ping")).toHaveLength(1);
});

it("tries again with the next call where a new session could not be made", async () => {
  const one = await ObjectInNode.open();
  one.script = (asked) =>
    asked.method === "initialize" ? brokenOff() : knows("upstream-2")(asked);
  expect(await one.post(toolCall(1))).toEqual(failedWith(FAILURES.unreachable));
  one.script = knows("upstream-2");
  one.upstreamSid = "upstream-2";
  expect(await one.post(toolCall(2))).toEqual(answered(2));
});

it("answers the call that waits where the new session is refused", async () => {
  const one = await ObjectInNode.open();
  const refused = (status: number, headers = {}) =>
    json(errorOf(-32000, "no more of you", "0"), status, headers);
  const answers = [refused(200), refused(503, { "retry-after": "7" })];
  one.script = (asked) => (asked.method === "initialize" ? answers.shift() : knows()(asked));
  expect(await one.post(toolCall(1))).toEqual(failedWith(FAILURES.refused));
  expect(await one.post(toolCall(2))).toEqual(
    failedWith({ ...FAILURES.refused, status: 503, headers: { "retry-after": "7" } }),
  );
  expect(logged("upstream.failed").map(({ status }) => status)).toEqual([200, 503]);
});

it("ends the new session, and keeps the old one's data, where the upstream no longer agrees to the version", async () => {
  const one = await ObjectInNode.open();
  one.script = (asked) =>
    asked.method === "initialize"
      ? agreed(asked.id, asked.body, "upstream-2", "2025-06-18")
      : knows("upstream-2")(asked);
  expect(await one.post(toolCall(1))).toEqual(failedWith(FAILURES.changed));
  await settle();
  expect(one.asked.slice(-1).map(({ verb, sid }) => [verb, sid])).toEqual([
    ["DELETE", "upstream-2"],
  ]);
  expect(one.all(INITIALIZED)).toEqual([]);
  one.asked.length = 0;
  await one.post(toolCall(2));
  expect(one.asked[0]?.sid).toBe("upstream-1");
});

it("ends the new session where the upstream does not take that the client is ready", async () => {
  const one = await ObjectInNode.open();
  one.upstreamSid = "upstream-2";
  one.script = (asked) =>
    asked.method === INITIALIZED ? new Response(null, { status: 500 }) : knows("upstream-2")(asked);
  expect(await one.post(toolCall(1))).toEqual(failedWith(FAILURES.refused));
  await settle();
  expect(one.all("DELETE").map(({ sid }) => sid)).toEqual(["upstream-2"]);
});

it("says log level and subscriptions again before the call that waits", async () => {
  const one = await ObjectInNode.open();
  await one.post(rpc(1, "logging/setLevel", { level: "debug" }));
  await one.post(rpc(2, "resources/subscribe", { uri: "test://a" }));
  await settle();
  await one.evict();
  one.asked.length = 0;
  one.upstreamSid = "upstream-2";
  one.script = knows("upstream-2");
  expect(await one.post(toolCall(3))).toEqual(answered(3));
  expect(one.asked.map(({ method, sid }) => [method, sid]).slice(2)).toEqual([
    ["initialize", undefined],
    [INITIALIZED, "upstream-2"],
    ["logging/setLevel", "upstream-2"],
    ["resources/subscribe", "upstream-2"],
    ["tools/call", "upstream-2"],
  ]);
});

it("ends the upstream's new session if the session ended while it was made", async () => {
  const one = await ObjectInNode.open();
  const handshake = Promise.withResolvers<Response>();
  one.script = (asked) => (asked.method === "initialize" ? handshake.promise : knows()(asked));
  const call = one.post(toolCall(1));
  await settle();
  await one.end();
  expect(await call).toMatchObject({ ok: false, code: "session_not_found" });
  one.asked.length = 0;
  handshake.resolve(agreed("0", INITIALIZE, "upstream-2"));
  await settle();
  expect(one.asked.map(({ verb, sid }) => [verb, sid])).toEqual([["DELETE", "upstream-2"]]);
  expect(one.exists).toBe(false);
});

it("gives a session that was made again under the same id nothing of what the one before still waits for", async () => {
  const one = await ObjectInNode.open();
  const handshake = Promise.withResolvers<Response>();
  one.script = (asked) => (asked.method === "initialize" ? handshake.promise : knows()(asked));
  void one.post(toolCall(1));
  await settle();
  await one.end();
  one.script = () => undefined;
  one.upstreamSid = "upstream-of-the-next";
  await one.initialize();
  one.asked.length = 0;
  handshake.resolve(agreed("0", INITIALIZE, "upstream-2"));
  await settle();
  expect(one.asked.map(({ verb, sid }) => [verb, sid])).toEqual([["DELETE", "upstream-2"]]);
  await one.post(toolCall(2));
  expect(one.all("tools/call").map(({ sid }) => sid)).toEqual(["upstream-of-the-next"]);
});

it("is told by the stream's bridge that a session may be lost: asks, and makes another", async () => {
  const one = await ObjectInNode.open();
  const reader = await one.attach({ kind: "standalone" });
  one.script = knows("upstream-2");
  one.upstreamSid = "upstream-2";
  const lost = (sid: string) => `lost ${JSON.stringify({ sid, headers: { "x-client": "b" } })}`;
  // Of a session that was replaced meanwhile.
  await one.word(reader, lost("upstream-0"));
  expect(one.asked).toEqual([]);
  await one.word(reader, lost("upstream-1"));
  expect(one.methods()).toEqual(["ping", "initialize", INITIALIZED]);
  expect(one.all("initialize")[0]?.headers["x-client"]).toBe("b");
  expect(reader.words.at(-1)).toContain('"sid":"upstream-2"');
});

it("makes none for a session that ended while it asked, and reports no failure", async () => {
  const one = await ObjectInNode.open();
  const reader = await one.attach({ kind: "standalone" });
  const ping = Promise.withResolvers<Response>();
  one.script = ({ method }) => (method === "ping" ? ping.promise : undefined);
  await one.word(reader, 'lost {"sid":"upstream-1"}');
  await one.end();
  ping.resolve(LOST());
  await settle();
  expect(one.methods()).toEqual(["ping", "DELETE"]);
  expect(logged("upstream.failed")).toEqual([]);
});

it("does nothing about it where the session lives", async () => {
  const one = await ObjectInNode.open();
  const reader = await one.attach({ kind: "standalone" });
  await one.word(reader, 'lost {"sid":"upstream-1"}');
  expect(one.methods()).toEqual(["ping"]);
});

const broken: (
  method: string,
  url: (one: ObjectInNode) => string | undefined,
) => (one: ObjectInNode) => Script = (method, urlIn) => (one) => (asked) =>
  asked.method === method && asked.url === urlIn(one) ? brokenOff() : undefined;
const first = ({ urls }: ObjectInNode) => urls[0];
const placesOf = (one: ObjectInNode, all: readonly Asked[]) =>
  all.map(({ method, url }) => `${one.urls.indexOf(url)} ${method}`);

it("moves a harmless request to the next replica where the connection breaks, with a session there", async () => {
  const one = await ObjectInNode.open({ upstream: TWO });
  one.script = broken("tools/list", first)(one);
  one.upstreamSid = "upstream-2";
  expect(await one.post(rpc(1, "tools/list"))).toEqual(answered(1));
  expect(placesOf(one, one.asked)).toEqual([
    "0 tools/list",
    "1 initialize",
    `1 ${INITIALIZED}`,
    "1 tools/list",
  ]);
  expect(one.all("tools/list").map(({ sid }) => sid)).toEqual(["upstream-1", "upstream-2"]);
});

it("sends a harmless request no second time where there is no other replica", async () => {
  const one = await ObjectInNode.open();
  one.script = ({ method }) => (method === "tools/list" ? brokenOff() : undefined);
  expect(await one.post(rpc(1, "tools/list"))).toEqual(failedWith(FAILURES.unreachable));
  expect(one.methods()).toEqual(["tools/list"]);
});

it.each<[how: string, answer: () => Promise<Response>, ms: number, failure: object]>([
  ["breaks off at once", brokenOff, 0, FAILURES.unreachable],
  ["breaks off after 50 s", () => pass50().then(brokenOff), 50_000, FAILURES.unreachable],
  ["is never heard of", never, 60_000, FAILURES.timedOut],
])("sends a call that %s to no other replica", async (_how, answer, ms, failure) => {
  const one = await ObjectInNode.open({ upstream: TWO });
  await one.post(rpc(0, "ping"));
  one.asked.length = 0;
  one.script = ({ method }) => (method === "tools/call" ? answer() : undefined);
  const call = one.post(toolCall(1));
  if (ms === 0) expect(await call).toEqual(failedWith(failure));
  else {
    await pass(300);
    const reader = await one.attach({ kind: "exchange", stream: 2 });
    await pass(ms);
    expect(reader.messages).toEqual([
      errorOf(-32603, (failure as { message: string }).message, "1"),
    ]);
  }
  expect(placesOf(one, one.asked)).toEqual(["0 tools/call"]);
});

/** A session at two replicas that have been silent for so long that the next call asks first. */
async function silent(): Promise<ObjectInNode> {
  const one = await ObjectInNode.open({ upstream: TWO });
  await pass(10_000);
  return one;
}

/** The requests of a call that asks first, and then goes to this replica with a new session. */
const askedAndMadeAt = (replica: number) => [
  "0 ping",
  `${replica} initialize`,
  `${replica} ${INITIALIZED}`,
  `${replica} tools/call`,
];

const pass50 = () => new Promise<void>((resolve) => setTimeout(resolve, 50_000));

it("moves a session to another replica where the first does not answer the question before a call", async () => {
  const one = await silent();
  one.script = ({ url }) => (url === one.urls[0] ? never() : undefined);
  one.upstreamSid = "upstream-2";
  const call = one.post(toolCall(1));
  await pass(UPSTREAM_ASKED_MS - 1);
  expect(placesOf(one, one.asked)).toEqual(["0 ping"]);
  await pass(1);
  await call;
  expect(placesOf(one, one.asked)).toEqual(askedAndMadeAt(1));
});

it("opens a new session at another replica once one was found to hang", async () => {
  const one = ObjectInNode.empty({ upstream: TWO });
  one.script = ({ url }) => (url === one.urls[0] ? never() : undefined);
  const hung = one.initialize();
  await pass(60_000);
  expect(await hung).toEqual(failedWith(FAILURES.timedOut));
  expect(one.exists).toBe(false);
  expect(await one.initialize()).toMatchObject({ ok: true, value: { kind: "initialized" } });
  expect(placesOf(one, one.asked)).toEqual(["0 initialize", "1 initialize"]);
});

it("asks nothing before a call while the replica streams an answer, and asks once it has been silent for 10 s", async () => {
  const one = await ObjectInNode.open({ upstream: TWO });
  const flow = new Flow();
  one.script = ({ body }) => (body.includes("slow") ? flow.response : undefined);
  await one.post(rpc(0, "ping"));
  await one.follow(toolCall(1, "slow"));
  await pass(10_000);
  await one.post(toolCall(2));
  await flow.say(resultOf("1"));
  await flow.end();
  await pass(10_000);
  await one.post(toolCall(3));
  expect(one.methods()).toEqual(["ping", "tools/call", "tools/call", "ping", "tools/call"]);
});

it("resumes a stream that broke off after its last event, and sends the call no second time", async () => {
  const one = await ObjectInNode.open();
  const [flow, rest] = [new Flow(), new Flow()];
  one.script = ({ verb, method }) =>
    verb === "GET" ? rest.response : method === "tools/call" ? flow.response : undefined;
  const reader = await one.follow(toolCall(1));
  await flow.sayWithIds(["e1", notice(1)]);
  await flow.breakOff();
  expect(one.all("GET")).toEqual([]);
  await pass(1000);
  expect(one.all("GET").map(({ sid, lastEventId }) => [sid, lastEventId])).toEqual([
    ["upstream-1", "e1"],
  ]);
  await rest.say(resultOf("1"));
  expect(reader.messages).toEqual([notice(1), resultOf("1")]);
  expect(one.all("tools/call")).toHaveLength(1);
});

it("posts the call again where its stream says that the session is lost, and the message reaches nobody", async () => {
  const one = await ObjectInNode.open();
  const [flow, again] = [new Flow(), new Flow()];
  one.upstreamSid = "upstream-2";
  one.script = ({ method, sid }) => {
    if (method === "tools/call") return (sid === "upstream-1" ? flow : again).response;
    return method === "ping" ? LOST() : undefined;
  };
  const reader = await one.follow(toolCall(1));
  await flow.say(errorOf(-32001, "Session not found"));
  await again.say(notice("again"), resultOf("1"));
  expect(reader.messages).toEqual([notice("again"), resultOf("1")]);
  expect(one.all("tools/call").map(({ sid }) => sid)).toEqual(["upstream-1", "upstream-2"]);
});

it("gives the stream of the call that was posted again its own time to be one answer alone", async () => {
  const one = await ObjectInNode.open();
  const [flow, again, late] = [new Flow(), new Flow(), Promise.withResolvers<Response>()];
  one.upstreamSid = "upstream-2";
  one.script = ({ method, sid }) => {
    if (method === "ping") return LOST();
    if (method !== "tools/call") return undefined;
    return sid === "upstream-1" ? flow.response : late.promise;
  };
  const call = one.post(toolCall(1));
  await settle();
  await flow.say(errorOf(-32001, "Session not found"));
  await pass(UPSTREAM_SETTLE_MS - 1);
  late.resolve(again.response);
  await pass(UPSTREAM_SETTLE_MS - 1);
  await again.say(resultOf("1"));
  expect(await call).toEqual(answered(1));
});

it("does not post it again where the session lives: the error without an id answers the one call", async () => {
  const one = await ObjectInNode.open();
  const flow = new Flow();
  one.script = ({ method }) => (method === "tools/call" ? flow.response : undefined);
  const reader = await one.follow(toolCall(1));
  await flow.say(errorOf(-32000, "Session trouble"));
  expect(reader.messages.map((text) => JSON.parse(text))).toEqual([
    { jsonrpc: "2.0", id: 1, error: { code: -32000, message: "Session trouble" } },
  ]);
  expect(one.all("tools/call")).toHaveLength(1);
});

it("accepts notifications and responses, and reads nothing of the answer to them", async () => {
  const one = await ObjectInNode.open();
  const flow = new Flow();
  one.script = () => flow.response;
  const taken = { ok: true, value: { kind: "accepted" } };
  expect(await one.post(rpc(undefined, "notifications/roots/list_changed"))).toEqual(taken);
  expect(flow.isLeft).toBe(true);
  one.script = accepted;
  expect(await one.post(resultOf('"s1"'))).toEqual(taken);
});

it("initializes an upstream for a client that never did, once for all calls that come together", async () => {
  const one = ObjectInNode.empty({ upstream: TWO });
  // ToolHive's record of a session may name the replica, and nothing else of the upstream's session.
  const metadata = { upstream: "default", backend_url: one.urls[1] };
  one.object.create({ admin: true }, one.id, { type: "sse", ttlMs: 60_000, metadata } as never);
  const match = { type: "sse", upstream: "default" };
  const calls = [1, 2].map((id) => one.post(toolCall(id), { match } as never));
  expect(await Promise.all(calls)).toEqual([answered(1), answered(2)]);
  expect(one.methods()).toEqual(["initialize", INITIALIZED, "tools/call", "tools/call"]);
  expect(one.asked[0]?.body).toContain('"capabilities":{}');
  expect(new Set(one.asked.map(({ url }) => url))).toEqual(new Set([one.urls[1]]));
});

it("asks nothing before what is harmless, and believes a moved request that its new session is lost too", async () => {
  const one = await silent();
  await one.post(rpc(1, "tools/list"));
  expect(one.methods()).toEqual(["tools/list"]);
  one.asked.length = 0;
  const sids = ["upstream-2", "upstream-3"];
  one.script = (asked) => {
    if (asked.url === one.urls[0]) return brokenOff();
    if (asked.method === "initialize") return agreed(asked.id, asked.body, sids.shift());
    return knows("upstream-3")(
      asked.method === INITIALIZED ? ({ ...asked, sid: "upstream-3" } as Asked) : asked,
    );
  };
  expect(await one.post(rpc(2, "tools/list"))).toEqual(answered(2));
  expect(one.all("tools/list").map(({ sid }) => sid)).toEqual([
    "upstream-1",
    "upstream-2",
    "upstream-3",
  ]);
});

it.each<[why: string, answer: () => Response]>([
  ["is refused for another reason", () => new Response("", { status: 500 })],
  ["ends without an answer", () => new Response(ended(), { headers: STREAM })],
])("sends a call where it was, if the question before it %s", async (_why, answer) => {
  const one = await silent();
  one.script = ({ method }) => (method === "ping" ? answer() : undefined);
  expect(await one.post(toolCall(1))).toEqual(answered(1));
  expect(placesOf(one, one.asked)).toEqual(["0 ping", "0 tools/call"]);
});

const STREAM = { "content-type": "text/event-stream" };
const ended = () => new ReadableStream({ start: (controller) => controller.close() });

it("sends it to a server without sessions, whatever that says to the question", async () => {
  const one = ObjectInNode.empty({ upstream: TWO });
  one.script = ({ method, id, body }) => {
    if (method === "initialize") return agreed(id, body);
    return method === "ping" ? LOST() : undefined;
  };
  await one.initialize();
  await pass(10_000);
  one.asked.length = 0;
  expect(await one.post(toolCall(1))).toEqual(answered(1));
  expect(placesOf(one, one.asked)).toEqual(["0 ping", "0 tools/call"]);
});

it("takes a fault of its own in a question for no word of the upstream", async () => {
  const one = await silent();
  const faulty = json("{}");
  Object.defineProperty(faulty, "headers", {
    get: () => {
      throw new TypeError("a fault");
    },
  });
  one.script = ({ method }) => (method === "ping" ? faulty : undefined);
  expect(await one.post(toolCall(1))).toEqual(failedWith(FAILURES.broken));
  expect(logged("upstream.failed")).toMatchObject([{ cause: "TypeError: a fault" }]);
  expect(one.methods()).toEqual(["ping"]);
});

it("makes the session anew at its own replica, if the question before a call finds it lost there", async () => {
  const one = await silent();
  one.script = knows("upstream-2");
  one.upstreamSid = "upstream-2";
  expect(await one.post(toolCall(1))).toEqual(answered(1));
  expect(placesOf(one, one.asked)).toEqual(askedAndMadeAt(0));
});

it("asks once for calls that come together, and sends each once", async () => {
  const one = await silent();
  const calls = [1, 2, 3].map((id) => one.post(toolCall(id)));
  expect(await Promise.all(calls)).toEqual([1, 2, 3].map(answered));
  expect(one.methods()).toEqual(["ping", ...Array(3).fill("tools/call")]);
  // The answer to a question is not believed for long.
  await pass(10_000);
  await one.post(toolCall(4));
  expect(one.all("ping")).toHaveLength(2);
});

it("takes a stream with nothing to answer for what it is, and sends no call again of a session without an id", async () => {
  const one = ObjectInNode.empty();
  one.script = (asked) => (asked.method === "initialize" ? agreed(asked.id, asked.body) : LOST());
  await one.initialize();
  one.asked.length = 0;
  expect(await one.post(toolCall(1))).toEqual(failedWith(FAILURES.refused));
  const flow = new Flow();
  one.script = () => flow.response;
  const reader = await one.follow(toolCall(2));
  await flow.say(errorOf(-32001, "Session not found"));
  expect(JSON.parse(reader.messages[0] ?? "")).toMatchObject({ id: 2, error: { code: -32001 } });
  expect(one.methods()).toEqual(["tools/call", "tools/call"]);
});

it("pings under an id that no client uses, as the client's own credential", async () => {
  const one = await ObjectInNode.open();
  one.script = ({ method }) => (method === "tools/call" ? LOST() : undefined);
  await one.post(toolCall(1), { headers: { "x-client": "a" } });
  const [ping] = one.all("ping");
  expect(ping?.id).toMatch(/^"holdfast-[0-9a-f-]{36}"$/);
  expect(ping?.headers["x-client"]).toBe("a");
});

it("takes a ping's answer in a stream, and one for another request for none", async () => {
  const one = await ObjectInNode.open();
  const flow = new Flow();
  one.script = ({ method }) =>
    method === "tools/call" ? LOST() : method === "ping" ? flow.response : undefined;
  const call = one.post(toolCall(1));
  await settle();
  await flow.say(resultOf('"another"'));
  expect(one.all("initialize")).toEqual([]);
  await flow.say(resultOf(one.all("ping")[0]?.id ?? ""));
  expect(await call).toEqual(failedWith(FAILURES.refused));
});

it("asks anew about each session: a question about the last one says nothing of this one", async () => {
  const one = await ObjectInNode.open();
  const pings = [Promise.withResolvers<Response>(), Promise.withResolvers<Response>()];
  let asked = 0;
  one.script = ({ method }) =>
    method === "tools/call" ? LOST() : method === "ping" ? pings[asked++]?.promise : undefined;
  const first = one.post(toolCall(1));
  const second = one.post(toolCall(2));
  await settle();
  expect(one.all("ping")).toHaveLength(1);
  pings[0]?.resolve(json(resultOf(one.all("ping")[0]?.id ?? "")));
  expect(await Promise.all([first, second])).toEqual(Array(2).fill(failedWith(FAILURES.refused)));
  void one.post(toolCall(3));
  await settle();
  expect(one.all("ping")).toHaveLength(2);
});

it("sends nothing for a call that was cancelled before it was sent, not even a question", async () => {
  const one = await ObjectInNode.open({ upstream: TWO });
  const reader = await one.attach({ kind: "standalone" });
  void one.post(toolCall(1));
  await one.post(rpc(undefined, "notifications/cancelled", { requestId: 1 }));
  // The replica cannot be reached any more, so a call asks first.
  one.script = brokenOff;
  await one.word(reader, 'lost {"sid":"upstream-1"}');
  await one.word(reader, "held");
  expect(one.methods()).toEqual(["notifications/cancelled", "ping"]);
});

it("gives up a call that its client has cancelled, and makes nothing anew for it", async () => {
  const one = await ObjectInNode.open();
  one.script = ({ method }) => (method === "tools/call" ? never() : undefined);
  void one.post(toolCall(1));
  await settle();
  await one.post(rpc(undefined, "notifications/cancelled", { requestId: 1 }));
  expect(one.all("tools/call")[0]?.signal?.aborted).toBe(true);
  await pass(120_000);
  expect(one.methods()).toEqual(["tools/call", "notifications/cancelled"]);
});

const DISCOVERED = '"supportedVersions":["2026-07-28"],"capabilities":{}';
const isModern = ({ headers }: Asked) => headers["mcp-protocol-version"] === "2026-07-28";

it("interrupts a call that waited for its client where a server of the other revision has taken the place", async () => {
  let hasChanged = false;
  const asks = `"resultType":"input_required","inputRequests":{"who":{"method":"roots/list"}}`;
  const script: Script = (asked) => {
    const { method, id, body } = asked;
    if (isModern(asked) === hasChanged && method !== "initialize") {
      return json(errorOf(-32022, "not this revision", id), 400);
    }
    if (method === "server/discover") return json(resultOf(id, DISCOVERED));
    if (method === "tools/call") return json(resultOf(id, asks));
    if (method !== "initialize") return undefined;
    return hasChanged ? agreed(id, body, "upstream-2") : json(errorOf(-32601, "none", id), 400);
  };
  // The JSON of the settings has no member then: either revision.
  const upstream = { era: undefined };
  const initialize = rpc(0, "initialize", {
    protocolVersion: VERSION,
    capabilities: { roots: {} },
  });
  const one = await ObjectInNode.open({ script, upstream, initialize });
  const answer = await one.post(toolCall(1));
  expect(answer).toMatchObject({ value: { kind: "stream", stream: 2 } });
  const reader = await one.attach({ kind: "exchange", stream: 2 });
  const { id } = JSON.parse(reader.messages[0] ?? "") as { id: string };
  hasChanged = true;
  await one.post(resultOf(JSON.stringify(id), '"roots":[]'));
  await settle();
  expect(reader.messages.slice(1)).toEqual([errorOf(-32603, FAILURES.interrupted.message, "1")]);
  // The session goes on at the new server, which got nothing of that call.
  const old = one.all("tools/call").filter(isModern).length;
  await one.post(toolCall(2));
  expect(
    one
      .all("tools/call")
      .slice(old)
      .map(({ sid, id }) => [sid, id]),
  ).toEqual([["upstream-2", "2"]]);
  // Nor does it get an answer to what another server has asked.
  one.asked.length = 0;
  await one.post(resultOf(JSON.stringify(id), '"roots":[]'));
  await settle();
  expect(one.asked).toEqual([]);
});

it("asks about no change where the server can be of its own revision alone", async () => {
  const error = errorOf(-32022, "not this revision", "1");
  const script = ({ method }: Asked) => (method === "tools/call" ? json(error, 400) : undefined);
  const one = await ObjectInNode.open({ script });
  expect(await one.post(toolCall(1))).toMatchObject({ value: { kind: "json", body: error } });
  expect(one.methods()).toEqual(["tools/call"]);
});

it("makes the session anew, and believes the new one, where a server says that it speaks another revision", async () => {
  const script = ({ method, id }: Asked) =>
    ["tools/call", "ping"].includes(method)
      ? json(errorOf(-32022, "not this revision", id), 400)
      : undefined;
  const one = await ObjectInNode.open({ script, upstream: { era: undefined } });
  expect(await one.post(toolCall(1))).toMatchObject({ value: { kind: "json" } });
  const methods = ["tools/call", "ping", "initialize", INITIALIZED, "tools/call"];
  expect(one.methods()).toEqual(methods);
});

/** An answer that begins and never ends. */
const endless = () =>
  new Response(new ReadableStream<Uint8Array>(), {
    headers: { "content-type": "application/json" },
  });

it.each<[how: string, ping: () => Response | Promise<Response>, ms: number]>([
  ["breaks off", brokenOff, 0],
  ["begins to answer, and does not go on", endless, UPSTREAM_ASKED_MS],
])(
  "moves on from a replica that %s when it is asked before a call, and comes back to it last",
  async (_how, ping, ms) => {
    const one = await silent();
    one.script = (asked) =>
      asked.method === "ping" && first(one) === asked.url ? ping() : undefined;
    const call = one.post(toolCall(1));
    await pass(ms);
    await call;
    expect(placesOf(one, one.asked)).toEqual(askedAndMadeAt(1));
    await one.end();
    await one.initialize();
    expect(placesOf(one, one.all("initialize").slice(1))).toEqual(["1 initialize"]);
  },
);

it("makes a session that a call, or the stream's bridge, misses anew at its own replica", async () => {
  const one = await ObjectInNode.open({ upstream: TWO });
  one.script = knows("upstream-2");
  one.upstreamSid = "upstream-2";
  await one.post(toolCall(1));
  const reader = await one.attach({ kind: "standalone" });
  one.script = knows("upstream-3");
  one.upstreamSid = "upstream-3";
  await one.word(reader, 'lost {"sid":"upstream-2"}');
  expect(placesOf(one, one.all("initialize"))).toEqual(["0 initialize", "0 initialize"]);
});

it("believes a late refusal under a session that was replaced meanwhile, without a further question", async () => {
  const one = await ObjectInNode.open();
  const late = Promise.withResolvers<Response>();
  one.upstreamSid = "upstream-2";
  one.script = (asked) =>
    asked.id === "2" && asked.sid === "upstream-1" ? late.promise : knows("upstream-2")(asked);
  const second = one.post(toolCall(2));
  expect(await one.post(toolCall(1))).toEqual(answered(1));
  late.resolve(LOST());
  expect(await second).toEqual(answered(2));
  expect([one.all("ping").length, one.all("initialize").length]).toEqual([1, 1]);
});

it("tells sessions of two replicas apart that have the same id", async () => {
  const one = await ObjectInNode.open({ upstream: TWO });
  const late = Promise.withResolvers<Response>();
  one.script = ({ url, method, id }) => {
    if (url !== one.urls[0]) return undefined;
    return id === "2" ? late.promise : method === "tools/list" ? brokenOff() : undefined;
  };
  const second = one.post(toolCall(2));
  await settle();
  expect(await one.post(rpc(1, "tools/list"))).toEqual(answered(1));
  late.resolve(LOST());
  expect(await second).toEqual(answered(2));
  expect([one.all("ping").length, placesOf(one, one.all("tools/call"))]).toEqual([
    0,
    ["0 tools/call", "1 tools/call"],
  ]);
});

it.each<[what: string, place: number, sid: string]>([
  ["at its own replica", 0, "upstream-2"],
  ["at another one, under the same id", 1, "upstream-1"],
])(
  "asks about a new session %s while the question about the last one still hangs, once",
  async (_what, place, sid) => {
    const one = await ObjectInNode.open({ upstream: TWO });
    one.upstreamSid = sid;
    const pings = [Promise.withResolvers<Response>(), Promise.withResolvers<Response>()];
    let asked = 0;
    one.script = ({ url, method }) => {
      if (method === "ping") return pings[asked++]?.promise;
      if (method === "initialize" && url !== one.urls[place]) return brokenOff();
      if (method === "tools/list" && one.all(method).length === 1) return brokenOff();
      return method === "tools/call" ? LOST() : undefined;
    };
    const first = one.post(toolCall(1));
    await settle();
    await one.post(rpc(2, "tools/list"));
    const second = one.post(toolCall(3));
    await settle();
    const pinged = one.all("ping");
    expect(placesOf(one, pinged)).toEqual(["0 ping", `${place} ping`]);
    expect(pinged.map((one_) => one_.sid)).toEqual(["upstream-1", sid]);
    // The end of the first question does not end the second one.
    pings[0]?.resolve(json(resultOf(pinged[0]?.id ?? "")));
    expect(await first).toEqual(failedWith(FAILURES.refused));
    const third = one.post(toolCall(4));
    await settle();
    pings[1]?.resolve(json(resultOf(pinged[1]?.id ?? "")));
    expect(await Promise.all([second, third])).toEqual(
      [1, 2].map(() => failedWith(FAILURES.refused)),
    );
    expect(one.all("ping")).toHaveLength(2);
  },
);

it("posts a call whose stream says that its session is lost no third time", async () => {
  const one = await ObjectInNode.open();
  const flows = [new Flow(), new Flow()];
  let posts = 0;
  one.upstreamSid = "upstream-2";
  one.script = ({ method }) =>
    method === "tools/call" ? flows[posts++]?.response : method === "ping" ? LOST() : undefined;
  const reader = await one.follow(toolCall(1));
  for (const flow of flows) await flow.say(errorOf(-32001, "Session not found"));
  expect(reader.messages.map((text) => JSON.parse(text))).toMatchObject([
    { id: 1, error: { code: -32001 } },
  ]);
  expect([posts, one.all("ping").length]).toEqual([2, 1]);
});

it("gives up the request for the rest of a stream with the call that waited for it", async () => {
  const one = await ObjectInNode.open();
  const flow = new Flow();
  one.script = ({ verb, method }) =>
    verb === "GET" ? never() : method === "tools/call" ? flow.response : undefined;
  await one.follow(toolCall(1));
  await flow.sayWithIds(["e1", notice(1)]);
  await flow.breakOff();
  await pass(1000);
  await one.post(rpc(undefined, "notifications/cancelled", { requestId: 1 }));
  await settle();
  expect(one.all("GET").map(({ signal }) => signal?.aborted)).toEqual([true]);
});

it("accepts a notification whose answer has a body that never ends", async () => {
  const one = await ObjectInNode.open({
    script: ({ method }) => (method === "notifications/x" ? endless() : undefined),
  });
  expect(await one.post(rpc(undefined, "notifications/x"))).toEqual({
    ok: true,
    value: { kind: "accepted" },
  });
  await settle();
  expect(logged("upstream.failed")).toEqual([]);
});

it("does not post a call again whose stream broke off: the server took it, whatever it says of the session now", async () => {
  const one = await ObjectInNode.open();
  const [flow, rest] = [new Flow(), new Flow()];
  one.script = ({ verb, method }) => {
    if (verb === "GET") return rest.response;
    return method === "tools/call" ? flow.response : method === "ping" ? LOST() : undefined;
  };
  const reader = await one.follow(toolCall(1));
  await flow.write("id: e1\ndata: \n\n");
  await flow.breakOff();
  await pass(1000);
  await rest.say(errorOf(-32001, "Session not found"));
  expect(reader.messages.map((text) => JSON.parse(text))).toMatchObject([
    { id: 1, error: { code: -32001 } },
  ]);
  expect(one.methods()).toEqual(["tools/call", "GET"]);
});

it.each<[who: string, misses: (one: ObjectInNode, reader: Reader) => Promise<unknown>]>([
  ["a call", (one) => one.post(toolCall(1))],
  ["the stream's bridge", (one, reader) => one.word(reader, 'lost {"sid":"upstream-1"}')],
])(
  "makes a session that %s misses anew at its own replica, which is not the first",
  async (_who, misses) => {
    const script = ({ url }: Asked) => (url.startsWith("https://a") ? brokenOff() : undefined);
    const one = await ObjectInNode.open({ upstream: TWO, script });
    const reader = await one.attach({ kind: "standalone" });
    await one.word(reader, "held");
    // The first one is there again.
    healthOf({ url: one.urls[0] ?? "" } as never).heard();
    one.script = knows("upstream-2");
    one.upstreamSid = "upstream-2";
    await misses(one, reader);
    await settle();
    expect(placesOf(one, one.all("initialize"))).toEqual(["1 initialize"]);
  },
);
