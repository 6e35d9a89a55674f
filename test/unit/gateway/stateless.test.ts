/** Where a body of the stateless revision is sent: one that may not run twice to one replica alone. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { UPSTREAM_ASKED_MS } from "../../../src/core/limits.ts";
import { sendStateless } from "../../../src/gateway/stateless.ts";
import { FAILURES } from "../../../src/gateway/upstream/failure.ts";
import type { Replica, RequestParts, Upstream } from "../../../src/gateway/upstream/upstream.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

type Answers = (method: string, request: RequestParts) => Promise<string>;

const answers: Answers = () => Promise.resolve('{"jsonrpc":"2.0","id":1,"result":{}}');
const breaks = () => Promise.reject<string>(new Error("Network connection lost."));
const hangs = () => new Promise<string>(() => undefined);
const breaksAfter = async (ms: number): Promise<string> => {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return breaks();
};

let made = 0;

/** An upstream whose replicas answer like this, and which of them were asked for what. */
function upstreamOf(...all: readonly Answers[]) {
  const asked: string[] = [];
  const replicas = all.map((answer, n): Replica => ({
    url: `https://${n}.stateless-${++made}.example/mcp`,
    send: (request) => {
      const { method } = JSON.parse(request.body ?? "{}") as { method: string };
      asked.push(`${n} ${method}`);
      return answer(method, request);
    },
  }));
  const times = { timeoutMs: 60_000, silenceMs: 60_000, callMs: 120_000 };
  const upstream: Upstream = {
    name: "x",
    replicas,
    headers: {},
    ...times,
    forwardAuthorization: false,
  };
  return { upstream, asked };
}

const bodyOf = (method: string) => JSON.stringify({ jsonrpc: "2.0", id: 1, method });

/** Sends a request, and returns the status of its answer or the failure, once so many milliseconds have passed. */
async function send(upstream: Upstream, method: string, ms = 0, abort = new AbortController()) {
  const options = { signal: abort.signal, totalMs: upstream.callMs };
  const headers = { "mcp-method": method, "mcp-name": "pay", "mcp-protocol-version": "2026-07-28" };
  const sent = sendStateless(upstream, bodyOf(method), headers, options).then(
    ({ reply }) => (reply.discard(), reply.status),
    (cause: { failure?: object }) => cause.failure ?? cause,
  );
  await vi.advanceTimersByTimeAsync(ms);
  return sent;
}

const only =
  (mine: string, answer: Answers): Answers =>
  (method, request) =>
    method === mine ? answer(method, request) : answers(method, request);

it.each<[how: string, answer: Answers, ms: number, failure: object]>([
  ["breaks off at once", breaks, 0, FAILURES.unreachable],
  ["takes and breaks off 50 s later", () => breaksAfter(50_000), 50_000, FAILURES.unreachable],
  ["takes and never answers", hangs, 60_000, FAILURES.timedOut],
])("a call that a replica %s is sent to no other one", async (_how, answer, ms, failure) => {
  const { upstream, asked } = upstreamOf(only("tools/call", answer), answers);
  expect(await send(upstream, "tools/call", ms)).toBe(failure);
  expect(asked).toEqual(["0 server/discover", "0 tools/call"]);
});

it("a harmless request moves on from a replica that breaks off", async () => {
  const { upstream, asked } = upstreamOf(breaks, answers);
  expect(await send(upstream, "tools/list")).toBe(200);
  expect(asked).toEqual(["0 tools/list", "1 tools/list"]);
});

it("a replica that hangs costs one harmless request: the next one goes to another", async () => {
  const { upstream, asked } = upstreamOf(hangs, answers);
  expect(await send(upstream, "tools/list", 60_000)).toBe(FAILURES.timedOut);
  expect(asked).toEqual(["0 tools/list"]);
  expect(await send(upstream, "tools/list")).toBe(200);
  expect(asked.slice(1)).toEqual(["1 tools/list"]);
});

it.each<[how: string, answer: Answers, ms: number]>([
  ["is gone", breaks, 0],
  ["does not answer the question before it within 5 s", hangs, UPSTREAM_ASKED_MS],
])("a call is sent to the next replica if the first one %s", async (_how, answer, ms) => {
  const { upstream, asked } = upstreamOf(answer, answers);
  expect(await send(upstream, "tools/call", ms)).toBe(200);
  expect(asked).toEqual(["0 server/discover", "1 server/discover", "1 tools/call"]);
  // From now on that one comes last.
  expect(await send(upstream, "tools/call")).toBe(200);
  expect(asked.slice(3)).toEqual(["1 tools/call"]);
});

it("a client that leaves while the replicas are asked has nothing sent", async () => {
  const abort = new AbortController();
  const { upstream, asked } = upstreamOf(hangs, answers);
  const sent = send(upstream, "tools/call", 0, abort);
  await vi.advanceTimersByTimeAsync(1000);
  abort.abort();
  expect(await sent).toBe(FAILURES.unreachable);
  expect(asked).toEqual(["0 server/discover"]);
});

it("the question before a call names no tool, and carries what the client said of itself", async () => {
  const headers: Record<string, string>[] = [];
  const { upstream } = upstreamOf(
    (method, request) => (headers.push(request.headers), answers(method, request)),
    answers,
  );
  await send(upstream, "tools/call");
  expect(headers.map((one) => [one["mcp-method"], one["mcp-name"]])).toEqual([
    ["server/discover", undefined],
    ["tools/call", "pay"],
  ]);
});

it("a replica that was heard from within 10 s is not asked before a call; where there is one alone, nothing is", async () => {
  const { upstream, asked } = upstreamOf(answers, answers);
  await send(upstream, "tools/call");
  await vi.advanceTimersByTimeAsync(9999);
  await send(upstream, "tools/call");
  await vi.advanceTimersByTimeAsync(10_000);
  await send(upstream, "tools/call");
  const once = ["0 server/discover", "0 tools/call"];
  expect(asked).toEqual([...once, "0 tools/call", ...once]);
  const alone = upstreamOf(answers);
  await send(alone.upstream, "tools/call");
  expect(alone.asked).toEqual(["0 tools/call"]);
});
