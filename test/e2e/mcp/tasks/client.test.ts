/** The official client of tasks (`@modelcontextprotocol/ext-tasks`): every ability that it has. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import {
  createTaskSessionFromClient,
  resultFromTaskOutcome,
  type ApplicationInputHandler,
  type SerializedTaskReference,
} from "@modelcontextprotocol/ext-tasks/client";
import type { JsonValue } from "@modelcontextprotocol/ext-tasks/core";
import { expect, it } from "vitest";
import { startGateway } from "../../../support/mcp/gateway.ts";
import { TaskClient } from "../../../support/mcp/task-client.ts";
import { TaskServer } from "../../../support/mcp/task-server.ts";
import { atEnd, beside, shared } from "../../../support/scope.ts";

const VERSION = "2026-07-28";
const INFO = { name: "official", version: "1" };

const start = shared(async () => {
  const server = await TaskServer.start();
  const tasks = { afterMs: 0, pollIntervalMs: 20 };
  const patient = { url: server.url, tasks: { afterMs: 600_000 } };
  const gateway = await startGateway({ default: { url: server.url, tasks }, patient });
  return { server, ...gateway };
});

type Answer = Extract<ApplicationInputHandler["handle"], unknown>;

async function connect(path = "", onInputRequest?: Answer) {
  const { url } = await start();
  const client = new Client(INFO, {
    versionNegotiation: { mode: { pin: VERSION } },
    capabilities: { elicitation: {} },
  });
  await client.connect(new StreamableHTTPClientTransport(new URL(url + path)));
  const raw = new TaskClient(url + path);
  const session = createTaskSessionFromClient(client, {
    endpointId: "gateway",
    v2RequestFraming: {
      protocolVersion: VERSION,
      clientInfo: INFO,
      clientCapabilities: { elicitation: {}, extensions: {} },
    },
    rawDispatch: async (request) => {
      const { method, params } = request as { method: string; params: object };
      const { messages } = await raw.ask(method, params);
      const { result, error } = messages.at(-1) as { result: JsonValue; error?: never };
      return error ? { kind: "error", error } : { kind: "result", result };
    },
    ...(onInputRequest && { onInputRequest }),
  });
  atEnd(async () => {
    await session.close();
    await client.close();
  });
  return session;
}

let labels = 0;

it.concurrent(
  "sees that the gateway offers tasks, and takes an answer that is quick as it is",
  beside(async () => {
    const session = await connect("/patient");
    expect(session.capabilities).toMatchObject({
      execution: true,
      cancellation: true,
      inputResponses: true,
    });
    const execution = await session.callTool("greet", { name: "you" });
    expect(execution.kind).toBe("immediate");
    const { outcome } = await execution.settle();
    expect(resultFromTaskOutcome(outcome)).toMatchObject({ content: [{ text: "Hello, you!" }] });
  }),
);

it.concurrent(
  "follows a task to its end, and hears of its progress",
  beside(async () => {
    const { server } = await start();
    const session = await connect();
    const label = `official-${labels++}`;
    const execution = await session.callTool("held", { label, progress: ["half"] });
    expect(execution.kind).toBe("task");
    const { outcome } = await execution.settle({
      onEvent: (event) => {
        if (event.type === "task" && event.task.statusMessage === "half") server.release(label);
      },
    });
    expect(resultFromTaskOutcome(outcome)).toMatchObject({
      content: [{ text: `released ${label}` }],
    });
    expect(server.runs.get(label)).toBe(1);
  }),
);

it.concurrent(
  "answers what a task asks",
  beside(async () => {
    const asked: unknown[] = [];
    const answer = async (request: unknown) => {
      asked.push(request);
      return { action: "accept", content: { name: "n" } };
    };
    const session = await connect("", answer as unknown as Answer);
    const { outcome } = await (await session.callTool("multi_input", {})).settle();
    expect(resultFromTaskOutcome(outcome)).toMatchObject({ content: [{ text: "both" }] });
    expect(asked).toMatchObject([{ kind: "elicitation" }, { kind: "elicitation" }]);
  }),
);

it.concurrent(
  "cancels a task, and hears of one that failed",
  beside(async () => {
    const { server } = await start();
    const session = await connect();
    const label = `official-${labels++}`;
    const execution = await session.callTool("held", { label });
    await server.until(() => server.runs.has(label));
    await execution.cancel();
    expect((await execution.result()).status).toBe("cancelled");
    await server.until(() => server.cancelled.has(label));
    const { outcome } = await (await session.callTool("protocol_error_job", {})).settle();
    expect(outcome).toMatchObject({ status: "failed", error: { code: -32050 } });
  }),
);

it.concurrent(
  "comes back to a task in another life",
  beside(async () => {
    const { server } = await start();
    const label = `official-${labels++}`;
    const first = await connect();
    const execution = await first.callTool("held", { label });
    if (execution.kind !== "task") throw new Error("it is no task");
    let kept = "";
    await execution.handoff((reference) => {
      kept = JSON.stringify(reference);
    });
    const second = await connect();
    const again = await second.resumeTask(JSON.parse(kept) as SerializedTaskReference);
    server.release(label);
    const { outcome } = await again.settle();
    expect(resultFromTaskOutcome(outcome)).toMatchObject({
      content: [{ text: `released ${label}` }],
    });
  }),
);
