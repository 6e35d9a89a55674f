/** Tasks and `kill -9`: each ends, none runs twice, and none depends on its client. */
import { expect, it } from "vitest";
import { startGateway, startUpstream } from "../../../support/mcp/gateway.ts";
import { TaskClient, type ShownTask } from "../../../support/mcp/task-client.ts";
import { TaskServer } from "../../../support/mcp/task-server.ts";

const AT_ONCE = { afterMs: 0 };
const TASKS = 100;

it("100 tasks under kill -9: those that wait for answers go on, those at work fail, none runs twice", async () => {
  const server = await TaskServer.start();
  const { url, service } = await startGateway({ default: { url: server.url, tasks: AT_ONCE } });
  const client = new TaskClient(url);
  const made: string[] = [];
  for (let n = 0; n < TASKS; n += 10) {
    const labels = Array.from({ length: 10 }, (_, i) => `t${n + i}`);
    const answers = await Promise.all(labels.map((label) => client.call("held", { label })));
    made.push(...answers.map(({ result }) => result.taskId));
  }
  await server.until(() => server.runs.size === TASKS);
  const { taskId: waiting } = (await client.call("multi_input")).result;
  await client.until(waiting, "input_required");
  server.release("t0");
  await client.until(made[0]!, "completed");
  await service.kill();
  await service.restart();
  // To read its stream is enough: whatever loads a task's object has it look at its call.
  const ends = await Promise.all(made.map((id) => lastEvent(service.url, id)));
  for (const [n, end] of ends.entries()) {
    if (n > 0) {
      const message = expect.stringContaining("restarted") as string;
      expect(end).toMatchObject({ status: "failed", error: { code: -32603, message } });
    } else {
      expect(end).toMatchObject({
        status: "completed",
        result: { content: [{ text: "released t0" }] },
      });
    }
  }
  const answers = { action: "accept", content: { name: "x" } };
  const inputResponses = { "1.first": answers, "1.second": answers };
  await client.ask("tasks/update", { taskId: waiting, inputResponses });
  expect((await client.until(waiting, "completed", "failed")).status).toBe("completed");
  expect([...server.runs.values()]).toEqual(Array.from({ length: TASKS }, () => 1));
}, 120_000);

it("100 tasks under kill -9 of a server whose streams have event ids: each completes with its own result", async () => {
  const server = await TaskServer.start("legacy", true);
  const { url, service } = await startGateway({ default: { url: server.url, tasks: AT_ONCE } });
  const client = new TaskClient(url);
  const labels = Array.from({ length: TASKS }, (_, n) => `r${n}`);
  const made: string[] = [];
  for (let n = 0; n < TASKS; n += 10) {
    const some = labels
      .slice(n, n + 10)
      .map((label) => client.call("held", { label, progress: ["begun"] }));
    made.push(...(await Promise.all(some)).map(({ result }) => result.taskId));
  }
  // The gateway has an event id of a call once it has heard something of it.
  for (const id of made) {
    for (let task; task?.statusMessage !== "begun";) {
      task = (await client.get(id)).result;
      expect(task).toMatchObject({ status: "working" });
    }
  }
  await service.kill();
  for (const label of labels) server.release(label);
  await service.restart();
  const ends = await Promise.all(made.map((id) => lastEvent(service.url, id)));
  const said = ends.map(({ status, result }) => `${status} ${result?.content[0]?.text}`);
  expect(said).toEqual(labels.map((label) => `completed released ${label}`));
  expect([...server.runs.values()]).toEqual(labels.map(() => 1));
}, 120_000);

/** The last event of the task's stream, once that has ended. */
async function lastEvent(url: string, id: string): Promise<ShownTask> {
  let [after, last] = ["", ""];
  for (;;) {
    const query = `wait=20&limit=100${after === "" ? "" : `&after=${after}`}`;
    const response = await fetch(`${url}/v1/sessions/${id}/events?${query}`, {
      headers: { accept: "application/json" },
    });
    const page = (await response.json()) as {
      events: { data: string }[];
      lastEventId: string;
      ended: boolean;
    };
    last = page.events.at(-1)?.data ?? last;
    after = page.lastEventId;
    if (page.ended) return JSON.parse(last) as ShownTask;
  }
}

it("a stream with event ids is taken up after kill -9, also if nobody asks, and its task has the upstream's result", async () => {
  const resumed = Promise.withResolvers<string | null>();
  let calls = 0;
  const frame = (id: string, message: object) =>
    new TextEncoder().encode(
      `id: ${id}\ndata: ${JSON.stringify({ jsonrpc: "2.0", ...message })}\n\n`,
    );
  const stream = (...frames: Uint8Array[]) =>
    new Response(
      new ReadableStream<Uint8Array>({
        start: (controller) => frames.forEach((one) => controller.enqueue(one)),
      }),
      { headers: { "content-type": "text/event-stream" } },
    );
  let asked: unknown;
  const upstream = await startUpstream(async (request) => {
    if (request.method === "GET") {
      resumed.resolve(request.headers.get("last-event-id"));
      const content = [{ type: "text", text: "the result" }];
      return stream(frame("e2", { id: asked, result: { resultType: "complete", content } }));
    }
    const { id, method, params } = (await request.json()) as {
      id: unknown;
      method: string;
      params: { _meta: { progressToken?: unknown } };
    };
    if (method === "server/discover") {
      return Response.json({
        jsonrpc: "2.0",
        id,
        result: { supportedVersions: ["2026-07-28"], capabilities: { tools: {} } },
      });
    }
    calls++;
    asked = id;
    const { progressToken } = params._meta;
    const progress = { progressToken, progress: 1, message: "begun" };
    return stream(frame("e1", { method: "notifications/progress", params: progress }));
  });
  const { url, service } = await startGateway({ default: { url: upstream.url, tasks: AT_ONCE } });
  const client = new TaskClient(url);
  const { taskId } = (await client.call("any")).result;
  for (let said; said !== "begun";) said = (await client.get(taskId)).result.statusMessage;
  await service.kill();
  await service.restart();
  expect(await resumed.promise).toBe("e1");
  const done = await client.until(taskId, "completed", "failed");
  expect(done.result?.content).toMatchObject([{ text: "the result" }]);
  expect(calls).toBe(1);
}, 60_000);
