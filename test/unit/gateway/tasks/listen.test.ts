/** A client that listens to its tasks: what it is told of them, and when its stream ends. */
import { afterEach, expect, it, vi } from "vitest";
import type { GatewayCall } from "../../../../src/gateway/request.ts";
import { STATUS_EVENT, type TaskAnswer } from "../../../../src/gateway/tasks/contract.ts";
import { SessionNotFoundError } from "../../../../src/core/errors.ts";
import { listen } from "../../../../src/gateway/tasks/listen.ts";
import { encodeFrame } from "../../../../src/wire/sse-frame.ts";
import { SseParser } from "../../../../src/wire/sse-parser.ts";

const TASK = "0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55";
const OTHER = "5f0dd0a5-8f5c-4a39-8f6f-0c3a51b6bd01";
const KEEPALIVE_MS = 60_000;

class Socket {
  readonly #listeners = new Map<string, (event: { data: unknown }) => void>();
  /** Acts of the object that wait until the bridge takes the socket. */
  #early: (() => void)[] | undefined = [];
  accept(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const act of early) act();
  }
  send(): void {}
  close(): void {}
  addEventListener(type: string, listener: (event: { data: unknown }) => void): void {
    this.#listeners.set(type, listener);
  }
  say(event: string, data: string): void {
    const frame = encodeFrame({ event, data, id: "1" });
    this.#fire("message", new TextEncoder().encode(frame).buffer);
  }
  /** The object has died. */
  break(): void {
    this.#fire("error");
  }
  /** The stream's last event has come. */
  end(): void {
    this.say("end", "{}");
    this.#fire("close");
  }
  #fire(type: string, data?: unknown): void {
    const act = () => this.#listeners.get(type)?.({ data });
    if (this.#early) this.#early.push(act);
    else act();
  }
}

afterEach(() => void vi.useRealTimers());

/** Listens to one task, whose looks are answered by these functions in turn. */
async function listening(...looks: readonly (() => TaskAnswer | Promise<TaskAnswer>)[]) {
  return reading(await listeningTo([TASK], ...looks));
}

/** The client reads all that comes. */
function reading({ read, ...others }: Awaited<ReturnType<typeof listeningTo>>) {
  return { ...others, ended: read() };
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
      config: { keepaliveMs: KEEPALIVE_MS, streamBufferBytes: 1 << 20, bodyMaxBytes: 1 << 20 },
    },
  } as unknown as GatewayCall;
  const request = { body: "", id: "1", notifications: { taskIds } };
  const response = await listen(call, request, () => Promise.reject(new Error("asks no upstream")));
  const read = async () => {
    const text = new TextEncoder().encode(await response.text());
    const events = [...new SseParser(1 << 20).push(text)];
    return events.map(({ data }) => JSON.parse(data) as Record<string, unknown>);
  };
  return { socket, sockets, read };
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
  const working = () => task("working");
  const { sockets, ended } = reading(await listeningTo([TASK, OTHER], working, working));
  await new Promise((resolve) => setImmediate(resolve));
  sockets.get(OTHER)?.break();
  expect((await ended).map(({ method, id }) => method ?? id)).toEqual([
    "notifications/subscriptions/acknowledged",
    "notifications/tasks",
    "notifications/tasks",
  ]);
});

it("a task that was deleted before it could be followed has ended", async () => {
  const listened = await listeningTo([TASK], (sockets) => {
    sockets.delete(TASK);
    return task("working");
  });
  const { ended } = reading(listened);
  expect((await ended).at(-1)).toMatchObject({ id: 1, result: { resultType: "complete" } });
});

it("one text at a time waits for a client that takes nothing, and the client is cut", async () => {
  vi.useFakeTimers();
  const done = () => task("completed", { result: { content: [] } });
  const { read } = await listeningTo([TASK, OTHER], done, done);
  await vi.advanceTimersByTimeAsync(3 * KEEPALIVE_MS);
  const all = read();
  await vi.advanceTimersByTimeAsync(3 * KEEPALIVE_MS);
  expect((await all).map(({ method }) => method)).toEqual([
    "notifications/subscriptions/acknowledged",
  ]);
});
