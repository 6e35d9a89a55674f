/** A call of a client counts as use of its session: the session lives while it is under way, and a TTL from its end. */
import { expect, it } from "vitest";
import {
  brokenOff,
  Flow,
  json,
  notice,
  ObjectInNode,
  pass,
  resultOf,
  settle,
  toolCall,
  withObjects,
  type Asked,
} from "../../../support/mcp/object-in-node.ts";

withObjects();

const TTL = 10_000;
/** The upstream's time to begin an answer, which is six times the TTL. */
const upstream = { timeoutSeconds: 60 };

const toCall = (answer: () => Promise<Response> | Response) => ({
  ttlMs: TTL,
  upstream,
  script: ({ method }: Asked) => (method === "tools/call" ? answer() : undefined),
});

it("a call that takes longer than the TTL keeps its session, which lives a whole TTL from the answer", async () => {
  const late = Promise.withResolvers<Response>();
  const one = await ObjectInNode.open(toCall(() => late.promise));
  const reader = await one.follow(toolCall(1));
  one.leave(reader);
  await pass(3 * TTL);
  expect(one.exists).toBe(true);
  late.resolve(json(resultOf("1")));
  await settle();
  expect(one.exists).toBe(true);
  await pass(TTL - 1);
  expect(one.exists).toBe(true);
  const again = await one.attach({ kind: "resume", lastEventId: reader.lastEventId });
  expect(again.messages).toEqual([resultOf("1")]);
  one.leave(again);
  await pass(TTL);
  expect(one.exists).toBe(false);
});

it("a stream that begins late is a use, though it says nothing", async () => {
  const late = Promise.withResolvers<Response>();
  const one = await ObjectInNode.open(toCall(() => late.promise));
  void one.post(toolCall(1));
  await pass(3 * TTL);
  late.resolve(new Flow().response);
  await settle();
  await pass(TTL - 1);
  expect(one.exists).toBe(true);
  await pass(1);
  expect(one.exists).toBe(false);
});

it.each<[how: string, end: (late: PromiseWithResolvers<Response>) => void]>([
  ["fails", ({ reject }) => reject(new Error("Network connection lost."))],
  ["is refused", ({ resolve }) => resolve(new Response("", { status: 500 }))],
])("one that %s late does too", async (_how, end) => {
  const late = Promise.withResolvers<Response>();
  const one = await ObjectInNode.open(toCall(() => late.promise));
  void one.post(toolCall(1));
  await pass(3 * TTL);
  end(late);
  await settle();
  await pass(TTL - 1);
  expect(one.exists).toBe(true);
  await pass(1);
  expect(one.exists).toBe(false);
});

it("a quick call counts from its beginning where nothing holds the session", async () => {
  const one = await ObjectInNode.open(toCall(brokenOff));
  await pass(TTL - 1);
  await one.post(toolCall(1));
  await pass(TTL - 1);
  expect(one.exists).toBe(true);
  await pass(1);
  expect(one.exists).toBe(false);
});

it("each message of a stream is a use, and a stream without messages is none", async () => {
  const flow = new Flow();
  const one = await ObjectInNode.open(toCall(() => flow.response));
  const reader = await one.follow(toolCall(1));
  one.leave(reader);
  for (let n = 0; n < 3; n++) {
    await pass(TTL - 1000);
    await flow.say(notice(n));
  }
  expect(one.exists).toBe(true);
  await pass(TTL - 1);
  await flow.write(": a comment\n\n");
  await pass(1);
  expect(one.exists).toBe(false);
  await settle();
  expect(flow.isLeft).toBe(true);
});

it("a reader of the call's stream holds the session while the stream says nothing", async () => {
  const flow = new Flow();
  const one = await ObjectInNode.open(toCall(() => flow.response));
  const reader = await one.follow(toolCall(1));
  await pass(5 * TTL);
  expect(one.exists).toBe(true);
  await flow.say(resultOf("1"));
  await settle();
  expect(reader.closed).toBe(4002);
  await pass(TTL - 1);
  expect(one.exists).toBe(true);
  await pass(1);
  expect(one.exists).toBe(false);
});

it("the object's alarm finds the call under way, in whichever life, and ends the session after it", async () => {
  const late = Promise.withResolvers<Response>();
  const one = await ObjectInNode.open(toCall(() => late.promise));
  void one.post(toolCall(1));
  await pass(TTL);
  await one.object.alarm();
  expect(one.exists).toBe(true);
  await one.evict();
  // Nothing of the call is left: the session lives for a TTL from what was credited to it.
  await pass(3 * TTL);
  await one.object.alarm();
  expect(one.exists).toBe(false);
  expect(one.storage.alarm).toBeNull();
});
