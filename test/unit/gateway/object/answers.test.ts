/** The answer to one POST: JSON if it is complete soon, and a stream otherwise. Nothing of it is lost on the way. */
import { expect, it } from "vitest";
import {
  QUICK_ANSWER_MS,
  UPSTREAM_HEAD_MS,
  UPSTREAM_SETTLE_MS,
} from "../../../../src/core/limits.ts";
import { FAILURES } from "../../../../src/gateway/upstream/failure.ts";
import {
  accepted,
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

/** The answer so far: its value, or "waits". */
async function stateOf(answer: Promise<unknown>): Promise<unknown> {
  await settle();
  return Promise.race([answer, Promise.resolve("waits")]);
}

const asJson = (body: string, status = 200) => ({
  ok: true,
  value: { kind: "json", status, body },
});
const onStream = (stream: number) => ({ ok: true, value: { kind: "stream", stream } });
const own = (stream: number) => ({ kind: "exchange" as const, stream });
const failure = (id: string, { message }: { message: string }) => errorOf(-32603, message, id);

/** A session whose upstream answers calls by this flow. */
async function flowing(options: ObjectOptions = {}) {
  const flow = new Flow();
  const one = await ObjectInNode.open({
    ...options,
    script: ({ method, body }) =>
      method === "tools/call" || body.startsWith("[") ? flow.response : undefined,
  });
  return { one, flow };
}

/** As `flowing`, with this batch under way. */
async function posted(...batch: readonly string[]) {
  const { one, flow } = await flowing(BATCHES);
  const answer = one.post(batch);
  await settle();
  return { one, flow, answer };
}

const BATCHES = { initialize: rpc(0, "initialize", { protocolVersion: "2025-03-26" }) };
const rowsOf = (one: ObjectInNode) => one.storage.rows()["messages"] ?? [];

it("is JSON where the upstream takes less than 250 ms, and a stream from then on", async () => {
  const answers = [Promise.withResolvers<Response>(), Promise.withResolvers<Response>()];
  const one = await ObjectInNode.open({ script: ({ id }) => answers[Number(id) - 1]?.promise });
  const quick = one.post(toolCall(1));
  await pass(QUICK_ANSWER_MS - 1);
  expect(await stateOf(quick)).toBe("waits");
  answers[0]?.resolve(json(resultOf("1")));
  expect(await quick).toEqual(asJson(resultOf("1")));
  expect(one.storage.rows()["exchanges"]).toBeUndefined();
  const slow = one.post(toolCall(2));
  await pass(QUICK_ANSWER_MS);
  expect(await slow).toEqual(onStream(2));
  const reader = await one.attach(own(2));
  expect(reader.messages).toEqual([]);
  answers[1]?.resolve(json(resultOf("2")));
  await settle();
  expect([reader.messages, reader.closed]).toEqual([[resultOf("2")], 4002]);
});

it("is a stream only after a second where the upstream checks the client's credential, so that a refusal is its status", async () => {
  const answers = [Promise.withResolvers<Response>(), Promise.withResolvers<Response>()];
  const one = await ObjectInNode.open({
    upstream: { forwardAuthorization: true },
    script: ({ id }) => answers[Number(id) - 1]?.promise,
  });
  const refused = one.post(toolCall(1));
  await pass(UPSTREAM_HEAD_MS - 1);
  expect(await stateOf(refused)).toBe("waits");
  answers[0]?.resolve(new Response("", { status: 401 }));
  expect(await refused).toMatchObject({ value: { kind: "failed", failure: { status: 401 } } });
  const slow = one.post(toolCall(2));
  await pass(UPSTREAM_HEAD_MS);
  expect(await slow).toEqual(onStream(2));
  answers[1]?.resolve(json(resultOf("2")));
  await settle();
});

it("is JSON where the upstream's stream is one response that comes at once, and stores nothing", async () => {
  const { one, flow } = await flowing();
  const answer = one.post(toolCall(1));
  await pass(UPSTREAM_SETTLE_MS - 1);
  expect(await stateOf(answer)).toBe("waits");
  await flow.say(resultOf("1"));
  expect(await answer).toEqual(asJson(resultOf("1")));
  expect([rowsOf(one), flow.isLeft]).toEqual([[], true]);
});

it("is a stream where the upstream's says nothing for 20 ms, or something before its response", async () => {
  const { one } = await flowing();
  const silent = one.post(toolCall(1));
  await pass(UPSTREAM_SETTLE_MS);
  expect(await silent).toEqual(onStream(2));
  const second = await flowing();
  const talking = second.one.post(toolCall(1));
  await settle();
  await second.flow.say(notice(1));
  expect(await talking).toEqual(onStream(2));
});

it("is JSON with every member that the server gave it", async () => {
  const result = resultOf("1", '"resultType":"complete"');
  const one = await ObjectInNode.open({
    script: ({ method }) => (method === "tools/call" ? json(result) : undefined),
  });
  expect(await one.post(toolCall(1))).toEqual(asJson(result));
});

it("is a stream at once where the upstream breaks its own off and can be asked for the rest", async () => {
  const { one, flow } = await flowing();
  const answer = one.post(toolCall(1));
  await settle();
  await flow.write("id: e0\ndata: \n\n");
  expect(await stateOf(answer)).toBe("waits");
  await flow.end();
  expect(await stateOf(answer)).toEqual(onStream(2));
});

it("keeps the answers of a batch that came before it became a stream", async () => {
  const { one, flow, answer } = await posted(toolCall(1), toolCall(2), toolCall(3));
  await flow.say(resultOf("2", '"early":1'), resultOf("1", '"early":2'));
  expect(await stateOf(answer)).toBe("waits");
  await pass(UPSTREAM_SETTLE_MS);
  expect(await answer).toEqual(onStream(2));
  const reader = await one.attach(own(2));
  const early = [resultOf("2", '"early":1'), resultOf("1", '"early":2')];
  expect(reader.messages).toEqual(early);
  await flow.say(resultOf("3"));
  expect([reader.messages, reader.closed]).toEqual([[...early, resultOf("3")], 4002]);
});

it("keeps them where a notification makes it a stream, in the order in which they came", async () => {
  const { one, flow, answer } = await posted(toolCall(1), toolCall(2));
  await flow.say(resultOf("1"));
  await flow.say(notice("n"));
  expect(await answer).toEqual(onStream(2));
  const reader = await one.attach(own(2));
  expect(reader.messages).toEqual([resultOf("1"), notice("n")]);
});

it("keeps them where the upstream's stream breaks off: only what is missing is an error", async () => {
  const { flow, answer } = await posted(toolCall(1), toolCall(2));
  await flow.say(resultOf("1"));
  // No event of it had an id, so it cannot be resumed.
  await flow.breakOff();
  expect(await answer).toEqual(asJson(`[${resultOf("1")},${failure("2", FAILURES.closed)}]`));
});

it("is the whole batch as JSON, in an array, where all came soon", async () => {
  const { flow, answer } = await posted(toolCall(1), toolCall(2));
  await flow.say(resultOf("2"));
  await flow.say(resultOf("1"));
  expect(await answer).toEqual(asJson(`[${resultOf("2")},${resultOf("1")}]`));
});

it("gives the client its own ids, each answer once, and logs what answers nothing", async () => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(7));
  await flow.say(resultOf('"other"'), resultOf('"7"'), resultOf("7"));
  expect(reader.messages.map((text) => JSON.parse(text))).toEqual([
    { jsonrpc: "2.0", id: 7, result: {} },
  ]);
  expect(logged("upstream.stray_response")).toMatchObject([{ upstream: "default" }]);
});

it("keeps the part that JSON answers of what was asked: the rest is an error", async () => {
  const one = await ObjectInNode.open({
    ...BATCHES,
    script: ({ body }) => (body.startsWith("[") ? json(`[${resultOf("1")}]`) : undefined),
  });
  const answers = `[${resultOf("1")},${failure("2", FAILURES.broken)}]`;
  expect(await one.post([toolCall(1), toolCall(2)])).toEqual(asJson(answers));
});

it.each<[what: string, answer: () => Response, value: object]>([
  [
    "404 with its own error",
    () => json(errorOf(-32601, "none such", "1"), 404),
    { kind: "json", status: 200, body: errorOf(-32601, "none such", "1") },
  ],
  [
    "429",
    () => json("", 429, { "retry-after": "3" }),
    {
      kind: "failed",
      failure: { ...FAILURES.refused, status: 429, headers: { "retry-after": "3" } },
    },
  ],
  [
    "403 with an error",
    () => json(errorOf(1, "no", "1"), 403),
    { kind: "json", status: 403, headers: {}, body: errorOf(1, "no", "1") },
  ],
  ["202", accepted, { kind: "failed", failure: FAILURES.broken }],
  ["500", () => new Response("", { status: 500 }), { kind: "failed", failure: FAILURES.refused }],
])("carries a refusal with %s", async (_what, answer, value) => {
  const one = await ObjectInNode.open({
    script: ({ method }) => (method === "tools/call" ? answer() : undefined),
  });
  expect(await one.post(toolCall(1))).toEqual({ ok: true, value });
  const { kind, failure: why } = value as { kind: string; failure?: { status: number } };
  const statuses = kind === "failed" ? [answer().status] : [];
  expect(logged("upstream.failed").map(({ status }) => status)).toEqual(statuses);
  expect(why === undefined).toBe(kind !== "failed");
});

it("puts a refusal that comes late on the stream, as the error of each request", async () => {
  const late = Promise.withResolvers<Response>();
  const one = await ObjectInNode.open({
    ...BATCHES,
    script: ({ body }) => (body.startsWith("[") ? late.promise : undefined),
  });
  const reader = await one.follow([toolCall(1), toolCall(2)]);
  late.resolve(new Response("", { status: 500 }));
  await settle();
  expect(reader.messages).toEqual([failure("1", FAILURES.refused), failure("2", FAILURES.refused)]);
  expect(reader.closed).toBe(4002);
});

it("is an error once the upstream has not begun to answer in its time", async () => {
  const script = ({ method }: Asked) => (method === "tools/call" ? never() : undefined);
  const one = await ObjectInNode.open({ script, upstream: { timeoutSeconds: 2 } });
  const reader = await one.follow(toolCall(1));
  await pass(2000 - 301);
  expect(reader.messages).toEqual([]);
  await pass(1);
  expect([reader.messages, reader.closed]).toEqual([[failure("1", FAILURES.timedOut)], 4002]);
});

it("cancels one request of a batch, and gives the upstream up with the last one", async () => {
  const { one, flow } = await flowing(BATCHES);
  const reader = await one.follow([toolCall(1), toolCall(2)]);
  const cancel = (id: number) =>
    one.post(rpc(undefined, "notifications/cancelled", { requestId: id }));
  await cancel(1);
  expect([reader.messages, flow.isLeft]).toEqual([[failure("1", FAILURES.cancelled)], false]);
  await flow.say(resultOf("1"), notice("goes on"));
  expect(reader.messages.slice(1)).toEqual([notice("goes on")]);
  await cancel(2);
  expect(reader.messages.at(-1)).toEqual(failure("2", FAILURES.cancelled));
  expect([reader.closed, flow.isLeft]).toEqual([4002, true]);
});

it("cancels a request of an exchange that is not answered yet, and no other one", async () => {
  const one = await ObjectInNode.open({
    script: ({ method }) => (method === "tools/call" ? never() : undefined),
  });
  const [first, second] = [one.post(toolCall(1)), one.post(toolCall(2))];
  await settle();
  await one.post(rpc(undefined, "notifications/cancelled", { requestId: 1 }));
  expect(await first).toEqual(asJson(failure("1", FAILURES.cancelled)));
  expect(await stateOf(second)).toBe("waits");
  expect(one.all("tools/call").map(({ signal }) => signal?.aborted)).toEqual([true, false]);
});

it("cancels nothing that the upstream did not accept to cancel", async () => {
  const { one } = await flowing();
  const reader = await one.follow(toolCall(1));
  one.script = () => new Response("", { status: 500 });
  await one.post(rpc(undefined, "notifications/cancelled", { requestId: 1 }));
  expect(reader.messages).toEqual([]);
});

it("goes on when its reader has left, for the one who comes back", async () => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(1));
  await flow.say(notice(1));
  one.leave(reader);
  await pass(120_000);
  await flow.say(notice(2));
  const again = await one.attach({ kind: "resume", lastEventId: reader.lastEventId });
  expect(again.messages).toEqual([notice(2)]);
  await flow.say(resultOf("1"));
  expect([again.messages, again.closed]).toEqual([[notice(2), resultOf("1")], 4002]);
  const late = await one.attach({ kind: "resume", lastEventId: reader.lastEventId });
  expect([late.messages, late.closed]).toEqual([[notice(2), resultOf("1")], 4002]);
});

it("tells the client of the session's end by an error on each stream, and the upstream by giving it up", async () => {
  const { one, flow } = await flowing();
  const reader = await one.follow(toolCall(1));
  await one.end();
  await settle();
  expect(reader.messages).toEqual([errorOf(-32001, "Session not found", "1")]);
  expect([reader.closed, flow.isLeft]).toEqual([4000, true]);
  expect(one.all("DELETE").map(({ sid }) => sid)).toEqual(["upstream-1"]);
});

it("does not write the stream's end of a session that was made again meanwhile", async () => {
  const { one, flow } = await flowing();
  await one.follow(toolCall(1));
  await one.end();
  await one.initialize();
  await flow.say(notice("of the one before"), resultOf("1"));
  expect(rowsOf(one)).toEqual([]);
  expect(await one.tryToAttach(own(2))).not.toBe(200);
});
