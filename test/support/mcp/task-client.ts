/** A client of the stateless revision without an SDK, which knows of tasks. */
import { readerOf, wholeAnswer, type Rpc } from "./client.ts";
import { freshFetch } from "./fresh-fetch.ts";
import type { SseReader } from "../sse-reader.ts";

const VERSION = "2026-07-28";
export const TASKS = "io.modelcontextprotocol/tasks";
const EXTENSIONS = { extensions: { [TASKS]: {} } };

export interface ShownTask {
  readonly resultType?: string;
  readonly taskId: string;
  readonly status: string;
  readonly statusMessage?: string;
  readonly createdAt: string;
  readonly lastUpdatedAt: string;
  readonly ttlMs: number;
  readonly pollIntervalMs: number;
  readonly inputRequests?: Readonly<Record<string, { method: string; params: object }>>;
  readonly result?: {
    readonly resultType?: string;
    readonly content: { text: string }[];
    isError?: boolean;
  };
  readonly error?: { readonly code: number; readonly message: string };
}

export interface Answered {
  readonly status: number;
  readonly messages: Rpc[];
  /** The answer's own result or error. */
  readonly result: ShownTask;
  readonly error: { readonly code: number; readonly message: string; readonly data?: unknown };
}

export class TaskClient {
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #capabilities: object;
  #id = 0;

  constructor(
    url: string,
    {
      token,
      capabilities = { elicitation: {}, sampling: {}, ...EXTENSIONS },
    }: {
      readonly token?: string;
      readonly capabilities?: object;
    } = {},
  ) {
    this.#url = url;
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    this.#capabilities = capabilities;
  }

  /** A request as it is sent. `headers` replace those that belong to it; an empty one is left out. */
  send(
    method: string,
    params: object = {},
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const { name, taskId } = params as { name?: string; taskId?: unknown };
    const named = name ?? (typeof taskId === "string" ? taskId : undefined);
    const claimed = {
      ...params,
      _meta: {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": { name: "by-hand", version: "1" },
        "io.modelcontextprotocol/clientCapabilities": this.#capabilities,
        ...(params as { _meta?: object })._meta,
      },
    };
    return this.#post(method, claimed, {
      "mcp-protocol-version": VERSION,
      "mcp-method": method,
      ...(named !== undefined && { "mcp-name": named }),
      ...headers,
    });
  }

  /** A request with params that make no claim: they may be of any kind. */
  async sendBare(method: string, params: unknown): Promise<Answered> {
    const response = await this.#post(method, params, {
      "mcp-protocol-version": VERSION,
      "mcp-method": method,
      "mcp-name": "x",
    });
    return answered(response);
  }

  #post(method: string, params: unknown, headers: Record<string, string>): Promise<Response> {
    const body = { jsonrpc: "2.0", id: ++this.#id, method, params };
    const all = { ...this.#headers, ...headers };
    const kept = Object.entries(all).filter(([, value]) => value !== "");
    // On a connection of its own: one that is kept may break off before it is used again.
    return freshFetch(this.#url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        ...Object.fromEntries(kept),
      },
      body: JSON.stringify(body),
    });
  }

  async ask(method: string, params?: object, headers?: Record<string, string>): Promise<Answered> {
    return answered(await this.send(method, params, headers));
  }

  call(name: string, args: object = {}, more: object = {}): Promise<Answered> {
    return this.ask("tools/call", { name, arguments: args, ...more });
  }

  get(taskId: string): Promise<Answered> {
    return this.ask("tasks/get", { taskId });
  }

  /** Asks for a task until it is in one of these states. */
  async until(taskId: string, ...statuses: string[]): Promise<ShownTask> {
    for (;;) {
      const { result, error } = await this.get(taskId);
      if (error) throw new Error(`${error.code}: ${error.message}`);
      if (statuses.includes(result.status)) return result;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async listen(notifications: object): Promise<SseReader> {
    return readerOf(await this.send("subscriptions/listen", { notifications }));
  }
}

async function answered(response: Response): Promise<Answered> {
  const { status, messages } = await wholeAnswer(response);
  const last = messages.at(-1) as { result: ShownTask; error: Answered["error"] } | undefined;
  return {
    status,
    messages,
    result: last?.result as ShownTask,
    error: last?.error as Answered["error"],
  };
}
