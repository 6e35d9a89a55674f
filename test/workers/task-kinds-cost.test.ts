/** What tasks of every kind cost, in front of every kind of server: at most what a session with as many events pays. */
import { McpServer } from "@modelcontextprotocol/server";
import { env } from "cloudflare:test";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { requireSessionId, type SessionId } from "../../src/core/id.ts";
import type { TaskAnswer, TaskAsk } from "../../src/gateway/tasks/contract.ts";
import { call } from "../support/call.ts";
import {
  biddenServer,
  letGo,
  modernFetch,
  sessionFetch,
  type Bidding,
} from "../support/mcp/bidden-server.ts";
import { callAsk } from "../support/mcp/task-ask.ts";
import { countWrites, objectOf, storedBy, told } from "../support/object.ts";

type Kind = "modern" | "legacy" | "own";
const KINDS: readonly Kind[] = ["modern", "legacy", "own"];

/** The calls of one's own server become tasks after 2 s. */
const upstreamOf = (kind: Kind, tasks: object) =>
  kind === "own" ? "demo" : { url: `https://${kind}.example/mcp`, era: kind, tasks };

function serve(kind: Kind, tasks: object = { afterMs: 0 }): void {
  Object.assign(env, { UPSTREAMS: JSON.stringify({ default: upstreamOf(kind, tasks) }) });
}

beforeEach(() => {
  const [modern, legacy] = [modernFetch(), sessionFetch()];
  vi.stubGlobal("fetch", (input: RequestInfo | URL, init?: RequestInit) => {
    const sent = new Request(input, init);
    return sent.url.includes("modern") ? modern(sent) : legacy(sent);
  });
  // This server replaces the demo server. It runs in the session's object, as each `{ server }` does.
  vi.spyOn(McpServer.prototype, "connect").mockImplementation((transport) =>
    biddenServer(true).connect(transport),
  );
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const HALF_AN_HOUR_MS = 1_800_000;
const CALLER = { admin: true };
const UPSTREAM = "default";

interface Task {
  readonly status: string;
  readonly inputRequests?: Readonly<Record<string, unknown>>;
}

async function ask(id: SessionId, given: TaskAsk): Promise<TaskAnswer> {
  const outcome = await objectOf(id).task(CALLER, id, given);
  if (!outcome.ok) throw new Error(outcome.code);
  return outcome.value as TaskAnswer;
}

let labels = 0;

/** Has a call do this, and counts what its object writes. */
async function begin(kind: Kind, bidding: Omit<Bidding, "label">) {
  const id = requireSessionId(crypto.randomUUID());
  const writes = await countWrites(id);
  const label = `label-${labels++}`;
  const owner = `of-${kind}`;
  const args = { label, ...bidding };
  const principal = kind === "modern" ? {} : { principal: owner };
  const capabilities = { elicitation: {} };
  const answer = ask(id, callAsk({ upstream: UPSTREAM, args, capabilities, owner, ...principal }));
  return { id, writes, label, answer: answer.then(textOf) };
}

async function textOf(answer: TaskAnswer): Promise<string> {
  if (answer.kind === "stream") return new Response(answer.body).text();
  if (answer.kind === "whole" && typeof answer.body === "string") return answer.body;
  throw new Error(JSON.stringify(answer));
}

/** Asks for a task until it is in this state. */
async function until(id: SessionId, status: string): Promise<Task> {
  for (;;) {
    const answer = await ask(id, { kind: "get", upstream: UPSTREAM });
    const task = JSON.parse(answer.kind === "task" ? answer.text : "") as Task;
    if (task.status === status) return task;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Answers this many rounds of questions, one question at a time. */
async function answerRounds(id: SessionId, rounds: number): Promise<void> {
  for (let n = 0; n < rounds; n++) {
    const { inputRequests = {} } = await until(id, "input_required");
    for (const key of Object.keys(inputRequests)) {
      const answers = { [key]: '{"action":"accept","content":{}}' };
      await ask(id, { kind: "update", upstream: UPSTREAM, answers, headers: {} });
    }
  }
}

interface Event {
  readonly event: string;
  readonly data: string;
}

/** What a session writes whose publisher sends these events, and ends it with the last one. */
async function asSession(events: readonly Event[]) {
  const id = crypto.randomUUID();
  const writes = await countWrites(id);
  await call("POST", "/v1/sessions", { id });
  for (const event of events.slice(0, -1)) {
    expect((await call("POST", `/v1/sessions/${id}/events`, event)).status).toBe(202);
  }
  expect((await call("POST", `/v1/sessions/${id}/end`, events.at(-1))).status).toBe(202);
  await told(id);
  return writes;
}

async function eventsOf(id: string) {
  const accept = { accept: "application/json" };
  type Page = { events: Event[]; ended: boolean };
  const { json } = await call<Page>("GET", `/v1/sessions/${id}/events`, undefined, accept);
  return { ...json, events: json.events.map(({ event, data }) => ({ event, data })) };
}

/** Has a call of this kind be quick. */
async function quick(kind: Kind) {
  serve(kind, { afterMs: 600_000 });
  const { writes, label, answer } = await begin(kind, {});
  letGo(label);
  expect(await answer).toContain(`did ${label}`);
  return writes;
}

/** Counts what the session writes over which calls reach a server that keeps sessions. */
async function countBridge(kind: Kind) {
  if (kind === "modern") return undefined;
  await quick(kind);
  const path = `/v1/sessions?type=mcp&subject=of-${kind}`;
  for (;;) {
    const { json } = await call<{ sessions: { id: string }[] }>("GET", path);
    const [session] = json.sessions;
    if (session) return countWrites(session.id);
  }
}

it.each(KINDS)("a call that is quick writes nothing at its object (%s)", async (kind) => {
  expect(await quick(kind)).toMatchObject({ rows: 0, alarms: 0, rowsDeleted: 0 });
});

const TASKS: readonly [name: string, bidding: Omit<Bidding, "label">, end: string][] = [
  ["completes", { progress: 3 }, "completed"],
  ["fails", { ends: "error" }, "failed"],
  ["is cancelled", { ends: "never" }, "cancelled"],
  ["asks one round", { rounds: 1 }, "completed"],
  ["asks three rounds", { rounds: 3 }, "completed"],
];
const CASES = KINDS.flatMap((kind) =>
  TASKS.map(([name, bidding, end]) => [name, kind, bidding, end] as const),
);

/** The most that the session of the bridge writes for a task, of which so many rounds ask. */
const ofBridge = (rounds: number): number => {
  // To be cancelled leaves the server's session in doubt.
  if (rounds === 0) return 1;
  // Its exchange begins and ends, and the first one makes two tables, of two rows each.
  return 2 + 4 + 3 * rounds;
};

it.each(CASES)("a task that %s pays no more (%s)", async (_name, kind, bidding, end) => {
  const { rounds = 0 } = bidding;
  const bridge = await countBridge(kind);
  serve(kind);
  const { id, writes, label, answer } = await begin(kind, bidding);
  expect(await answer).toContain('"resultType":"task"');
  letGo(label);
  await answerRounds(id, rounds);
  if (end === "cancelled") await ask(id, { kind: "cancel", upstream: UPSTREAM });
  await until(id, end);
  await told(id);
  const { rows, alarms } = writes;
  // Nothing wakes it before its time is up.
  const { alarm } = await storedBy(id);
  expect(alarm).toBeGreaterThan(Date.now() + HALF_AN_HOUR_MS);
  const { events, ended } = await eventsOf(id);
  // It is at work, each round asks and is answered in two steps, and it ends.
  expect([ended, events.length >= 2 + 3 * rounds]).toEqual([true, true]);
  const session = await asSession(events);
  expect([rows <= session.rows, alarms <= session.alarms]).toEqual([true, true]);
  expect(bridge?.rows ?? 0).toBeLessThanOrEqual(ofBridge(rounds));
});
