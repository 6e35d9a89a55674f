/** The calls of tasks to servers that keep sessions: what bounds them, what ends them, and what takes them up again. */
import { expect, it } from "vitest";
import { answering, startGateway, startUpstream } from "../../../support/mcp/gateway.ts";
import { TaskClient } from "../../../support/mcp/task-client.ts";
import { TaskServer } from "../../../support/mcp/task-server.ts";
import { beside } from "../../../support/scope.ts";

const AT_ONCE = { afterMs: 0, pollIntervalMs: 10 };

it.concurrent(
  "neither a timeout of the upstream nor the session's time ends a task that is silent for longer",
  beside(async ({ expect }) => {
    const streams = await TaskServer.start("legacy");
    const late = Promise.withResolvers<unknown>();
    const json = await startUpstream(
      answering(async (_request, { id, method }) => {
        if (method !== "tools/call") return new Response(null, { status: 405 });
        late.resolve(undefined);
        await new Promise((resolve) => setTimeout(resolve, 4000));
        return Response.json({ jsonrpc: "2.0", id, result: { content: [{ text: "late" }] } });
      }),
    );
    const times = { timeoutSeconds: 3, silenceSeconds: 3, callSeconds: 3, tasks: AT_ONCE };
    const { url } = await startGateway(
      { default: { url: streams.url, ...times }, json: { url: json.url, ...times, era: "legacy" } },
      { SESSION_TTL_SECONDS: "3" },
    );
    const said = async (path: string, tool: string, args: object) => {
      const client = new TaskClient(url + path);
      // This request makes the session, whose beginning the short times bound as well.
      await client.ask("tools/list");
      const { result } = await client.call(tool, args);
      const done = await client.until(result.taskId, "completed", "failed");
      return done.result?.content[0]?.text ?? done.error;
    };
    const both = [said("", "slow_compute", { seconds: 2, label: "x" }), said("/json", "any", {})];
    expect(await Promise.all(both)).toEqual(["computed x", "late"]);
  }),
  120_000,
);

it.concurrent(
  "a task is taken up after kill -9 where the server's stream has event ids, at work and while it waits for answers",
  beside(async ({ expect }) => {
    const server = await TaskServer.start("legacy", true);
    const { url, service } = await startGateway({ default: { url: server.url, tasks: AT_ONCE } });
    const client = new TaskClient(url);
    const held = (await client.call("held", { label: "held" })).result.taskId;
    const asking = (await client.call("multi_input")).result.taskId;
    await client.until(asking, "input_required", "failed");
    await server.until(() => server.runs.has("held"));
    await service.kill();
    server.release("held");
    await service.restart();
    const done = await client.until(held, "completed", "failed");
    expect(done).toMatchObject({ result: { content: [{ text: "released held" }] } });
    const { inputRequests = {} } = (await client.get(asking)).result;
    const [first = "", second = ""] = Object.keys(inputRequests);
    const answer = { action: "accept", content: { name: "n" } };
    await client.ask("tasks/update", {
      taskId: asking,
      inputResponses: { [first]: answer, [second]: answer },
    });
    // The answers may have reached the server, or not: it is at work, and is not asked again.
    await service.kill();
    await service.restart();
    const end = await client.until(asking, "completed", "failed", "input_required");
    if (end.status === "input_required") throw new Error("it is asked again");
    expect(end).toMatchObject({ status: "completed", result: { content: [{ text: "both" }] } });
    expect(Object.fromEntries(server.runs)).toEqual({ held: 1, "multi_input ": 1 });
  }),
  120_000,
);

it.concurrent(
  "the same after kill -9 if nobody asks for the task: its object wakes by itself",
  beside(async () => {
    const server = await TaskServer.start("legacy", true);
    const { url, service } = await startGateway({ default: { url: server.url, tasks: AT_ONCE } });
    const client = new TaskClient(url);
    const args = { label: "alone", progress: ["begun"] };
    const { taskId } = (await client.call("held", args)).result;
    // The gateway has an event id of the call once it has heard something of it.
    for (let said; said !== "begun";) said = (await client.get(taskId)).result.statusMessage;
    await service.kill();
    await service.restart();
    await server.until(() => server.resumed > 0);
    server.release("alone");
    const done = await client.until(taskId, "completed", "failed");
    expect(done).toMatchObject({ result: { content: [{ text: "released alone" }] } });
    expect(server.runs.get("alone")).toBe(1);
  }),
  120_000,
);

it.concurrent(
  "a task is cancelled at the server at once, at work or while it waits for answers, by its client or with its session",
  beside(async () => {
    const server = await TaskServer.start("legacy");
    const { url, service } = await startGateway({ default: { url: server.url, tasks: AT_ONCE } });
    const client = new TaskClient(url);
    const begin = async (tool: string, label: string, status: string) => {
      const { taskId } = (await client.call(tool, { label })).result;
      await client.until(taskId, status, "failed");
      await server.until(() => [...server.runs.keys()].some((name) => name.endsWith(label)));
      return taskId;
    };
    const cancel = (taskId: string) => client.ask("tasks/cancel", { taskId });
    const end = (taskId: string) =>
      fetch(`${service.url}/v1/sessions/${taskId}`, { method: "DELETE" });
    await cancel(await begin("held", "a", "working"));
    await end(await begin("held", "b", "working"));
    await cancel(await begin("multi_input", "c", "input_required"));
    await end(await begin("multi_input", "d", "input_required"));
    const labels = ["a", "b", "multi_input c", "multi_input d"];
    await server.until(() => labels.every((label) => server.cancelled.has(label)));
    expect(server.runs.size).toBe(4);
  }),
  120_000,
);
