/** A client of HTTP+SSE: each POST is accepted, and every answer comes on the session's one stream. */
import { expect, it } from "vitest";
import { UPSTREAM_HEAD_MS } from "../../../../src/core/limits.ts";
import { FAILURES } from "../../../../src/gateway/upstream/failure.ts";
import {
  agreed,
  brokenOff,
  errorOf,
  Flow,
  INITIALIZE,
  json,
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
  type Script,
} from "../../../support/mcp/object-in-node.ts";

withObjects();

const match = { type: "sse", upstream: "default" } as const;
const HOW = { match, delivery: "standalone" } as const;
const accepted = { ok: true, value: { kind: "accepted" } };
const failure = (id: string, { message }: { message: string }) => errorOf(-32603, message, id);
const credential = { forwardAuthorization: true };

/** A session, and its stream. The functions post a message, and the client's own initialize. */
async function legacy(options: ObjectOptions = {}, metadata: object = {}) {
  const one = ObjectInNode.empty(options);
  const content = { type: "sse", ttlMs: 7_200_000, metadata: { upstream: "default", ...metadata } };
  one.object.create({ admin: true }, one.id, content as never);
  const reader = await one.attach({ kind: "standalone", match } as never);
  const post = (message: string | string[], more: object = {}) =>
    one.post(message, { ...HOW, ...more });
  const initialize = (body = INITIALIZE) => post(body, { initialize: true });
  return { one, reader, post, initialize };
}

const sidOf = (one: ObjectInNode) => one.asked.at(-1)?.sid;

it("answers the client's initialize on the stream, and uses the session that the upstream made", async () => {
  const { one, reader, post, initialize } = await legacy();
  expect(await initialize()).toEqual(accepted);
  await settle();
  expect(JSON.parse(reader.messages[0]!)).toMatchObject({ id: 0, result: { serverInfo: {} } });
  await post(toolCall(1));
  await settle();
  expect([sidOf(one), reader.messages.slice(1)]).toEqual(["upstream-1", [resultOf("1")]]);
  await one.evict();
  await post(toolCall(2));
  await settle();
  expect([sidOf(one), reader.messages.at(-1)]).toEqual(["upstream-1", resultOf("2")]);
  expect(one.methods()).toEqual(["initialize", "tools/call", "tools/call"]);
});

it("ends the upstream's session that the client gave up by initializing again", async () => {
  const { one, initialize } = await legacy();
  await initialize();
  await settle();
  expect(one.all("DELETE")).toEqual([]);
  one.upstreamSid = "upstream-2";
  await initialize();
  await settle();
  expect(
    one.all("DELETE").map(({ sid, headers }) => [sid, headers["mcp-protocol-version"]]),
  ).toEqual([["upstream-1", "2025-11-25"]]);
});

it("tells what the upstream says before its answer to initialize", async () => {
  const flow = new Flow({ "mcp-session-id": "upstream-1" });
  const { reader, initialize } = await legacy({
    script: ({ method }) => (method === "initialize" ? flow.response : undefined),
  });
  await initialize();
  const answer = await agreed("0", INITIALIZE).text();
  await flow.say(notice("hello"), answer);
  expect(reader.messages).toEqual([notice("hello"), answer]);
});

it.each<[how: string, answer: () => Response | Promise<Response>, message: string]>([
  ["by an error", () => json(errorOf(-32000, "full", "0")), errorOf(-32000, "full", "0")],
  [
    "by an error with a status",
    () => json(errorOf(-32000, "full", "0"), 400),
    errorOf(-32000, "full", "0"),
  ],
  ["by a status", () => new Response("", { status: 500 }), failure("0", FAILURES.refused)],
  ["by breaking off", brokenOff, failure("0", FAILURES.unreachable)],
])("puts an initialize that is refused %s on the stream", async (_how, answer, message) => {
  const { one, reader, initialize } = await legacy({
    script: ({ method }) => (method === "initialize" ? answer() : undefined),
  });
  expect(await initialize()).toEqual(accepted);
  await settle();
  expect(reader.messages).toEqual([message]);
  expect(one.all("DELETE")).toEqual([]);
});

it("ends the upstream's new session where its id has no room in the session", async () => {
  const metadata = Object.fromEntries(
    Array.from({ length: 200 }, (_, n) => [`key-${n}`, "x".repeat(600)]),
  );
  const long = rpc(0, "initialize", {
    protocolVersion: "2025-11-25",
    capabilities: { x: "y".repeat(40_000) },
  });
  const { one, reader, initialize } = await legacy({}, metadata);
  await initialize(long);
  await settle();
  expect(reader.messages).toEqual([failure("0", FAILURES.noRoom)]);
  expect(one.all("DELETE").map(({ sid }) => sid)).toEqual(["upstream-1"]);
});

it("accepts a POST at once, whatever the upstream does with it", async () => {
  const { reader, post, initialize } = await legacy();
  await initialize();
  await settle();
  const stuck = await legacy({
    script: ({ method }) => (method === "tools/call" ? never() : undefined),
  });
  await stuck.initialize();
  expect(await stuck.post(toolCall(1))).toEqual(accepted);
  expect(await post(rpc(undefined, "notifications/initialized"))).toEqual(accepted);
  expect(reader.messages).toHaveLength(1);
});

it("puts all answers on the one stream, each under its own id, and does not end it", async () => {
  const flows = [new Flow(), new Flow()];
  const script = ({ method, id }: Asked) =>
    method === "tools/call" ? flows[Number(id) - 1]?.response : undefined;
  const { reader, post, initialize } = await legacy({ script });
  await initialize();
  await settle();
  await Promise.all([post(toolCall(1)), post(toolCall(2))]);
  await flows[1]?.say(notice("b"), resultOf("2"));
  await flows[0]?.say(resultOf("1"));
  expect(reader.messages.slice(1)).toEqual([notice("b"), resultOf("2"), resultOf("1")]);
  expect(reader.closed).toBeUndefined();
});

it("puts a failed call's error on the stream, and says nothing of a notification that failed", async () => {
  const refuses: Script = ({ method }) =>
    method === "initialize" ? undefined : new Response("", { status: 500 });
  const { reader, post, initialize } = await legacy({ script: refuses });
  await initialize();
  await settle();
  expect(await post(toolCall(1))).toEqual(accepted);
  expect(await post(rpc(undefined, "notifications/progress"))).toEqual(accepted);
  await settle();
  expect(reader.messages.slice(1)).toEqual([failure("1", FAILURES.refused)]);
});

it("cancels by the notification, once the upstream has accepted it", async () => {
  const { one, reader, post, initialize } = await legacy({
    script: ({ method }) => (method === "tools/call" ? never() : undefined),
  });
  await initialize();
  await settle();
  await post(toolCall(1));
  await post(rpc(undefined, "notifications/cancelled", { requestId: 1 }));
  await settle();
  expect(reader.messages.slice(1)).toEqual([failure("1", FAILURES.cancelled)]);
  expect(one.all("tools/call")[0]?.signal?.aborted).toBe(true);
});

/** A session whose upstream checks the client's own credential, and answers calls with this. */
async function checking(answer: Script) {
  const script: Script = (asked) => (asked.method === "initialize" ? undefined : answer(asked));
  const made = await legacy({ script, upstream: credential });
  const initialized = made.initialize();
  await pass(UPSTREAM_HEAD_MS);
  await initialized;
  return made;
}

const challenge = { "www-authenticate": 'Bearer error="invalid_token"' };

it("answers the POST with the refusal of a credential, where the upstream checks it", async () => {
  const { reader, post } = await checking(
    () => new Response("", { status: 401, headers: challenge }),
  );
  expect(await post(toolCall(1))).toEqual({
    ok: true,
    value: { kind: "failed", failure: { ...FAILURES.refused, status: 401, headers: challenge } },
  });
  expect(await post(rpc(undefined, "notifications/progress"))).toMatchObject({
    value: { kind: "failed", failure: { status: 401 } },
  });
  expect(reader.messages).toHaveLength(1);
});

it("waits a second for it, and then accepts the POST: a later refusal is on the stream", async () => {
  const late = Promise.withResolvers<Response>();
  const { reader, post } = await checking(() => late.promise);
  const answer = post(toolCall(1));
  let isAnswered = false;
  void answer.then(() => (isAnswered = true));
  await pass(UPSTREAM_HEAD_MS - 1);
  expect(isAnswered).toBe(false);
  await pass(1);
  expect(await answer).toEqual(accepted);
  late.resolve(new Response("", { status: 401, headers: challenge }));
  await settle();
  expect(reader.messages.slice(1)).toEqual([failure("1", FAILURES.refused)]);
});

it("puts other failures on the stream there too", async () => {
  const { reader, post } = await checking(() => new Response("", { status: 500 }));
  expect(await post(toolCall(1))).toEqual(accepted);
  await settle();
  expect(reader.messages.slice(1)).toEqual([failure("1", FAILURES.refused)]);
});

it("answers the POST of an initialize that is refused with that, where the upstream checks a credential", async () => {
  const body = errorOf(-32000, "full", "0");
  const late = Promise.withResolvers<Response>();
  const answers = [json(body, 401), json(body), late.promise];
  const { reader, initialize } = await legacy({
    script: ({ method }) => (method === "initialize" ? answers.shift() : undefined),
    upstream: credential,
  });
  expect(await initialize()).toMatchObject({ value: { kind: "json", status: 401, body } });
  expect(reader.messages).toEqual([]);
  expect(await initialize()).toEqual(accepted);
  expect(reader.messages).toEqual([body]);
  const third = initialize();
  await pass(UPSTREAM_HEAD_MS);
  expect(await third).toEqual(accepted);
  late.resolve(json(body, 401));
  await settle();
  expect(reader.messages).toEqual([body, body]);
});
