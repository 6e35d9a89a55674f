/** A task in its object: what it stores, wakes for and tells. */
import { expect, it, vi } from "vitest";
import { TaskStore } from "../../../../src/gateway/tasks/store.ts";
import type { TaskAsk } from "../../../../src/gateway/tasks/contract.ts";
import {
  Flow,
  json,
  ObjectInNode,
  pass,
  resultOf,
  rpc,
  settle,
  withObjects,
} from "../../../support/mcp/object-in-node.ts";

withObjects();

const CALLER = { admin: true };
const HOUR_MS = 3_600_000;

/** A task whose upstream answers its calls by these flows. */
async function task(flows: readonly Flow[], afterMs = 0, env = {}) {
  let next = 0;
  const one = ObjectInNode.empty({
    script: ({ method, id }) => {
      if (method === "server/discover") return json(resultOf(id, '"capabilities":{}'));
      return flows[next++]?.response;
    },
    upstream: { era: "modern", tasks: { afterMs } },
    env,
  });
  const ask = async (given: TaskAsk) => {
    const outcome = await one.object.task(CALLER, one.id, given);
    await settle();
    return outcome.ok && outcome.value.kind === "task"
      ? (JSON.parse(outcome.value.text) as { status: string; statusMessage?: string })
      : undefined;
  };
  const body = rpc("c", "tools/call", { name: "pay", arguments: {} });
  void ask({ kind: "call", upstream: "default", body, id: '"c"', tool: "pay", headers: {} });
  await pass(1);
  return { one, ask, get: () => ask({ kind: "get", upstream: "default" }) };
}

it.each([
  ["can be taken up after a restart sets ten", "e1", [5, 20, 80, 320, 920, 1520, 2120, 2720, 3320]],
  ["cannot be taken up sets one", undefined, []],
])("an hour at work: a task that %s, the one of its end included", async (_, eventId, looks) => {
  const flow = new Flow();
  const { one, get } = await task([flow]);
  if (eventId !== undefined) await flow.sayWithIds([eventId, progressOf(one, "half")]);
  const rings: number[] = [];
  const began = Date.now();
  while (one.storage.alarm !== null && rings.length < 100) {
    const { alarm } = one.storage;
    await pass(Math.max(0, alarm - Date.now()));
    rings.push(Math.round((alarm - began) / 1000));
    one.storage.alarm = null;
    await one.object.alarm();
    await settle();
  }
  expect(rings).toEqual([...looks, HOUR_MS / 1000]);
  expect(await get()).toBeUndefined();
});

it("the last progress before a call was a task is the task's status message", async () => {
  const flow = new Flow();
  const { one, get } = await task([flow], 1000);
  const [sent] = one.all("tools/call");
  const { params } = JSON.parse(sent!.body) as { params: { _meta: { progressToken: string } } };
  const { progressToken } = params._meta;
  for (const message of ["begun", "nearly"]) {
    await flow.say(
      rpc(undefined, "notifications/progress", { progressToken, progress: 1, message }),
    );
  }
  expect(await get()).toBeUndefined();
  await pass(1000);
  expect(await get()).toMatchObject({ status: "working", statusMessage: "nearly" });
});

it.each([
  ["a task", 0],
  ["a call that is none yet", 1000],
])("the answer to another call does not end %s", async (_, afterMs) => {
  const flow = new Flow();
  const { get } = await task([flow], afterMs);
  await flow.say(resultOf('"other"', '"of":"another"'));
  await pass(afterMs);
  expect(await get()).toMatchObject({ status: "working" });
  await flow.say(resultOf('"c"', '"of":"this"'));
  expect(await get()).toMatchObject({ status: "completed", result: { of: "this" } });
});

const QUESTION = '{"method":"elicitation/create","params":{}}';
/** The answer of an upstream that asks `x` and `y`. */
const asking = (requestState: string) =>
  resultOf(
    '"c"',
    `"resultType":"input_required","inputRequests":{"x":${QUESTION},"y":${QUESTION}},"requestState":"${requestState}"`,
  );
const update = (key: string) =>
  ({
    kind: "update",
    upstream: "default",
    answers: { [key]: `{"of":"${key}"}` },
    headers: {},
  }) as const;

it.each([
  ["beside its events", "s", 0],
  ["in rows of its own, where it is too long for that", "s".repeat(70_000), 2],
])(
  "a round of questions stores the state %s, and a restart forgets nothing",
  async (_, said, rows) => {
    const saved = vi.spyOn(TaskStore.prototype, "saveState");
    const flows = [new Flow(), new Flow()];
    const { one, ask, get } = await task(flows);
    await flows[0]!.say(asking(said));
    await one.evict();
    expect(await get()).toMatchObject({ status: "input_required" });
    await ask(update("1.x"));
    await one.evict();
    const { inputRequests } = (await get()) as { inputRequests?: object };
    expect(inputRequests).toEqual({ "1.y": JSON.parse(QUESTION) as object });
    await ask(update("1.y"));
    expect(await get()).toMatchObject({ status: "working" });
    const [, repeat] = one.all("tools/call");
    const { params } = JSON.parse(repeat!.body) as { params: object };
    const inputResponses = { x: { of: "1.x" }, y: { of: "1.y" } };
    expect(params).toMatchObject({ inputResponses, requestState: said });
    expect(saved).toHaveBeenCalledTimes(rows);
    await one.evict();
    // It is not asked again, and the call is not sent again.
    expect(await get()).toMatchObject({ status: "failed" });
    expect([one.all("tools/call").length, saved.mock.calls.length]).toEqual([2, rows]);
  },
);

it.each([
  ["answers it at once", false],
  ["answers it after a restart", true],
])(
  "a repeated call is a request with an id of its own, and the upstream %s",
  async (_, restarts) => {
    const flows = [new Flow(), new Flow(), new Flow()];
    const { one, ask, get } = await task(flows);
    await flows[0]!.say(asking("s"));
    await ask(update("1.x"));
    await ask(update("1.y"));
    const [id, own] = one
      .all("tools/call")
      .map(({ body }) => (JSON.parse(body) as { id: string }).id);
    expect(own).not.toBe(id);
    if (restarts) {
      await flows[1]!.sayWithIds(["e1", progressOf(one, "half")]);
      await one.reload();
      await get();
    }
    await flows[restarts ? 2 : 1]!.say(resultOf(JSON.stringify(own), '"of":"this"'));
    expect(await get()).toMatchObject({ status: "completed", result: { of: "this" } });
  },
);

it("a reader gets nothing of what is stored beside an event", async () => {
  const flow = new Flow();
  const { one } = await task([flow]);
  await flow.say(asking("the-upstreams-own"));
  const { events } = one.storage.rows();
  expect(JSON.stringify(events)).toContain("the-upstreams-own");
  const page = one.object.readEvents(CALLER, { limit: 10 } as never);
  expect(JSON.stringify(page)).toContain("input_required");
  expect(JSON.stringify(page)).not.toContain("the-upstreams-own");
});

/** Counts the writes to the events of the task. */
function countChanges(one: ObjectInNode): () => number {
  const run = vi.spyOn(one.storage, "run");
  return () =>
    run.mock.calls.filter(([query]) => /^(INSERT INTO|UPDATE) events/.test(query)).length;
}

it("a place in the upstream's stream is stored with what is told; alone only the first, or where it is void", async () => {
  const flows = [new Flow(), new Flow()];
  const { one, get } = await task(flows);
  const { params } = JSON.parse(one.all("tools/call")[0]!.body) as {
    params: { _meta: { progressToken: string } };
  };
  const { progressToken } = params._meta;
  const progress = (message: string) =>
    rpc(undefined, "notifications/progress", { progressToken, progress: 1, message });
  const changes = countChanges(one);
  const log = rpc(undefined, "notifications/message", { level: "info", data: "x" });
  await flows[0]!.sayWithIds(["e1", log]);
  expect(changes()).toBe(1);
  await flows[0]!.sayWithIds(["e2", log]);
  expect(changes()).toBe(1);
  await flows[0]!.sayWithIds(["e3", progress("half")]);
  expect(changes()).toBe(2);
  await flows[0]!.sayWithIds(["e4", log]);
  expect(changes()).toBe(2);
  await one.reload();
  expect(one.all("GET").map(({ lastEventId }) => lastEventId)).toEqual(["e3"]);
  expect(await get()).toMatchObject({ status: "working", statusMessage: "half" });
  // The upstream wants its state back, and nothing else: the stream that it has ended must not be taken up.
  await flows[1]!.sayWithIds([
    "e5",
    resultOf('"c"', '"resultType":"input_required","requestState":"s"'),
  ]);
  await one.reload();
  expect(await get()).toMatchObject({ status: "failed" });
  expect(one.all("GET")).toHaveLength(1);
});

/** Has the disk take no event until the returned function is called. */
function fill(one: ObjectInNode): () => void {
  const { run } = one.storage;
  const full = vi.spyOn(one.storage, "run").mockImplementation((query, ...values) => {
    if (/^(INSERT INTO|UPDATE) events/.test(query)) throw new Error("database or disk is full");
    return run.call(one.storage, query, ...values);
  });
  return () => full.mockRestore();
}

const progressOf = (one: ObjectInNode, message: string) => {
  const { params } = JSON.parse(one.all("tools/call")[0]!.body) as {
    params: { _meta: { progressToken: string } };
  };
  const { progressToken } = params._meta;
  return rpc(undefined, "notifications/progress", { progressToken, progress: 1, message });
};

it.each(["alarm", "request", "moment"])(
  "a result that came while the disk was full is the task's from the next %s on",
  async (look) => {
    const flow = new Flow();
    const { one, ask, get } = await task([flow]);
    await flow.sayWithIds(["e1", progressOf(one, "half")]);
    const room = fill(one);
    await flow.say(progressOf(one, "nearly"), resultOf('"c"', '"content":[]'));
    expect(await get()).toMatchObject({ status: "working" });
    await expect(ask({ kind: "cancel", upstream: "default" })).rejects.toThrow("full");
    room();
    const told = () => JSON.stringify(one.storage.rows()["events"]);
    expect(told()).not.toContain("completed");
    if (look === "alarm") {
      await one.object.alarm();
      expect(told()).toContain("completed");
    }
    if (look === "moment") {
      // It is tried again by itself.
      await pass(5000);
      expect(told()).toContain("completed");
    }
    expect(await get()).toMatchObject({ status: "completed", result: { content: [] } });
    // Its stream is not taken up again.
    expect(one.all("GET")).toHaveLength(0);
  },
);

it("a call goes on where its progress cannot be stored", async () => {
  const flow = new Flow();
  const { one, get } = await task([flow]);
  const room = fill(one);
  await flow.say(progressOf(one, "half"));
  room();
  expect(await get()).toMatchObject({ status: "working" });
  await flow.say(resultOf('"c"', '"content":[]'));
  expect(await get()).toMatchObject({ status: "completed" });
});

it("a task whose call is lost fails once there is room to say so", async () => {
  const { one, get } = await task([new Flow()]);
  const room = fill(one);
  await one.evict();
  expect(await get()).toMatchObject({ status: "working" });
  room();
  expect(await get()).toMatchObject({ status: "failed" });
});

it("a place in the upstream's stream that is too long to stand beside an event is stored by itself", async () => {
  const flow = new Flow();
  const { one } = await task([flow]);
  const place = "e".repeat(70_000);
  await flow.sayWithIds([place, rpc(undefined, "notifications/message", { level: "info" })]);
  expect(one.storage.rows()["events"]).toMatchObject([{ aside: "elsewhere" }]);
  await one.reload();
  expect(one.all("GET").map(({ lastEventId }) => lastEventId)).toEqual([place]);
});

it("a round's answers have together no more than a body: more are refused, and change nothing", async () => {
  const flow = new Flow();
  const { one, get } = await task([flow, new Flow()], 0, { BODY_MAX_BYTES: "1000" });
  await flow.say(asking("s"));
  const answer = (key: string, length: number) => {
    const answers = { [key]: JSON.stringify({ x: "y".repeat(length) }) };
    const update = { kind: "update", upstream: "default", answers, headers: {} } as const;
    return one.object.task(CALLER, one.id, update);
  };
  expect(await answer("1.x", 600)).toMatchObject({ ok: true });
  expect(await answer("1.y", 600)).toMatchObject({ ok: false });
  expect(await get()).toMatchObject({ inputRequests: { "1.y": {} } });
  expect(await answer("1.y", 300)).toMatchObject({ ok: true });
  await settle();
  expect(await get()).toMatchObject({ status: "working" });
  expect(one.all("tools/call")).toHaveLength(2);
});

it("a call that is too long for an answer, and cannot be stored as a task, leaves no session", async () => {
  const { one } = await task([new Flow()], 1000);
  const room = fill(one);
  await pass(1000);
  room();
  expect(one.exists).toBe(false);
  expect(one.all("tools/call")[0]!.signal?.aborted).toBe(true);
});
