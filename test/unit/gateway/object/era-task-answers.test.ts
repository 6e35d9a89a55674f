/** A session keeps the answer to a task's call until the task has stored it. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { EraRequest, EraTask, ExchangeAnswer } from "../../../../src/gateway/contract.ts";
import { NO_SERVERS } from "../../../../src/gateway/upstream/upstream.ts";
import {
  Flow,
  json,
  ObjectInNode,
  pass,
  resultOf,
  rpc,
  settle,
  withObjects,
  type Asked,
} from "../../../support/mcp/object-in-node.ts";

withObjects();

const woken: string[] = [];
beforeEach(() => {
  woken.length = 0;
  vi.spyOn(NO_SERVERS, "wakeTask").mockImplementation(async (upstream, id) => {
    woken.push(`${upstream} ${id}`);
  });
});
afterEach(() => void vi.restoreAllMocks());

const MATCH = { type: "mcp", upstream: "default", era: "1" } as const;
const CAPABILITIES = {};
const TASK = "0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a66";
const NAME = `task-${TASK}`;
const RESULT = resultOf(JSON.stringify(NAME), '"content":["the result"]');

/** A session in which the call of a task is under way. */
async function calling() {
  const flow = new Flow();
  const script = ({ verb, method, id }: Asked) => {
    if (method === "initialize") {
      const result = `"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}`;
      return json(resultOf(id, result), 200, { "mcp-session-id": one.upstreamSid });
    }
    if (verb === "GET") return new Response(null, { status: 405 });
    return method === "tools/call" ? flow.response : undefined;
  };
  const one = ObjectInNode.empty({ script });
  const clientInfo = { name: "by-hand", version: "1" };
  await one.initialize(
    rpc(0, "initialize", { protocolVersion: "2025-11-25", capabilities: CAPABILITIES, clientInfo }),
    { era: true },
  );
  /** `verb` undefined: the call is no task's. */
  const ask = async (verb: EraTask["verb"] | undefined, afterMs = 0) => {
    const era: EraRequest = {
      id: '"c"',
      method: verb === "taken" ? "server/discover" : "tools/call",
      name: "pay",
      capabilities: CAPABILITIES,
      inputResponses: {},
      slot: "",
      ...(verb && { task: { id: TASK, verb, afterMs, withinMs: 3_600_000 } }),
    };
    const body = rpc(NAME, "tools/call", { name: "pay", arguments: {} });
    const outcome = await one.post(body, { era, match: MATCH });
    if (!outcome.ok) throw new Error(outcome.code);
    await settle();
    return outcome.value as ExchangeAnswer & { kind: "flow" | "json" | "busy" };
  };
  /** Reads an answer to its end: the text of its stream, or else its kind. */
  const heard = async (verb: EraTask["verb"]) => {
    const answer = await ask(verb);
    return answer.kind === "flow" ? new Response(answer.body).text() : answer.kind;
  };
  return { one, flow, ask, heard, rows: () => JSON.stringify(one.storage.rows()) };
}

/** The answer to a call goes to the stream of a task that may be gone. */
async function answered(afterMs = 0) {
  const all = await calling();
  const begun = all.ask("call", afterMs);
  await pass(300);
  await begun;
  await all.flow.say(RESULT);
  return all;
}

it("an answer that the task has stored is kept no longer", async () => {
  const { ask, heard, rows } = await answered();
  const before = rows();
  expect(await ask("taken")).toMatchObject({
    kind: "json",
    body: '{"jsonrpc":"2.0","id":"c","result":{}}',
  });
  await pass(60_000);
  expect([rows(), woken]).toEqual([before, []]);
  // Nothing is known of it here. It may be in another session of the client.
  expect(await heard("resume")).toBe("busy");
  expect(await ask("taken")).toMatchObject({ kind: "busy" });
});

it("a task that comes back at once gets the answer from memory", async () => {
  const { heard, rows } = await answered();
  const before = rows();
  await pass(4000);
  expect(await heard("resume")).toContain("the result");
  expect([rows(), woken]).toEqual([before, []]);
});

it("an answer that is not taken in 5 s is logged, and the task woken; it outlives the object", async () => {
  const { one, heard, ask, rows } = await answered();
  expect(rows()).not.toContain("the result");
  await pass(5000);
  expect(rows()).toContain("the result");
  expect(woken).toEqual([`default ${TASK}`]);
  expect(await heard("resume")).toContain("the result");
  await one.evict();
  expect(await heard("resume")).toContain("the result");
  expect(await ask("taken")).toMatchObject({ kind: "busy" });
  await pass(60_000);
  expect(woken).toHaveLength(1);
});

it("what comes after the task's object has left is logged at once, and the task woken", async () => {
  const { flow, ask, rows } = await calling();
  const begun = ask("call");
  await pass(300);
  const answer = await begun;
  if (answer.kind !== "flow") throw new Error(answer.kind);
  await answer.body.cancel();
  expect(woken).toEqual([]);
  await flow.say(RESULT);
  expect(rows()).toContain("the result");
  expect(woken).toEqual([`default ${TASK}`]);
});

it("a call that is cancelled wakes no task", async () => {
  const { ask } = await calling();
  const begun = ask("call");
  await pass(300);
  const answer = await begun;
  if (answer.kind !== "flow") throw new Error(answer.kind);
  await answer.body.cancel();
  await ask("cancel");
  await pass(60_000);
  expect(woken).toEqual([]);
});

it("an answer to a call that is no task yet is its client's, and not kept", async () => {
  const { heard } = await answered(600_000);
  await pass(60_000);
  expect([woken, await heard("resume")]).toEqual([[], "busy"]);
});

it("a session that ends logs nothing more", async () => {
  const { one } = await answered();
  await one.end();
  await pass(60_000);
  expect(woken).toEqual([]);
});

it.each([
  [
    "a task is told by an event id that its call can be taken up after a restart",
    "call",
    ["id: 1"],
  ],
  ["another client is not told: it could not come back", undefined, null],
] as const)("%s", async (_, verb, ids) => {
  const { flow, ask } = await calling();
  const begun = ask(verb);
  await pass(300);
  const answer = await begun;
  if (answer.kind !== "flow") throw new Error(answer.kind);
  const log = (data: string) => rpc(undefined, "notifications/message", { level: "info", data });
  await flow.say(log("a"));
  await flow.sayWithIds(["e1", log("b")]);
  await flow.sayWithIds(["e2", RESULT]);
  const text = await new Response(answer.body).text();
  expect([text.match(/^id: .*$/gm), text.includes("the result")]).toEqual([ids, true]);
});
