/**
 * The object leaves memory in each situation that its gateway can be in, and is loaded again: another life
 * of it does what the last one would have done, or says that it cannot.
 */
import { expect, it } from "vitest";
import { parseEventId } from "../../../../src/core/event-id.ts";
import { MAX_UPSTREAM_RESUME_FAILURES, UPSTREAM_RETRY_MS } from "../../../../src/core/limits.ts";
import { FAILURES } from "../../../../src/gateway/upstream/failure.ts";
import {
  brokenOff,
  errorOf,
  Flow,
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
  withObjects,
  type Asked,
  type ObjectOptions,
} from "../../../support/mcp/object-in-node.ts";

withObjects();

const BATCHES = { initialize: rpc(0, "initialize", { protocolVersion: "2025-03-26" }) };
const failure = (id: string, { message }: { message: string }) => errorOf(-32603, message, id);
const interrupted = (id: string) => failure(id, FAILURES.interrupted);
const own = (stream: number) => ({ kind: "exchange" as const, stream });

/** A session whose upstream answers calls by this flow, and a GET by `rest`. */
async function flowing(options: ObjectOptions = {}) {
  const [flow, rest] = [new Flow(), new Flow()];
  const script = ({ verb, method, body }: Asked) => {
    if (verb === "GET") return rest.response;
    return method === "tools/call" || body.startsWith("[") ? flow.response : undefined;
  };
  const one = await ObjectInNode.open({ script, ...options });
  return { one, flow, rest };
}

it("a call that was not answered yet had no stream: nothing of it is left, and it is not sent again", async () => {
  const one = await ObjectInNode.open({
    script: ({ method }) => (method === "tools/call" ? never() : undefined),
  });
  void one.post(toolCall(1));
  await settle();
  await one.evict();
  one.wake();
  await pass(10_000);
  expect(one.methods()).toEqual(["tools/call"]);
  expect(one.storage.rows()["exchanges"]).toBeUndefined();
});

it.each<[what: string, ids: readonly string[]]>([
  ["whose upstream's stream has no ids", []],
  ["whose upstream's stream has said nothing yet", ["silent"]],
])("a call %s is answered as interrupted, once, on its stream, which ends", async (_what, ids) => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(1));
  if (ids.length === 0) await flow.say(notice(1));
  const before = reader.messages;
  await one.evict();
  expect(reader.closed).toBeUndefined();
  one.wake();
  await settle();
  expect([reader.messages, reader.closed]).toEqual([[...before, interrupted("1")], 4002]);
  await one.evict();
  one.wake();
  await pass(60_000);
  expect(reader.messages).toEqual([...before, interrupted("1")]);
  expect([one.all("tools/call").length, one.all("GET").length]).toEqual([1, 0]);
  // Nobody else owes it anything: the stream is read to its end, and no exchange is open.
  const again = await one.attach(own(2));
  expect([again.messages, again.closed]).toEqual([[...before, interrupted("1")], 4002]);
});

it("a call whose upstream's stream has ids goes on after the last one that was stored, with its reader", async () => {
  const { one, flow, rest } = await flowing();
  const reader = await one.follow(toolCall(1));
  await flow.sayWithIds(["e1", notice(1)], ["e2", notice(2)]);
  await one.reload();
  expect(one.all("GET").map(({ lastEventId, sid }) => [lastEventId, sid])).toEqual([
    ["e2", "upstream-1"],
  ]);
  // Only a server of the stateless revision has its members taken off.
  const result = resultOf("1", '"resultType":"complete"');
  await rest.sayWithIds(["e3", notice(3)], ["e4", result]);
  expect(reader.messages).toEqual([notice(1), notice(2), notice(3), result]);
  expect([reader.closed, one.all("tools/call").length]).toEqual([4002, 1]);
  await one.reload();
  expect(one.all("GET")).toHaveLength(1);
});

it("goes on after an id that came before the answer became a stream", async () => {
  const { one, flow, rest } = await flowing();
  const answer = one.post(toolCall(1));
  await settle();
  await flow.write("id: e0\ndata: \n\n");
  await pass(300);
  await answer;
  await one.reload();
  expect(one.all("GET").map(({ lastEventId }) => lastEventId)).toEqual(["e0"]);
  await rest.say(resultOf("1"));
  const reader = await one.attach(own(2));
  expect(reader.messages).toEqual([resultOf("1")]);
});

it("goes on over several lives, each after what the last one stored", async () => {
  const flows = Array.from({ length: 4 }, () => new Flow());
  const places: (string | undefined)[] = [];
  const script = (asked: Asked) => {
    if (asked.verb === "POST" && asked.method !== "tools/call") return undefined;
    places.push(asked.lastEventId);
    return flows[places.length - 1]?.response;
  };
  const one = await ObjectInNode.open({ script });
  const reader = await one.follow(toolCall(1));
  for (const [n, flow] of flows.entries()) {
    await flow.sayWithIds([`e${n}`, n < 3 ? notice(n) : resultOf("1")]);
    if (n === 3) break;
    await one.reload();
  }
  expect(places).toEqual([undefined, "e0", "e1", "e2"]);
  expect(reader.messages).toEqual([notice(0), notice(1), notice(2), resultOf("1")]);
});

it.each<[what: string, get: () => Response | Promise<Response>, ms: number]>([
  ["refuses for good", () => new Response(null, { status: 404 }), 0],
  [
    "cannot be reached, again and again",
    brokenOff,
    (MAX_UPSTREAM_RESUME_FAILURES + 1) * UPSTREAM_RETRY_MS,
  ],
  ["never answers", never, 60_000],
])("is interrupted where the upstream %s to give the rest", async (_what, get, ms) => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(1));
  await flow.sayWithIds(["e1", notice(1)]);
  await one.evict();
  one.script = ({ verb }) => (verb === "GET" ? get() : undefined);
  one.wake();
  await pass(ms);
  expect([reader.messages, reader.closed]).toEqual([[notice(1), interrupted("1")], 4002]);
  expect(one.all("tools/call")).toHaveLength(1);
  expect(logged("upstream.failed").map(({ status }) => status)).toEqual([
    ms === 0 ? 404 : undefined,
  ]);
});

it("a batch of which a part is answered owes only the rest, and each of it once", async () => {
  const { one, flow } = await flowing(BATCHES);
  const reader = await one.follow([toolCall(1), toolCall(2), toolCall(3)]);
  await flow.say(resultOf("2"));
  await one.reload();
  expect(reader.messages).toEqual([resultOf("2"), interrupted("1"), interrupted("3")]);
  expect(reader.closed).toBe(4002);
});

it("a batch that goes on takes only what it owes: a second answer to one of it is stray", async () => {
  const { one, flow, rest } = await flowing(BATCHES);
  const reader = await one.follow([toolCall(1), toolCall(2)]);
  await flow.sayWithIds(["e1", resultOf("2")]);
  await one.reload();
  await rest.sayWithIds(["e1", resultOf("2")], ["e2", resultOf("1")]);
  expect(reader.messages).toEqual([resultOf("2"), resultOf("1")]);
  expect(reader.closed).toBe(4002);
});

it("several calls each end on their own stream, those that can go on go on, and new ones take new streams", async () => {
  const flows = { plain: new Flow(), named: new Flow(), rest: new Flow() };
  const script = ({ verb, body }: Asked) => {
    if (verb === "GET") return flows.rest.response;
    if (body.includes("again")) return new Flow().response;
    if (body.includes("plain")) return flows.plain.response;
    return body.includes("named") ? flows.named.response : undefined;
  };
  const one = await ObjectInNode.open({ script });
  const plain = await one.follow(toolCall(1, "plain"));
  const named = await one.follow(toolCall(2, "named"));
  await flows.plain.say(notice("p"));
  await flows.named.sayWithIds(["e1", notice("n")]);
  await one.reload();
  expect([plain.messages, plain.closed]).toEqual([[notice("p"), interrupted("1")], 4002]);
  expect([named.messages, named.closed]).toEqual([[notice("n")], undefined]);
  const later = await one.follow(toolCall(3, "again"));
  await flows.rest.say(resultOf("2"));
  expect(named.messages).toEqual([notice("n"), resultOf("2")]);
  expect(later.messages).toEqual([]);
  const streams = [plain, named, later].map(({ lastEventId }) => parseEventId(lastEventId)?.stream);
  expect(new Set(streams).size).toBe(3);
});

it("a stream's number is never given again, also where all have ended", async () => {
  const { one, flow } = await flowing();
  const first = await one.follow(toolCall(1));
  await flow.say(resultOf("1"));
  const { lastEventId } = first;
  await one.evict();
  one.script = ({ method }) => (method === "tools/call" ? new Flow().response : undefined);
  const answer = one.post(toolCall(2));
  await pass(300);
  expect(await answer).toEqual({ ok: true, value: { kind: "stream", stream: 3 } });
  // A client of the first one gets nothing of the second.
  const late = await one.attach({ kind: "resume", lastEventId });
  expect([late.messages, late.closed]).toEqual([[], 4002]);
});

it("a call that its client cancelled owes nothing, and is not taken up", async () => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(1));
  await flow.sayWithIds(["e1", notice(1)]);
  await one.post(rpc(undefined, "notifications/cancelled", { requestId: 1 }));
  await one.reload();
  expect(reader.messages).toEqual([notice(1), failure("1", FAILURES.cancelled)]);
  expect(one.all("GET")).toEqual([]);
});

it("a call that goes on can be cancelled, and ends with the session, as before", async () => {
  const { one, flow, rest } = await flowing();
  const reader = await one.follow(toolCall(1));
  await flow.sayWithIds(["e1", notice(1)]);
  await one.reload();
  await one.post(rpc(undefined, "notifications/cancelled", { requestId: 1 }));
  expect(reader.messages).toEqual([notice(1), failure("1", FAILURES.cancelled)]);
  expect([reader.closed, rest.isLeft]).toEqual([4002, true]);
  const second = await flowing();
  const other = await second.one.follow(toolCall(1));
  await second.flow.sayWithIds(["e1", notice(1)]);
  await second.one.evict();
  await second.one.end();
  await settle();
  expect(other.messages).toEqual([notice(1), errorOf(-32001, "Session not found", "1")]);
  expect(other.closed).toBe(4000);
});

it("what came on the standalone stream while nobody followed it is there for the next reader, and once", async () => {
  const one = await ObjectInNode.open();
  const first = await one.attach({ kind: "standalone" });
  await one.word(first, `upstream e1\n${notice("read")}`);
  one.leave(first);
  await one.evict();
  // The bridge's last words may come after its reader has left.
  const bridge = await one.attach({ kind: "standalone" });
  await one.word(bridge, `upstream e2\n${notice("also read")}`);
  expect(bridge.messages).toEqual([notice("also read")]);
  one.leave(bridge);
  await one.evict();
  const backend = await one.attach({ kind: "standalone" });
  expect(backend.messages).toEqual([]);
  expect(backend.words.find((word) => word.startsWith("backend "))).toContain('"lastEventId":"e2"');
});

it("the standalone stream's reader stays, and gets what comes in another life of the object", async () => {
  const one = await ObjectInNode.open();
  const reader = await one.attach({ kind: "standalone" });
  await one.evict();
  await one.word(reader, `upstream e1\n${notice(1)}`);
  expect(reader.messages).toEqual([notice(1)]);
  const second = await one.attach({ kind: "standalone" });
  expect(reader.closed).toBe(4003);
  await one.word(second, `upstream e2\n${notice(2)}`);
  expect([reader.messages, second.messages]).toEqual([[notice(1)], [notice(2)]]);
});

it("a reader that is behind gets the next page from another life of the object", async () => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(1));
  const large = Array.from({ length: 8 }, (_, n) => notice(`${n}`.padEnd(60_000, "x")));
  await flow.say(...large);
  await flow.say(resultOf("1"));
  one.leave(reader);
  const behind = await one.attach(own(2));
  expect(behind.words.at(-1)).toBe("behind");
  for (let life = 0; behind.closed === undefined && life < 10; life++) {
    await one.evict();
    await one.word(behind, "more");
  }
  expect(behind.messages).toEqual([...large, resultOf("1")]);
  expect(behind.closed).toBe(4002);
});

it("a lost upstream session is known to be lost by every life: the recovery of one that died is done again", async () => {
  const one = await ObjectInNode.open();
  const knows = ({ verb, method, sid }: Asked) =>
    verb === "POST" && method !== "initialize" && sid !== "upstream-2"
      ? new Response(null, { status: 404 })
      : undefined;
  one.script = (asked) => (asked.method === "initialize" ? never() : knows(asked));
  void one.post(toolCall(1));
  await settle();
  await one.evict();
  one.script = knows;
  one.upstreamSid = "upstream-2";
  expect(await one.post(toolCall(2))).toMatchObject({
    value: { kind: "json", body: resultOf("2") },
  });
  expect(one.all("initialize")).toHaveLength(2);
});

it("answers of a legacy client's calls go to its one stream, interrupted ones too", async () => {
  const one = ObjectInNode.empty();
  const metadata = { upstream: "default" };
  const legacy = { type: "sse", upstream: "default" } as const;
  one.object.create({ admin: true }, one.id, { type: "sse", ttlMs: 7_200_000, metadata } as never);
  const flow = new Flow();
  one.script = ({ method }) => (method === "tools/call" ? flow.response : undefined);
  const reader = await one.attach({
    kind: "standalone",
    endpoint: "/messages",
    match: legacy,
  } as never);
  expect(await one.post(toolCall(1), { match: legacy, delivery: "standalone" })).toEqual({
    ok: true,
    value: { kind: "accepted" },
  });
  await settle();
  await flow.sayWithIds(["e1", notice(1)]);
  await one.reload();
  const [endpoint, ...messages] = reader.messages;
  expect([endpoint, messages]).toEqual(["/messages", [notice(1), interrupted("1")]]);
  expect(reader.closed).toBeUndefined();
  expect(one.all("GET")).toEqual([]);
});

it("an answer that was stored and not read is read in another life", async () => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(1));
  one.leave(reader);
  await flow.say(notice(1), resultOf("1"));
  await one.evict();
  const again = await one.attach({ kind: "resume", lastEventId: reader.lastEventId });
  expect([again.messages, again.closed]).toEqual([[notice(1), resultOf("1")], 4002]);
});

it("an id of another session, and one of a stream that was never begun, are refused", async () => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(1));
  await flow.say(resultOf("1"));
  await one.evict();
  const { lastEventId } = reader;
  for (const id of ["", "nonsense", `x${lastEventId.slice(1)}`, lastEventId.replace(/2$/, "3")]) {
    expect([id, await one.tryToAttach({ kind: "resume", lastEventId: id })]).toEqual([id, 400]);
  }
});

it("JSON that comes late is one message of the stream, in each life that is left to it", async () => {
  const late = Promise.withResolvers<Response>();
  const one = await ObjectInNode.open({
    script: ({ method }) => (method === "tools/call" ? late.promise : undefined),
  });
  const reader = await one.follow(toolCall(1));
  await one.evict();
  one.wake();
  late.resolve(json(resultOf("1")));
  await settle();
  // It came to nobody: only that the call was interrupted is stored.
  expect([reader.messages, reader.closed]).toEqual([[interrupted("1")], 4002]);
});
