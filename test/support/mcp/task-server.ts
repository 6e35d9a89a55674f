/**
 * A server of one era alone, the stateless revision or those with sessions, that knows nothing of tasks, with the tools that the conformance
 * suite's scenarios of tasks call, and some more. It counts how often each call has run.
 */
import {
  acceptedContent,
  createMcpHandler,
  createRequestStateCodec,
  inputRequired,
  McpServer,
  WebStandardStreamableHTTPServerTransport,
  type McpHttpHandler,
  type ServerContext,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import type { Era } from "../../../src/gateway/eras/speaks.ts";
import { freePort } from "../free-port.ts";
import { atEnd } from "../scope.ts";
import { MemoryEventStore } from "./event-store.ts";
import { pause, text } from "./fixture-basic.ts";
import { listen, type Listening } from "./http.ts";

/**
 * Milliseconds of a second of this server. The suite's shortest slow call takes one second: so it becomes a
 * task, and a quick call does not, also where the machine is busy.
 */
export const SECOND_MS = 2000;
const KEY = "0123456789abcdef0123456789abcdef";
const CONFIRM = {
  type: "object" as const,
  properties: { confirm: { type: "boolean" as const } },
  required: ["confirm"],
};
const NAME = {
  type: "object" as const,
  properties: { name: { type: "string" as const } },
  required: ["name"],
};

export class TaskServer {
  readonly #port: number;
  readonly #codec = createRequestStateCodec({ key: KEY });
  readonly #handler: McpHttpHandler;
  #listening: Listening | undefined;
  /** How often a tool has begun, by its name and label. */
  readonly runs = new Map<string, number>();
  /** Labels of calls that their caller has given up. */
  readonly cancelled = new Set<string>();
  /** Every body that came. */
  readonly bodies: string[] = [];
  /** How many streams were asked for the rest of. */
  resumed = 0;
  readonly #releases = new Map<string, () => void>();
  readonly #watchers = new Set<() => void>();

  readonly #era: Era;
  readonly #sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();

  readonly #events: MemoryEventStore | undefined;

  private constructor(era: Era, port: number, isResumable: boolean) {
    this.#era = era;
    this.#events = isResumable ? new MemoryEventStore() : undefined;
    this.#port = port;
    this.#handler = createMcpHandler(() => this.#build(), { legacy: "reject" });
  }

  /** Ends with the test, or with all that share it. `isResumable`: the streams of one with sessions have event ids. */
  static async start(era: Era = "modern", isResumable = false): Promise<TaskServer> {
    const server = new TaskServer(era, await freePort(), isResumable);
    await server.listen();
    atEnd(() => server.stop());
    return server;
  }

  async listen(): Promise<void> {
    this.#listening = await listen(async (request) => {
      const body = await request.clone().text();
      this.bodies.push(body);
      if (request.headers.has("last-event-id")) this.resumed++;
      this.#changed();
      // The SDK makes a result of whatever a tool throws.
      if (body.includes('"name":"protocol_error_job"')) return protocolError(body);
      return this.#era === "modern" ? this.#handler.fetch(request) : this.#serveSession(request);
    }, this.#port);
  }

  async #serveSession(request: Request): Promise<Response> {
    const sid = request.headers.get("mcp-session-id");
    const known = sid === null ? undefined : this.#sessions.get(sid);
    if (known) return known.handleRequest(request);
    if (sid !== null) return new Response("no such session", { status: 404 });
    const transport: WebStandardStreamableHTTPServerTransport =
      new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: () => crypto.randomUUID(),
        onsessioninitialized: (id) => void this.#sessions.set(id, transport),
        ...(this.#events && { eventStore: this.#events }),
      });
    await this.#build().connect(transport);
    return transport.handleRequest(request);
  }

  async stop(): Promise<void> {
    await this.#listening?.close();
    this.#listening = undefined;
  }

  get url(): string {
    return `http://localhost:${this.#port}/mcp`;
  }

  /** Lets a call of `held` with this label answer. */
  release(label: string): void {
    this.#releases.get(label)?.();
  }

  toolsChanged(): void {
    this.#handler.notify.toolsChanged();
  }

  /** Resolves when `holds`, which is asked again after everything that happens here. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await new Promise<void>((resolve) => {
        const watcher = () => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
    }
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #ran(name: string, ctx: ServerContext): void {
    this.runs.set(name, (this.runs.get(name) ?? 0) + 1);
    ctx.mcpReq.signal.addEventListener("abort", () => {
      this.cancelled.add(name);
      this.#changed();
    });
    this.#changed();
  }

  #build(): McpServer {
    const server = new McpServer(
      { name: "unaware", version: "1.0.0" },
      {
        capabilities: { tools: {}, logging: {} },
        requestState: { verify: (state, ctx) => this.#codec.verify(state, ctx) },
      },
    );
    this.#registerPlain(server);
    if (this.#era === "modern") this.#registerAsking(server);
    else registerSessionAsking(server, (name, ctx) => this.#ran(name, ctx));
    return server;
  }

  #registerPlain(server: McpServer): void {
    server.registerTool(
      "greet",
      { description: "Greets at once", inputSchema: z.object({ name: z.string() }) },
      ({ name }) => text(`Hello, ${name}!`),
    );
    server.registerTool(
      "slow_compute",
      {
        description: "Takes some seconds",
        inputSchema: z.object({ seconds: z.number(), label: z.string().default("") }),
      },
      async ({ seconds, label }, ctx) => {
        this.#ran(label, ctx);
        await pause(seconds * SECOND_MS);
        return text(`computed ${label}`);
      },
    );
    server.registerTool(
      "held",
      {
        description: "Tells of its progress, and waits until the test releases it",
        inputSchema: z.object({ label: z.string(), progress: z.array(z.string()).default([]) }),
      },
      async ({ label, progress }, ctx) => {
        const released = new Promise<void>((resolve) => this.#releases.set(label, resolve));
        this.#ran(label, ctx);
        await progressOf(ctx, progress);
        await released;
        return text(`released ${label}`);
      },
    );
    server.registerTool(
      "failing_job",
      { description: "Fails", inputSchema: z.object({}) },
      async () => {
        await pause(SECOND_MS);
        return { ...text("it failed"), isError: true };
      },
    );
    server.registerTool(
      "protocol_error_job",
      { description: "Breaks the protocol", inputSchema: z.object({}) },
      () => text("never"),
    );
  }

  #registerAsking(server: McpServer): void {
    server.registerTool(
      "confirm_delete",
      { description: "Asks before it deletes", inputSchema: z.object({ filename: z.string() }) },
      async ({ filename }, ctx) => {
        await pause(SECOND_MS);
        const answer = acceptedContent<{ confirm?: unknown }>(ctx.mcpReq.inputResponses, "confirm");
        if (answer) return text(`deleted ${filename}: ${String(answer.confirm)}`);
        return inputRequired({
          inputRequests: {
            confirm: inputRequired.elicit({
              message: `Delete ${filename}?`,
              requestedSchema: CONFIRM,
            }),
          },
          requestState: await this.#codec.mint(filename),
        });
      },
    );
    server.registerTool(
      "multi_input",
      { description: "Asks for two things at once", inputSchema: z.object({}) },
      async (_args, ctx) => {
        await pause(SECOND_MS);
        const answers = ctx.mcpReq.inputResponses ?? {};
        if ("first" in answers && "second" in answers) return text("both");
        const ask = (message: string) => inputRequired.elicit({ message, requestedSchema: NAME });
        return inputRequired({ inputRequests: { first: ask("First?"), second: ask("Second?") } });
      },
    );
    server.registerTool(
      "test_tool_with_task",
      { description: "Asks at once, then takes long", inputSchema: z.object({}) },
      async (_args, ctx) => {
        const answer = acceptedContent<{ name?: unknown }>(ctx.mcpReq.inputResponses, "user_name");
        if (!answer) {
          const name = inputRequired.elicit({ message: "Who?", requestedSchema: NAME });
          return inputRequired({ inputRequests: { user_name: name } });
        }
        await pause(SECOND_MS);
        return text(`done for ${String(answer.name)}`);
      },
    );
  }
}

/** The same tools in the revisions with sessions: they ask in the middle of the call. */
function registerSessionAsking(
  server: McpServer,
  ran: (name: string, ctx: ServerContext) => void,
): void {
  // On the stream of the call. The SDK's `elicitInput` names no call, and other calls run beside this one.
  const ask = async (ctx: ServerContext, message: string, schema: typeof CONFIRM | typeof NAME) => {
    const params = { message, requestedSchema: schema };
    const { content } = await ctx.mcpReq.send({ method: "elicitation/create", params });
    return content ?? {};
  };
  server.registerTool(
    "confirm_delete",
    { description: "Asks before it deletes", inputSchema: z.object({ filename: z.string() }) },
    async ({ filename }, ctx) => {
      await pause(SECOND_MS);
      const { confirm } = await ask(ctx, `Delete ${filename}?`, CONFIRM);
      return text(`deleted ${filename}: ${String(confirm)}`);
    },
  );
  server.registerTool(
    "multi_input",
    {
      description: "Asks for two things at once",
      inputSchema: z.object({ label: z.string().default("") }),
    },
    async ({ label }, ctx) => {
      ran(`multi_input ${label}`, ctx);
      await pause(SECOND_MS);
      await Promise.all([ask(ctx, "First?", NAME), ask(ctx, "Second?", NAME)]);
      return text("both");
    },
  );
  server.registerTool(
    "test_tool_with_task",
    { description: "Asks at once, then takes long", inputSchema: z.object({}) },
    async (_args, ctx) => {
      const { name } = await ask(ctx, "Who?", NAME);
      await pause(SECOND_MS);
      return text(`done for ${String(name)}`);
    },
  );
}

async function protocolError(body: string): Promise<Response> {
  await pause(SECOND_MS);
  const { id } = JSON.parse(body) as { id: number };
  return Response.json({ jsonrpc: "2.0", id, error: { code: -32050, message: "it broke" } });
}

async function progressOf(ctx: ServerContext, messages: readonly string[]): Promise<void> {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return;
  for (const [n, message] of messages.entries()) {
    const params = { progressToken, progress: n + 1, total: messages.length, message };
    await ctx.mcpReq.notify({ method: "notifications/progress", params });
  }
}
