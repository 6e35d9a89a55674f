/**
 * `subscriptions/listen` with `taskIds`: the changes of the caller's tasks, on one stream with what else the
 * client listens to at the upstream.
 */
import type { SessionId } from "../../core/id.ts";
import { SessionNotFoundError } from "../../core/errors.ts";
import { parseSessionId } from "../../core/id.ts";
import { MAX_LISTENED_TASKS, SLOW_LINK_BYTES_PER_S } from "../../core/limits.ts";
import { STREAM_HEADERS } from "../../http/problem.ts";
import { bridge } from "../../stream/bridge.ts";
import { KEEPALIVE_FRAME, encodeFrame, MESSAGE_EVENT } from "../../wire/sse-frame.ts";
import { SseParser } from "../../wire/sse-parser.ts";
import { parseJson } from "../../wire/json.ts";
import { memberText, withMember, withoutMember } from "../../wire/json-text.ts";
import { Refused } from "../answers.ts";
import type { GatewaySessions } from "../contract.ts";
import { ACKNOWLEDGED, META } from "../eras/wire.ts";
import { RPC_CODES, type RequestId } from "../json-rpc.ts";
import type { GatewayCall } from "../request.ts";
import { STATUS_EVENT } from "./contract.ts";
import { ownerOf } from "./owner.ts";

interface ListenRequest {
  readonly body: string;
  readonly id: RequestId;
  readonly notifications: Readonly<Record<string, unknown>>;
}

/** A task of the caller's, as it was when its stream was at `lastEventId`. */
interface Listened {
  readonly taskId: SessionId;
  readonly text: string;
  readonly lastEventId: string;
}

export async function listen(
  call: GatewayCall,
  { body, id, notifications }: ListenRequest,
  passOn: (body: string) => Promise<Response>,
): Promise<Response> {
  const ids = idsIn(notifications["taskIds"]);
  const sessions = call.parts.host.as(await ownerOf(call));
  const found = await Promise.all(ids.map((one) => find(call, sessions, one)));
  const tasks = found.filter((one): one is Listened => one !== undefined);
  const { taskIds: _, ...others } = notifications;
  const asksMore = Object.values(others).some((wanted) => wanted !== false && wanted !== null);
  const stream = new ListenStream(call, sessions, id, tasks);
  if (!asksMore) return stream.alone();
  const answer = await passOn(withoutTaskIds(body));
  const isStream = answer.headers.get("content-type")?.startsWith("text/event-stream");
  if (!answer.ok || !isStream || !answer.body) return answer;
  return stream.beside(answer.body as ReadableStream<Uint8Array>);
}

function idsIn(value: unknown): readonly string[] {
  const isList = Array.isArray(value) && value.every((one) => typeof one === "string");
  if (!isList) throw new Refused(400, "taskIds must be a list of ids", RPC_CODES.invalidParams);
  const ids = [...new Set(value as readonly string[])];
  if (ids.length <= MAX_LISTENED_TASKS) return ids;
  const message = `taskIds names more than ${MAX_LISTENED_TASKS} tasks`;
  throw new Refused(400, message, RPC_CODES.invalidParams);
}

/** Undefined: the caller has no such task here. */
async function find(
  { upstream }: GatewayCall,
  sessions: GatewaySessions,
  text: string,
): Promise<Listened | undefined> {
  const taskId = parseSessionId(text);
  if (taskId === undefined || taskId !== text) return undefined;
  try {
    const answer = await sessions.task(taskId, { kind: "get", upstream: upstream.name });
    if (answer.kind !== "task") return undefined;
    return { taskId, text: answer.text, lastEventId: answer.lastEventId };
  } catch (failure) {
    if (failure instanceof SessionNotFoundError) return undefined;
    throw failure;
  }
}

function withoutTaskIds(body: string): string {
  const params = memberText(body, "params") ?? "{}";
  const notifications = withoutMember(memberText(params, "notifications") ?? "{}", "taskIds");
  return withMember(body, "params", withMember(params, "notifications", notifications));
}

const encoder = new TextEncoder();

/** The member that belongs to a status. */
const PAYLOADS = { completed: "result", failed: "error", input_required: "inputRequests" } as const;

class ListenStream {
  readonly #call: GatewayCall;
  readonly #sessions: GatewaySessions;
  readonly #id: RequestId;
  readonly #tasks: readonly Listened[];
  readonly #readers = new Set<ReadableStreamDefaultReader<Uint8Array>>();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isOver = false;
  /** Settles when the client has taken what waits for it. */
  #taken: PromiseWithResolvers<void> | undefined;
  /** Until when the client may take nothing, in milliseconds since the epoch. */
  #patientUntil = Infinity;
  /** Settles when the client has been told all that came so far. */
  #told: Promise<unknown> = Promise.resolve();

  constructor(
    call: GatewayCall,
    sessions: GatewaySessions,
    id: RequestId,
    tasks: readonly Listened[],
  ) {
    this.#call = call;
    this.#sessions = sessions;
    this.#id = id;
    this.#tasks = tasks;
  }

  /** The client listens to tasks alone: the stream ends with the last of them. */
  alone(): Response {
    return this.#response(() => {
      this.#notify(ACKNOWLEDGED, `{"notifications":{"taskIds":${this.#ids}}}`);
      void this.#followTasks().then((isComplete) => this.#end(isComplete));
    });
  }

  /** The client listens to the upstream as well, whose stream ends this one. */
  beside(upstream: ReadableStream<Uint8Array>): Response {
    return this.#response(() => {
      const reader = upstream.getReader();
      void this.#read(reader, async (data) => {
        const isFirst = memberText(data, "method") === JSON.stringify(ACKNOWLEDGED);
        await this.#inTurn(() => this.#send(isFirst ? this.#acknowledged(data) : data));
        if (isFirst) void this.#followTasks();
      }).then(() => this.#end(false));
    });
  }

  get #ids(): string {
    return JSON.stringify(this.#tasks.map(({ taskId }) => taskId));
  }

  #response(begin: () => void): Response {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
        const { keepaliveMs } = this.#call.parts.config;
        const keepalive = encoder.encode(KEEPALIVE_FRAME);
        this.#timer = setInterval(() => {
          if (!this.#isBehind) this.#enqueue(keepalive);
          // The client listens again, and hears then how each task is.
          else if (Date.now() > this.#patientUntil) this.#end(false);
        }, keepaliveMs);
        begin();
      },
      pull: () => this.#wake(),
      cancel: () => this.#stop(),
    });
    return new Response(body, { headers: STREAM_HEADERS });
  }

  /** The upstream's acknowledgement, with the tasks in it. */
  #acknowledged(data: string): string {
    const params = memberText(data, "params") ?? "{}";
    const notifications = memberText(params, "notifications") ?? "{}";
    const more = withMember(notifications, "taskIds", this.#ids);
    return withMember(data, "params", withMember(params, "notifications", more));
  }

  /** Returns whether every task has ended. The client is not to wait for a task that tells no more: the stream ends. */
  async #followTasks(): Promise<boolean> {
    const follow = async (task: Listened): Promise<boolean> => {
      const hasEnded = await this.#followTask(task);
      if (!hasEnded) this.#end(false);
      return hasEnded;
    };
    const all = await Promise.all(this.#tasks.map(follow));
    return all.every(Boolean);
  }

  /** Tells how a task is, and each change of it. Returns whether it has ended. */
  async #followTask({ taskId, text, lastEventId }: Listened): Promise<boolean> {
    await this.#inTurn(() => this.#notifyTask(text));
    const { keepaliveMs, streamBufferBytes } = this.#call.parts.config;
    try {
      const socket = await this.#sessions.subscribe(taskId, { kind: "after", lastEventId });
      // The task had ended before.
      if (!socket) return true;
      const reader = bridge(socket, { keepaliveMs, bufferBytes: streamBufferBytes }).getReader();
      let isEnded = false;
      await this.#read(reader, async (data, event) => {
        if (event === STATUS_EVENT) await this.#inTurn(() => this.#tell(taskId, data));
        else isEnded = true;
      });
      return isEnded;
    } catch (failure) {
      // Otherwise the client listens again, and hears then how the task is.
      return failure instanceof SessionNotFoundError;
    }
  }

  /** Tells of a change. An event that is too large lacks what belongs to the status, and the task itself has it. */
  async #tell(taskId: SessionId, data: string): Promise<void> {
    const needed = PAYLOADS[parseJson(memberText(data, "status") ?? "") as keyof typeof PAYLOADS];
    if (needed === undefined || memberText(data, needed) !== undefined)
      return this.#notifyTask(data);
    const { upstream } = this.#call;
    const answer = await this.#sessions.task(taskId, { kind: "get", upstream: upstream.name });
    if (answer.kind === "task") this.#notifyTask(answer.text);
  }

  #notifyTask(text: string): void {
    this.#notify("notifications/tasks", text);
  }

  /** `params` is an object as JSON. */
  #notify(method: string, params: string): void {
    const meta = `{${JSON.stringify(META.subscriptionId)}:${this.#id}}`;
    const whole = withMember(params, "_meta", meta);
    this.#send(`{"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":${whole}}`);
  }

  async #read(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    take: (data: string, event: string) => Promise<void>,
  ): Promise<void> {
    this.#readers.add(reader);
    const parser = new SseParser(2 * this.#call.parts.config.bodyMaxBytes);
    try {
      for (;;) {
        const chunk = await reader.read();
        if (chunk.done || this.#isOver) return;
        for (const { data, event } of parser.push(chunk.value)) await take(data, event);
      }
    } catch {
      // A stream that breaks off has ended. So has one whose changes cannot be told.
    } finally {
      this.#readers.delete(reader);
      void reader.cancel().catch(() => undefined);
    }
  }

  #send(text: string): void {
    this.#enqueue(encoder.encode(encodeFrame({ event: MESSAGE_EVENT, data: text })));
  }

  /**
   * Does this once the client has taken all that came before. So one text at a time waits for a slow client, and what
   * is to be told then waits at its source, which cuts a reader that is too slow.
   */
  #inTurn(work: () => void | Promise<void>): Promise<void> {
    const done = this.#told.then(() => this.#room()).then(work);
    this.#told = done.catch(() => undefined);
    return done;
  }

  /** Resolves when nothing waits for the client, or the stream is over. */
  async #room(): Promise<void> {
    if (this.#isOver || !this.#isBehind) return;
    await (this.#taken ??= Promise.withResolvers<void>()).promise;
  }

  /** Whether something waits for the client. */
  get #isBehind(): boolean {
    return (this.#controller?.desiredSize ?? 1) <= 0;
  }

  /** The client has taken all that waited for it. */
  #wake(): void {
    this.#taken?.resolve();
    this.#taken = undefined;
  }

  #enqueue(bytes: Uint8Array): void {
    if (this.#isOver || !this.#controller) return;
    const onSlowLinkMs = (bytes.byteLength / SLOW_LINK_BYTES_PER_S) * 1000;
    this.#patientUntil = Date.now() + this.#call.parts.config.keepaliveMs + onSlowLinkMs;
    this.#controller.enqueue(bytes);
  }

  /** `isComplete`: nothing more can come, so the subscription is answered. */
  #end(isComplete: boolean): void {
    if (this.#isOver) return;
    if (isComplete) {
      const meta = `{${JSON.stringify(META.subscriptionId)}:${this.#id}}`;
      const result = `{"resultType":"complete","_meta":${meta}}`;
      this.#send(`{"jsonrpc":"2.0","id":${this.#id},"result":${result}}`);
    }
    this.#stop();
    this.#controller?.close();
  }

  #stop(): void {
    this.#isOver = true;
    this.#wake();
    clearInterval(this.#timer);
    for (const reader of this.#readers) void reader.cancel().catch(() => undefined);
  }
}
