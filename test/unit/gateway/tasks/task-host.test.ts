/** A call that becomes a task: what comes between its steps, and what is sent again. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { succeed } from "../../../../src/core/errors.ts";
import type { SessionContent } from "../../../../src/core/host.ts";
import { requireSessionId } from "../../../../src/core/id.ts";
import { TASK_REPEAT_MS } from "../../../../src/core/limits.ts";
import type { Logger } from "../../../../src/logger.ts";
import { QuickAnswer } from "../../../../src/gateway/tasks/quick-answer.ts";
import { TaskHost } from "../../../../src/gateway/tasks/task-host.ts";
import type { RequestParts, Upstream } from "../../../../src/gateway/upstream/upstream.ts";
import type { EventWithAside } from "../../../../src/stream/event-log.ts";
import { encodeFrame, MESSAGE_EVENT } from "../../../../src/wire/sse-frame.ts";
import { ObjectStorage } from "../../../support/object-storage.ts";
import { json, resultOf, rpc } from "../../../support/mcp/object-in-node.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const ID = requireSessionId("0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55");
const CALLER = { admin: true };
const AFTER_MS = 1000;
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const never = () => new Promise<never>(() => undefined);
const UPSTREAM = {
  name: "default",
  headers: {},
  timeoutMs: 60_000,
  silenceMs: 600_000,
  callMs: 3_600_000,
  forwardAuthorization: false,
  era: "modern",
  tasks: { afterMs: AFTER_MS, ttlMs: 3_600_000, pollIntervalMs: 1000, required: [] },
} as const;

/** A host whose upstream gives these answers in turn, and whose steps the test may hold up. */
function hosting(...answers: readonly Promise<Response>[]) {
  const admitted = Promise.withResolvers<void>();
  const synced = Promise.withResolvers<void>();
  const sent: string[] = [];
  const left = [...answers];
  const send = async ({ body = "" }: RequestParts) => {
    sent.push(body);
    return left.shift() ?? new Promise<Response>(() => undefined);
  };
  const upstream: Upstream = { ...UPSTREAM, replicas: [{ url: "https://a.example/mcp", send }] };
  const { storage } = new ObjectStorage().open();
  storage.sync = () => synced.promise;
  let isMade = false;
  const log = { warn: vi.fn() } as unknown as Logger;
  const host = new TaskHost({
    storage,
    session: () => (isMade ? { type: "task" } : null),
    make: () => succeed((isMade = true)),
    unmake: () => void (isMade = false),
    admit: async (_id, _owner, make) => {
      await admitted.promise;
      await make();
    },
    stream: () => ({ byTask: (_event, _ends, store) => store(), ofTask: undefined }),
    wakeBy: () => undefined,
    openUpstreams: () => new Map([["default", upstream]]),
    overBridge: undefined,
    limits: { bodyMaxBytes: 1 << 20, eventMaxBytes: 1 << 16, streamBufferBytes: 1 << 16 },
    log,
  });
  const body = rpc("c", "tools/call", { name: "pay", arguments: {} });
  const ask = { upstream: "default", body, id: '"c"', tool: "pay", headers: {} } as const;
  const answer = host.call(CALLER, ID, { kind: "call", ...ask });
  const seen: { kind?: string; body?: unknown } = {};
  void answer.then((outcome) => {
    if (outcome.ok) Object.assign(seen, outcome.value);
  });
  const about = (kind: "get" | "cancel" | "leave") =>
    host.answer({ kind, upstream: "default" }, isMade ? "task" : undefined, undefined);
  const status = () => {
    const outcome = about("get");
    if (!outcome.ok || outcome.value.kind !== "task") return undefined;
    return (JSON.parse(outcome.value.text) as { status: string }).status;
  };
  return { admitted, synced, sent, seen, about, status, isMade: () => isMade };
}

it("makes no task of a call that was answered while its owner's tasks were counted", async () => {
  const late = Promise.withResolvers<Response>();
  const { admitted, seen, isMade } = hosting(late.promise);
  await pass(AFTER_MS);
  late.resolve(json(resultOf('"c"')));
  await pass(0);
  expect(seen).toMatchObject({ kind: "whole", status: 200 });
  admitted.resolve();
  await pass(0);
  expect(isMade()).toBe(false);
});

it("cancels the call of a client that leaves, and the task of which it has not heard", async () => {
  const done = { ok: true, value: { kind: "done" } };
  const quick = hosting();
  quick.admitted.resolve();
  await pass(AFTER_MS - 1);
  expect(quick.about("leave")).toEqual(done);
  await pass(1);
  expect([quick.isMade(), quick.seen]).toMatchObject([false, { kind: "failed" }]);
  const counted = hosting();
  await pass(AFTER_MS);
  expect(counted.about("leave")).toEqual(done);
  counted.admitted.resolve();
  await pass(0);
  expect(counted.isMade()).toBe(false);
  for (const isTold of [false, true]) {
    const task = hosting();
    task.admitted.resolve();
    await pass(AFTER_MS);
    if (isTold) task.synced.resolve();
    await pass(0);
    expect([task.status(), task.about("leave"), task.status()]).toEqual([
      "working",
      done,
      "cancelled",
    ]);
  }
  const answered = hosting(Promise.resolve(json(resultOf('"c"'))));
  await pass(0);
  expect([answered.about("leave"), answered.seen]).toMatchObject([done, { status: 200 }]);
});

it("tells its client of the task once that is durable, and not before", async () => {
  const { admitted, synced, seen, isMade } = hosting();
  admitted.resolve();
  await pass(AFTER_MS);
  expect([isMade(), seen]).toEqual([true, {}]);
  synced.resolve();
  await pass(0);
  expect(seen).toMatchObject({
    kind: "whole",
    body: expect.stringContaining('"resultType":"task"'),
  });
});

const asksForTime = resultOf(
  '"c"',
  '"resultType":"input_required","inputRequests":{},"requestState":"s"',
);

it("sends a call again after a pause where the upstream wants its state back alone, and takes that answer", async () => {
  const first = Promise.withResolvers<Response>();
  const second = json(resultOf('"c"', '"content":[]'));
  const { admitted, sent, status } = hosting(first.promise, Promise.resolve(second));
  admitted.resolve();
  await pass(AFTER_MS);
  first.resolve(json(asksForTime));
  await pass(TASK_REPEAT_MS - 1);
  expect([sent.length, status()]).toEqual([1, "working"]);
  await pass(1);
  expect(sent[1]).toContain('"requestState":"s"');
  expect(status()).toBe("completed");
});

it("sends it no second time where it is cancelled in that pause", async () => {
  const first = Promise.withResolvers<Response>();
  const { admitted, sent, about, status } = hosting(first.promise);
  admitted.resolve();
  await pass(AFTER_MS);
  first.resolve(json(asksForTime));
  await pass(1);
  about("cancel");
  await pass(TASK_REPEAT_MS);
  expect([sent.length, status()]).toEqual([1, "cancelled"]);
});

/**
 * A host whose calls go over the bridge, which answers them by `answer`. `isFull`: nothing can be stored. The owner's
 * tasks are counted until `counted`.
 */
function bridging(answer: Promise<Response>, counted = Promise.resolve()) {
  const verbs: string[] = [];
  const wakes: number[] = [];
  const kept: { event?: EventWithAside; content?: SessionContent } = {};
  const { storage } = new ObjectStorage().open();
  const full = { isFull: false };
  const upstream: Upstream = {
    ...UPSTREAM,
    replicas: [{ url: "https://a.example/mcp", send: never }],
  };
  const host = () =>
    new TaskHost({
      storage,
      session: () => kept.content ?? null,
      make: (_id, content) => succeed((kept.content = content)),
      unmake: () => delete kept.content,
      admit: (_id, _owner, make) => counted.then(make),
      stream: () => ({
        byTask: (event, _ends, store) => {
          if (full.isFull) throw new Error("database or disk is full");
          kept.event = event;
          store();
        },
        ofTask: { newest: kept.event as never, changeAside: () => undefined },
      }),
      wakeBy: (at) => void wakes.push(at),
      openUpstreams: () => new Map([["default", upstream]]),
      overBridge: (_upstream, _principal, { verb }) => {
        verbs.push(verb);
        if (verb === "call") return answer;
        return verb === "resume" ? never() : Promise.resolve(json(resultOf('"c"')));
      },
      limits: { bodyMaxBytes: 1 << 20, eventMaxBytes: 1 << 16, streamBufferBytes: 1 << 16 },
      log: { warn: vi.fn() } as unknown as Logger,
    });
  const first = host();
  const body = rpc("c", "tools/call", { name: "pay", arguments: {} });
  const ask = { upstream: "default", body, id: '"c"', tool: "pay", headers: {} } as const;
  void first.call(CALLER, ID, { kind: "call", ...ask, owner: "p", principal: "p" });
  return { verbs, wakes, kept, full, host };
}

it("tells the bridge once the answer to a task's call is stored", async () => {
  const answer = Promise.withResolvers<Response>();
  const { verbs, kept, full } = bridging(answer.promise);
  await pass(AFTER_MS);
  full.isFull = true;
  answer.resolve(json(resultOf('"c"', '"content":[]')));
  await pass(0);
  expect(verbs).toEqual(["call"]);
  full.isFull = false;
  await pass(5000);
  expect(kept.event?.data).toContain("completed");

  const other = bridging(Promise.resolve(json(resultOf('"c"', '"content":[]'))));
  await pass(0);
  // It was quick, and is no task.
  expect(other.verbs).toEqual(["call"]);

  const late = Promise.withResolvers<Response>();
  const third = bridging(late.promise);
  await pass(AFTER_MS);
  late.resolve(json(resultOf('"c"', '"content":[]')));
  await pass(0);
  expect(third.verbs).toEqual(["call", "taken"]);
});

it("tells the bridge of an answer that came while a call was to become a task: the bridge takes it for one", async () => {
  const answer = Promise.withResolvers<Response>();
  const { verbs, kept } = bridging(answer.promise, never());
  await pass(AFTER_MS);
  answer.resolve(json(resultOf('"c"')));
  await pass(0);
  expect([verbs, kept.content]).toEqual([["call", "taken"], undefined]);
});

it("looks again at a task over the bridge that was lost with its object: only later does it tell whether it can be resumed", async () => {
  const { verbs, wakes, host } = bridging(never());
  await pass(AFTER_MS);
  expect(wakes).toEqual([]);
  const second = host();
  second.wake(Date.now());
  await pass(0);
  expect(verbs).toEqual(["call", "resume"]);
  expect(wakes).toHaveLength(1);
  // It has said nothing of its stream meanwhile.
  second.wake(wakes[0]!);
  expect(wakes).toHaveLength(2);
});

it("lets as much wait for a slow client as the buffer holds, and not a byte more", async () => {
  for (const [more, isLeft] of [
    [0, false],
    [1, true],
  ] as const) {
    const left = vi.fn();
    const frame = encodeFrame({ event: MESSAGE_EVENT, data: "x".repeat(100) }).length;
    const answer = new QuickAnswer(frame - more, left);
    answer.send("x".repeat(100));
    expect([more, left.mock.calls.length > 0]).toEqual([more, isLeft]);
  }
});
