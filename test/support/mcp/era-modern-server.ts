/** A server of the stateless revision (2026-07-28) alone, made with the official SDK, for the bridge to it. */
import {
  createMcpHandler,
  inputRequired,
  inputResponse,
  McpServer,
  type ServerContext,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import { freePort } from "../free-port.ts";
import { atEnd } from "../scope.ts";
import { text } from "./fixture-basic.ts";
import { listen, type Listening } from "./http.ts";

interface Sent {
  readonly method: string;
  readonly headers: Headers;
  readonly body: {
    readonly id?: unknown;
    readonly method?: string;
    readonly params?: Readonly<Record<string, unknown>>;
  };
}

const NAME = {
  type: "object" as const,
  properties: { name: { type: "string" as const } },
  required: ["name"],
};
const TAGGED = z.object({ tag: z.string() });
const ROUNDS = z.object({ tag: z.string(), rounds: z.number() });

export class ModernServer {
  readonly #port: number;
  readonly #handler = createMcpHandler(() => this.#build(), { legacy: "reject" });
  #listening: Listening | undefined;
  /** Every POST, in order. */
  readonly requests: Sent[] = [];
  /** Tags of the calls that took effect, once for each time. */
  readonly done: string[] = [];
  /** Tags of calls whose requests were aborted. */
  readonly aborted: string[] = [];
  /** While it is set, a call with an answer waits for this before it takes effect. */
  gate: Promise<void> = Promise.resolve();
  readonly #watchers = new Set<() => void>();

  private constructor(port: number) {
    this.#port = port;
  }

  static async start(port?: number): Promise<ModernServer> {
    const server = new ModernServer(port ?? (await freePort()));
    server.#listening = await listen((request) => server.#serve(request), server.#port);
    atEnd(() => server.stop());
    return server;
  }

  async stop(): Promise<void> {
    await this.#listening?.close();
    this.#listening = undefined;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/mcp`;
  }

  toolsChanged(): void {
    this.#handler.notify.toolsChanged();
  }

  resourceUpdated(uri: string): void {
    this.#handler.notify.resourceUpdated(uri);
  }

  /** Requests of this method, in order. */
  sent(method: string): Sent[] {
    return this.requests.filter(({ body }) => body.method === method);
  }

  /** Resolves when this holds. It is looked at after each change. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!holds()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher();
  }

  async #serve(request: Request): Promise<Response> {
    const said = request.method === "POST" ? await request.clone().text() : "{}";
    const body = JSON.parse(said) as Sent["body"];
    this.requests.push({ method: request.method, headers: request.headers, body });
    const response = await this.#handler.fetch(request);
    this.#changed();
    return response;
  }

  async #effect(tag: string): Promise<void> {
    this.#changed();
    await this.gate;
    this.done.push(tag);
    this.#changed();
  }

  #build(): McpServer {
    const server = new McpServer(
      { name: "modern-only", version: "3.0.0" },
      {
        capabilities: {
          logging: {},
          completions: {},
          tools: { listChanged: true },
          resources: { subscribe: true, listChanged: true },
        },
        instructions: "Speak slowly",
      },
    );
    this.#registerPlain(server);
    this.#registerAsking(server);
    return server;
  }

  #registerPlain(server: McpServer): void {
    server.registerTool("echo", { inputSchema: TAGGED }, async ({ tag }) => {
      await this.#effect(tag);
      return text(tag);
    });
    server.registerTool("fail", { inputSchema: TAGGED }, ({ tag }) => {
      throw new Error(`${tag} failed`);
    });
    server.registerTool("progress", { inputSchema: TAGGED }, async ({ tag }, ctx) => {
      await report(ctx, 3);
      await this.#effect(tag);
      return text(tag);
    });
    server.registerTool("log", { inputSchema: TAGGED }, async ({ tag }, ctx) => {
      await ctx.mcpReq.log("info", `${tag} info`);
      await ctx.mcpReq.log("error", `${tag} error`);
      return text(tag);
    });
    server.registerTool("wait", { inputSchema: TAGGED }, async ({ tag }, ctx) => {
      const { signal } = ctx.mcpReq;
      await report(ctx, 1);
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      this.aborted.push(tag);
      this.#changed();
      return text(tag);
    });
    const inputSchema = z.object({ region: z.string().meta({ "x-mcp-header": "Region" }) });
    server.registerTool("regional", { inputSchema }, async ({ region }) => {
      await this.#effect(region);
      return text(region);
    });
    const uri = "test://static";
    server.registerResource("static", uri, {}, () => ({ contents: [{ uri, text: "static" }] }));
    const argsSchema = z.object({ name: z.string() });
    server.registerPrompt("greet", { argsSchema }, ({ name }) => ({
      messages: [{ role: "user", content: { type: "text", text: `Hello ${name}` } }],
    }));
  }

  /** Asks by `input_required`. */
  #registerAsking(server: McpServer): void {
    const elicit = (message: string) => inputRequired.elicit({ message, requestedSchema: NAME });
    server.registerTool("ask", { inputSchema: ROUNDS }, async ({ tag, rounds }, ctx) => {
      const state = ctx.mcpReq.requestState<string>();
      const names = state === undefined ? [] : (JSON.parse(state) as string[]);
      const answer = inputResponse(ctx.mcpReq.inputResponses, "name");
      if (answer.kind === "elicit") names.push(JSON.stringify(answer));
      if (names.length >= rounds) {
        await this.#effect(tag);
        return text(names.join(" "));
      }
      const requestState = JSON.stringify(names);
      const asked = { name: elicit(`Name ${names.length + 1}?`) };
      return inputRequired({ inputRequests: asked, requestState });
    });
    server.registerTool("askAll", { inputSchema: TAGGED }, async ({ tag }, ctx) => {
      const responses = ctx.mcpReq.inputResponses;
      if (responses !== undefined) {
        await this.#effect(tag);
        return text(JSON.stringify(responses));
      }
      return inputRequired({
        inputRequests: {
          name: elicit("Name?"),
          capital: inputRequired.createMessage({
            messages: [{ role: "user", content: { type: "text", text: "Capital?" } }],
            maxTokens: 10,
          }),
          roots: inputRequired.listRoots(),
        },
      });
    });
    server.registerTool("busy", { inputSchema: ROUNDS }, async ({ tag, rounds }, ctx) => {
      const round = Number(ctx.mcpReq.requestState<string>() ?? 0);
      if (round < rounds) return inputRequired({ requestState: String(round + 1) });
      await this.#effect(tag);
      return text(`after ${round}`);
    });
  }
}

/** Tells how far the call is, where its client wants to know. */
async function report(ctx: ServerContext, steps: number): Promise<void> {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return;
  for (let progress = 1; progress <= steps; progress++) {
    const params = { progressToken, progress, total: steps };
    await ctx.mcpReq.notify({ method: "notifications/progress", params });
  }
}
