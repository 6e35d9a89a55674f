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
async function task(flows: readonly Flow[], afterMs = 0) {
  let next = 0;
  const one = ObjectInNode.empty({
    script: ({ method, id }) => {
      if (method === "server/discover") return json(resultOf(id, '"capabilities":{}'));
      return flows[next++]?.response;
    },
    upstream: { era: "modern", tasks: { afterMs } },
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

it("a task that is at work for an hour sets ten alarms, the one of its end included", async () => {
  const { one, get } = await task([new Flow()]);
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
  expect(rings).toEqual([5, 20, 80, 320, 920, 1520, 2120, 2720, 3320, HOUR_MS / 1000]);
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

it("a round of questions stores the state once, and its answer is not forgotten with the object's memory", async () => {
  const saved = vi.spyOn(TaskStore.prototype, "save");
  const flows = [new Flow(), new Flow()];
  const { one, ask, get } = await task(flows);
  const request = '{"method":"elicitation/create","params":{}}';
  const asked = `"resultType":"input_required","inputRequests":{"x":${request}},"requestState":"s"`;
  await flows[0]!.say(resultOf('"c"', asked));
  expect(await get()).toMatchObject({ status: "input_required" });
  const answers = { "1.x": "{}" };
  await ask({ kind: "update", upstream: "default", answers, headers: {} });
  expect(await get()).toMatchObject({ status: "working" });
  expect(saved).toHaveBeenCalledTimes(1);
  await one.evict();
  // It is not asked again, and the call is not sent again.
  expect(await get()).toMatchObject({ status: "failed" });
  expect([one.all("tools/call").length, saved.mock.calls.length]).toEqual([2, 1]);
});
