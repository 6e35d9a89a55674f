/** A call of a client counts as use of its session: the session lives while it is under way, and a TTL from its end. */
import { expect, it } from "vitest";
import type { Delivery, DirectoryMessage } from "../../../../src/directory/contract.ts";
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

it("a call counts from its end after an eviction too, though its beginning was credited for less", async () => {
  const late = Promise.withResolvers<Response>();
  const one = await ObjectInNode.open(toCall(() => late.promise));
  void one.post(toolCall(1));
  await pass(TTL / 2);
  late.resolve(json(resultOf("1")));
  await settle();
  await one.evict();
  await pass(TTL - 1);
  expect(one.exists).toBe(true);
});

it("a stream that goes on in another life brings no session back whose time was up", async () => {
  const flow = new Flow();
  const one = await ObjectInNode.open(toCall(() => flow.response));
  one.leave(await one.follow(toolCall(1)));
  await flow.sayWithIds(["e1", notice(1)]);
  await one.evict();
  await pass(2 * TTL);
  expect(one.exists).toBe(false);
});

/** A directory of one shard, which takes every message. */
function directory() {
  const heard: DirectoryMessage[] = [];
  const deliver = async (_to: unknown, message: DirectoryMessage): Promise<Delivery> => {
    heard.push(message);
    return { kind: "taken", ...("renewal" in message && { renews: true }) };
  };
  const DIRECTORY = { idFromName: (name: string) => name, get: () => ({ deliver }) };
  return { heard, env: { DIRECTORY, DIRECTORY_SHARDS: "1" } };
}

it.each<[string, () => Response]>([
  ["is answered", () => json(resultOf("1"))],
  ["gets a stream that says nothing", () => new Flow().response],
])(
  "a call that %s late lets the directory's entry renew itself no longer",
  async (_how, answer) => {
    const late = Promise.withResolvers<Response>();
    const { heard, env } = directory();
    const one = await ObjectInNode.open({ ...toCall(() => late.promise), env });
    one.leave(await one.follow(toolCall(1)));
    await pass(TTL);
    void one.object.alarm();
    await pass(100);
    expect(heard.at(-1)).toMatchObject({ renewal: { everyMs: TTL } });
    await pass(TTL / 2);
    const deadline = Date.now() + TTL;
    late.resolve(answer());
    await pass(100);
    expect(heard.at(-1)).toMatchObject({ entry: { expiresAt: deadline } });
    expect(heard.at(-1)).not.toHaveProperty("renewal");
  },
);
