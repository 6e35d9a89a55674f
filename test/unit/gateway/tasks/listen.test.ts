/** A client that listens to its tasks: what it is told of them, and when its stream ends. */
import { expect, it } from "vitest";
import type { GatewayCall } from "../../../../src/gateway/request.ts";
import { STATUS_EVENT, type TaskAnswer } from "../../../../src/gateway/tasks/contract.ts";
import { SessionNotFoundError } from "../../../../src/core/errors.ts";
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
  /** The object has died. */
  break(): void {
    this.#listeners.get("error")?.({ data: undefined });
  }
  /** The stream's last event has come. */
  end(): void {
    this.say("end", "{}");
    this.#listeners.get("close")?.({ data: undefined });
  }
}

/** Listens to one task, whose looks are answered by these functions in turn. */
async function listening(...looks: readonly (() => TaskAnswer | Promise<TaskAnswer>)[]) {
  return listeningTo([TASK], ...looks);
}

/** As `listening`, to tasks of these ids, one socket for each. */
async function listeningTo(
  taskIds: readonly string[],
  ...looks: readonly ((sockets: Map<string, Socket>) => TaskAnswer | Promise<TaskAnswer>)[]
) {
  const sockets = new Map(taskIds.map((id) => [id, new Socket()]));
  const socket = sockets.get(TASK) ?? new Socket();
  const left = [...looks];
  const sessions = {
    task: async () => left.shift()?.(sockets),
    subscribe: async (id: string) => {
      const found = sockets.get(id);
      if (found) return found;
      throw new SessionNotFoundError();
    },
  };
  const call = {
    caller: { subject: "alice" },
    upstream: { name: "default" },
    parts: {
      host: { as: () => sessions },
      config: { keepaliveMs: 60_000, streamBufferBytes: 1 << 20, bodyMaxBytes: 1 << 20 },
    },
  } as unknown as GatewayCall;
  const request = { body: "", id: "1", notifications: { taskIds } };
  const response = await listen(call, request, () => Promise.reject(new Error("asks no upstream")));
  const ended = response.text().then((text) => {
    const events = [...new SseParser(1 << 20).push(new TextEncoder().encode(text))];
    return events.map(({ data }) => JSON.parse(data) as Record<string, unknown>);
  });
  return { socket, sockets, ended };
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

it("ends without an answer where one of several tasks is lost with its object: the stream would not tell of it", async () => {
  const other = "5f0dd0a5-8f5c-4a39-8f6f-0c3a51b6bd01";
  const working = () => task("working");
  const { sockets, ended } = await listeningTo([TASK, other], working, working);
  await new Promise((resolve) => setImmediate(resolve));
  sockets.get(other)?.break();
  expect((await ended).map(({ method, id }) => method ?? id)).toEqual([
    "notifications/subscriptions/acknowledged",
    "notifications/tasks",
    "notifications/tasks",
  ]);
});

it("a task that was deleted before it could be followed has ended", async () => {
  const { ended } = await listeningTo([TASK], (sockets) => {
    sockets.delete(TASK);
    return task("working");
  });
  expect((await ended).at(-1)).toMatchObject({ id: 1, result: { resultType: "complete" } });
});
