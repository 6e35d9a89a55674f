/** Counts the cost of tasks at the object; the upstream is the built-in demo server. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, it, vi } from "vitest";
import { call, request } from "../support/call.ts";
import { countWrites, evict, objectOf, storedBy, told } from "../support/object.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const META = "io.modelcontextprotocol/";
const TASKS = { extensions: { [`${META}tasks`]: {} } };

async function ask(method: string, params: object, capabilities: object = TASKS) {
  const { name, taskId } = params as { name?: string; taskId?: string };
  const meta = {
    [`${META}protocolVersion`]: "2026-07-28",
    [`${META}clientInfo`]: { name: "t", version: "1" },
    [`${META}clientCapabilities`]: capabilities,
  };
  const body = { jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: meta } };
  const response = await request("POST", "/mcp", body, {
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": method,
    ...(name !== undefined && { "mcp-name": name }),
    ...(taskId !== undefined && { "mcp-name": taskId }),
  });
  const text = await response.text();
  const json = text.startsWith("{") ? text : (/^data: (.*)$/m.exec(text)?.[1] ?? "");
  return JSON.parse(json) as { result: { taskId: string; status: string; resultType: string } };
}

/** Has the next call go to this object, and counts what it writes. */
async function nextCall() {
  const id = crypto.randomUUID();
  const writes = await countWrites(id);
  vi.spyOn(crypto, "randomUUID").mockReturnValueOnce(id);
  return { id, writes };
}

/** Counts the calls of all objects, by method. */
async function countRequests() {
  const counts = { task: 0, create: 0, read: 0, patch: 0, exchange: 0, publish: 0 };
  await runInDurableObject(objectOf(crypto.randomUUID()), (object) => {
    const prototype = Object.getPrototypeOf(Object.getPrototypeOf(object)) as Record<
      keyof typeof counts,
      (...args: unknown[]) => unknown
    >;
    for (const name of Object.keys(counts) as (keyof typeof counts)[]) {
      const original = prototype[name];
      vi.spyOn(prototype, name).mockImplementation(function (this: unknown, ...args) {
        counts[name]++;
        return original.apply(this, args);
      });
    }
  });
  return counts;
}

/** A session with the same life and events as this task, whose stream has ended too. Both have told the directory. */
async function sessionLike(task: string) {
  const { json } = await call<{ events: { event: string; data: string }[] }>(
    "GET",
    `/v1/sessions/${task}/events?touch=false`,
    undefined,
    { accept: "application/json" },
  );
  const events = json.events.map(({ event, data }) => ({ event, data }));
  const id = crypto.randomUUID();
  const writes = await countWrites(id);
  await call("POST", "/v1/sessions", { id, ttlSeconds: TASK_TTL_S });
  for (const event of events.slice(0, -1)) {
    expect((await call("POST", `/v1/sessions/${id}/events`, event)).status).toBe(202);
  }
  expect((await call("POST", `/v1/sessions/${id}/end`, events.at(-1))).status).toBe(202);
  await told(id);
  return { id, writes };
}

const TASK_TTL_S = 3600;
const NOTHING = { task: 0, create: 0, read: 0, patch: 0, exchange: 0, publish: 0 };
const echo = { name: "echo", arguments: { text: "hi" } };

it("a client that does not declare the extension pays nothing, and a quick call one request", async () => {
  // The gateway asks once who offers tasks.
  await ask("tools/call", echo);
  const counts = await countRequests();
  const plain = await ask("tools/call", echo, {});
  expect([plain.result.resultType, counts]).toEqual(["complete", NOTHING]);
  const { id, writes } = await nextCall();
  const quick = await ask("tools/call", echo);
  expect([quick.result, counts]).toEqual([plain.result, { ...NOTHING, task: 1 }]);
  expect(writes).toMatchObject({ rows: 0, alarms: 0, rowsDeleted: 0 });
  expect(await storedBy(id)).toEqual({ keys: [], tables: [], alarm: null });
});

it("a task pays at most what a session with as many events pays; asking for it none", async () => {
  const { id, writes } = await nextCall();
  const made = await ask("tools/call", { name: "count", arguments: { steps: 4, seconds: 4 } });
  expect(made.result).toMatchObject({ resultType: "task", taskId: id });
  const counts = await countRequests();
  const before = writes.rows;
  for (let n = 0; n < 5; n++) await ask("tasks/get", { taskId: id });
  expect(counts).toEqual({ ...NOTHING, task: 5 });
  expect(writes.rows - before).toBeLessThanOrEqual(1);
  await expect
    .poll(async () => (await ask("tasks/get", { taskId: id })).result.status)
    .toBe("completed");
  await told(id);
  const { rows, alarms } = writes;
  const { writes: others } = await sessionLike(id);
  expect(rows).toBeLessThanOrEqual(others.rows);
  expect(alarms).toBeLessThanOrEqual(others.alarms);
  await evict(id);
  const asleep = await countWrites(id);
  expect((await ask("tasks/get", { taskId: id })).result.status).toBe("completed");
  expect(asleep).toMatchObject({ rows: 0, alarms: 0 });
});

it("a task pays at most what such a session pays to its last alarm, and leaves nothing", async () => {
  const { id, writes } = await nextCall();
  await ask("tools/call", { name: "count", arguments: { steps: 3, seconds: 3 } });
  await expect
    .poll(async () => (await ask("tasks/get", { taskId: id })).result.status)
    .toBe("completed");
  await told(id);
  const session = await sessionLike(id);
  for (const one of [id, session.id]) {
    // Each alarm at its time, and none that the object does not set.
    for (let alarm; (alarm = (await storedBy(one)).alarm) !== null; await told(one)) {
      vi.useFakeTimers({ toFake: ["Date"], now: alarm });
      await runDurableObjectAlarm(objectOf(one));
    }
    vi.useRealTimers();
    expect(await storedBy(one)).toEqual({ keys: [], tables: [], alarm: null });
  }
  // The session's publishes made it live longer, which a task's events do not: it has one alarm more.
  expect([writes.alarms, session.writes.alarms]).toEqual([2, 3]);
  expect(writes.rows).toBeLessThanOrEqual(session.writes.rows);
});
