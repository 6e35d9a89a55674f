/**
 * The tests' own upstream: a complete MCP server of every revision, sessionful in the
 * session era and stateless in 2026-07-28, over real HTTP. It can forget its sessions, as a
 * restarted server does.
 */
import {
  createMcpHandler,
  createRequestStateCodec,
  hostHeaderValidationResponse,
  isLegacyRequest,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  McpServer,
  originValidationResponse,
  WebStandardStreamableHTTPServerTransport,
  type McpHttpHandler,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import { freePort } from "../free-port.ts";
import { MemoryEventStore } from "./event-store.ts";
import { registerInputRequired, registerSessionEra } from "./fixture-asking.ts";
import { pause, registerBasics, registerReconnection, text } from "./fixture-basic.ts";
import { listen, type Listening } from "./http.ts";

const KEY = "0123456789abcdef0123456789abcdef";

export class Fixture {
  #listening: Listening | undefined;
  readonly #port: number;
  readonly #sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();
  readonly #modern: McpHttpHandler;
  readonly #codec = createRequestStateCodec({ key: KEY });
  /** Standalone streams that clients hold now. */
  openStreams = 0;
  /** Every request, in order: what reached the upstream and with which headers. */
  readonly requests: { method: string; headers: Headers; body: string }[] = [];

  private constructor(port: number) {
    this.#port = port;
    this.#modern = createMcpHandler(() => this.#build("modern"), {
      legacy: "reject",
      responseMode: "auto",
    });
  }

  static async start(): Promise<Fixture> {
    const fixture = new Fixture(await freePort());
    await fixture.listen();
    return fixture;
  }

  /** Listens, again on the same port where it did before. */
  async listen(): Promise<void> {
    this.#listening = await listen((request) => this.#serve(request), this.#port);
  }

  get url(): string {
    return `http://localhost:${this.#port}/mcp`;
  }

  get sessions(): readonly string[] {
    return [...this.#sessions.keys()];
  }

  /** Initialize requests that came. */
  get initializes(): number {
    return this.requests.filter(({ body }) => body.includes('"method":"initialize"')).length;
  }

  /** Forgets all sessions, as a restart does. */
  forget(): void {
    this.#sessions.clear();
  }

  async stop(): Promise<void> {
    await this.#listening?.close();
    this.#listening = undefined;
  }

  async #serve(request: Request): Promise<Response> {
    const body = request.method === "POST" ? await request.clone().text() : "";
    this.requests.push({ method: request.method, headers: request.headers, body });
    if (request.method === "GET") {
      this.openStreams++;
      request.signal.addEventListener("abort", () => this.openStreams--);
    }
    const refused =
      hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
      originValidationResponse(request, localhostAllowedOrigins());
    if (refused) return refused;
    if (!(await isLegacyRequest(request.clone()))) return this.#modern.fetch(request);
    const sid = request.headers.get("mcp-session-id");
    if (sid !== null) {
      const transport = this.#sessions.get(sid);
      return transport ? transport.handleRequest(request) : notFound();
    }
    return this.#initialize(request);
  }

  async #initialize(request: Request): Promise<Response> {
    const transport: WebStandardStreamableHTTPServerTransport =
      new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: () => `fixture-${crypto.randomUUID()}`,
        eventStore: new MemoryEventStore(),
        retryInterval: 50,
        onsessioninitialized: (sid) => {
          this.#sessions.set(sid, transport);
        },
        onsessionclosed: (sid) => {
          this.#sessions.delete(sid);
        },
      });
    await this.#build("legacy").connect(transport);
    return transport.handleRequest(request);
  }

  #build(era: "legacy" | "modern"): McpServer {
    const server = new McpServer(
      { name: "fixture", version: "1.0.0" },
      {
        capabilities: {
          logging: {},
          completions: {},
          tools: { listChanged: true },
          prompts: { listChanged: true },
          resources: { subscribe: era === "legacy", listChanged: true },
        },
        requestState: { verify: (state, ctx) => this.#codec.verify(state, ctx) },
      },
    );
    registerBasics(server);
    registerInputRequired(server, this.#codec);
    if (era === "legacy") registerSessionEra(server);
    registerReconnection(server);
    this.#registerSlow(server);
    this.#registerTriggers(server);
    if (era === "legacy") {
      server.server.setRequestHandler("resources/subscribe", () => ({}));
      server.server.setRequestHandler("resources/unsubscribe", () => ({}));
    }
    return server;
  }

  #registerSlow(server: McpServer): void {
    server.registerTool(
      "slow",
      {
        description: "Takes a while, and tells of its progress",
        inputSchema: z.object({
          ms: z.number(),
          steps: z.number().default(0),
          tag: z.string().default(""),
        }),
      },
      async ({ ms, steps, tag }, ctx) => {
        for (let step = 1; step <= steps; step++) {
          await pause(ms / (steps + 1));
          const params = { level: "info" as const, data: `${tag}${step}` };
          await ctx.mcpReq.notify({ method: "notifications/message", params });
        }
        await pause(ms / (steps + 1));
        return text(`slow ${tag}`);
      },
    );
    server.registerTool(
      "announce",
      {
        description: "Sends a message outside of any request",
        inputSchema: z.object({ data: z.string() }),
      },
      async ({ data }) => {
        await server.server.notification({
          method: "notifications/message",
          params: { level: "info", data },
        });
        return text("announced");
      },
    );
  }

  #registerTriggers(server: McpServer): void {
    const triggers = {
      test_trigger_tool_change: () => this.#modern.notify.toolsChanged(),
      test_trigger_prompt_change: () => this.#modern.notify.promptsChanged(),
    };
    for (const [name, trigger] of Object.entries(triggers)) {
      server.registerTool(name, { description: name, inputSchema: z.object({}) }, async () => {
        await trigger();
        return text("triggered");
      });
    }
  }
}

function notFound(): Response {
  const error = { code: -32001, message: "Session not found" };
  return Response.json({ jsonrpc: "2.0", error, id: null }, { status: 404 });
}
