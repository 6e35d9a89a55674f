/** Tasks of a server that speaks only the revisions with sessions. */
import { expect, it } from "vitest";
import { startGateway } from "../../../support/mcp/gateway.ts";
import { TaskClient } from "../../../support/mcp/task-client.ts";
import { TaskServer } from "../../../support/mcp/task-server.ts";

it("end once, ask, are cancelled at the server, and fail with a restart; no tool runs twice", async () => {
  const server = await TaskServer.start("legacy");
  const { url, service } = await startGateway(
    { default: { url: server.url, tasks: { afterMs: 0, pollIntervalMs: 10 } } },
    { KEEPALIVE_SECONDS: "0.2" },
  );
  const client = new TaskClient(url);
  const held = async (label: string): Promise<string> => {
    const { result } = await client.call("held", { label, progress: ["half"] });
    await server.until(() => server.runs.has(label));
    return result.taskId;
  };
  const [done, cancelled, lost] = [await held("done"), await held("cancelled"), await held("lost")];
  for (let said; said !== "half";) said = (await client.get(done)).result.statusMessage;
  server.release("done");
  expect((await client.until(done, "completed", "failed")).result).toMatchObject({
    resultType: "complete",
    content: [{ text: "released done" }],
  });
  await client.ask("tasks/cancel", { taskId: cancelled });
  await server.until(() => server.cancelled.has("cancelled"));
  const { taskId } = (await client.call("multi_input")).result;
  const { inputRequests = {} } = await client.until(taskId, "input_required", "failed");
  const keys = Object.keys(inputRequests);
  expect(keys).toHaveLength(2);
  const accepted = { action: "accept", content: { name: "n" } };
  for (const key of keys) {
    await client.ask("tasks/update", { taskId, inputResponses: { [key]: accepted } });
  }
  expect((await client.until(taskId, "completed", "failed")).result).toMatchObject({
    content: [{ text: "both" }],
  });
  await service.kill();
  await service.restart();
  expect(await client.until(lost, "completed", "failed")).toMatchObject({
    status: "failed",
    error: { code: -32603 },
  });
  expect([...server.runs.values()]).toEqual([1, 1, 1, 1]);
});
