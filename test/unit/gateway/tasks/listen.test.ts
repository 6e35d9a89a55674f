/** A client that listens to its tasks: what it is told of them, and when its stream ends. */
import { expect, it } from "vitest";
import type { GatewayCall } from "../../../../src/gateway/request.ts";
import { STATUS_EVENT, type TaskAnswer } from "../../../../src/gateway/tasks/contract.ts";
import { listen } from "../../../../src/gateway/tasks/listen.ts";
import { encodeFrame } from "../../../../src/wire/sse-frame.ts";
import { SseParser } from "../../../../src/wire/sse-parser.ts";

const TASK = "0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55";

class Socket {
  readonly #listeners = new Map<string, (event: { data: unknown }) => void>();
  accept(): void {}
  send(): void {}
  close(): void {}
  addEventListener(type: string, listener: (event: { data: unknown }) => void): void {
    this.#listeners.set(type, listener);
  }
  say(event: string, data: string): void {
    const frame = encodeFrame({ event, data, id: "1" });
    this.#listeners.get("message")?.({ data: new TextEncoder().encode(frame).buffer });
  }
  /** The stream's last event has come. */
  end(): void {
    this.say("end", "{}");
    this.#listeners.get("close")?.({ data: undefined });
  }
}

/** Listens to one task, whose looks are answered by these functions in turn. */
async function listening(...looks: readonly (() => TaskAnswer | Promise<TaskAnswer>)[]) {
  const socket = new Socket();
  const left = [...looks];
  const sessions = { task: async () => left.shift()?.(), subscribe: async () => socket };
  const call = {
    caller: { subject: "alice" },
    upstream: { name: "default" },
    parts: {
      host: { as: () => sessions },
      config: { keepaliveMs: 60_000, streamBufferBytes: 1 << 20, bodyMaxBytes: 1 << 20 },
    },
  } as unknown as GatewayCall;
  const request = { body: "", id: "1", notifications: { taskIds: [TASK] } };
  const response = await listen(call, request, () => Promise.reject(new Error("asks no upstream")));
  const ended = response.text().then((text) => {
    const events = [...new SseParser(1 << 20).push(new TextEncoder().encode(text))];
    return events.map(({ data }) => JSON.parse(data) as Record<string, unknown>);
  });
  return { socket, ended };
}

const task = (status: string, more: object = {}): TaskAnswer => ({
  kind: "task",
  text: JSON.stringify({ taskId: TASK, status, ...more }),
  lastEventId: "0",
});
const without = (status: string) => JSON.stringify({ taskId: TASK, status });

it("reads what an event was too large to tell, and ends with the task", async () => {
  const asked = task("input_required", { inputRequests: { a: {} } });
  const { socket, ended } = await listening(
    () => task("working"),
    () => asked,
  );
  socket.say(STATUS_EVENT, without("input_required"));
  socket.say(STATUS_EVENT, JSON.stringify({ status: "completed", result: { content: [] } }));
  socket.end();
  expect(await ended).toMatchObject([
    { method: "notifications/subscriptions/acknowledged" },
    { params: { status: "working" } },
    { params: { status: "input_required", inputRequests: { a: {} } } },
    { params: { status: "completed", result: { content: [] } } },
    { id: 1, result: { resultType: "complete" } },
  ]);
});

it("tells the outcome before it ends, however late that is read", async () => {
  const late = Promise.withResolvers<TaskAnswer>();
  const { socket, ended } = await listening(
    () => task("working"),
    () => late.promise,
  );
  socket.say(STATUS_EVENT, without("completed"));
  socket.end();
  await new Promise((resolve) => setImmediate(resolve));
  late.resolve(task("completed", { result: { content: [] } }));
  expect((await ended).slice(2)).toMatchObject([
    { params: { status: "completed", result: { content: [] } } },
    { id: 1, result: { resultType: "complete" } },
  ]);
});

it("ends without an answer where it cannot read that: the client listens again, and hears then how the task is", async () => {
  const { socket, ended } = await listening(
    () => task("working"),
    () => {
      throw new Error("the object is overloaded");
    },
  );
  socket.say(STATUS_EVENT, without("input_required"));
  expect(await ended).toMatchObject([
    { method: "notifications/subscriptions/acknowledged" },
    { params: { status: "working" } },
  ]);
});
