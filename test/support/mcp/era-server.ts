/**
 * A server that speaks one era alone, made with the official SDK as its documentation says: a legacy
 * one (2025-11-25) with sessions, and a modern one (2026-07-28) that refuses everything older. Each
 * has a tool for each ability of the bridge (era-tools.ts), and what the conformance scenarios call.
 */
import {
  createMcpHandler,
  createRequestStateCodec,
  hostHeaderValidationResponse,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  McpServer,
  originValidationResponse,
  WebStandardStreamableHTTPServerTransport,
  type McpHttpHandler,
} from "@modelcontextprotocol/server";
import type { Era } from "../../../src/gateway/eras/speaks.ts";
import { freePort } from "../free-port.ts";
import { atEnd } from "../scope.ts";
import { Effects, registerEraTools } from "./era-tools.ts";
import { MemoryEventStore } from "./event-store.ts";
import {
  registerInputRequired,
  registerModernAsking,
  registerSessionEra,
} from "./fixture-asking.ts";
import { registerBasics, registerReconnection, text } from "./fixture-basic.ts";
import { listen, type Listening } from "./http.ts";

const KEY = "0123456789abcdef0123456789abcdef";
/** Prompts are listed in pages of this many. */
const PAGE = 2;

interface Session {
  readonly transport: WebStandardStreamableHTTPServerTransport;
  readonly server: McpServer;
  readonly subscribed: Set<string>;
}

export class EraServer {
  readonly era: Era;
  #listening: Listening | undefined;
  readonly #port: number;
  readonly #sessions = new Map<string, Session>();
  readonly #codec = createRequestStateCodec({ key: KEY });
  readonly #modern: McpHttpHandler;
  readonly effects = new Effects();
  /** The streams that clients listen to now, with the session's id: URIs, and `list` for changes of lists. */
  readonly #listeners = new Map<ReadonlySet<string>, string | null>();
  /** Every request, in order. */
  readonly requests: { method: string; headers: Headers; body: string }[] = [];

  private constructor(era: Era, port: number) {
    this.era = era;
    this.#port = port;
    this.#modern = createMcpHandler(() => this.#build(new Set()), { legacy: "reject" });
  }

  /** Ends with the test, or with all that share it. */
  static async start(era: Era): Promise<EraServer> {
    const server = new EraServer(era, await freePort());
    await server.listen();
    atEnd(() => server.stop());
    return server;
  }

  /** Listens, again on the same port where it did before. */
  async listen(): Promise<void> {
    this.#listening = await listen((request) => this.#serve(request), this.#port);
  }

  async stop(): Promise<void> {
    await this.#listening?.close();
    this.#listening = undefined;
  }

  get url(): string {
    return `http://localhost:${this.#port}/mcp`;
  }

  /** Ids of the sessions that clients have here: none in the modern era. */
  get sessions(): readonly string[] {
    return [...this.#sessions.keys()];
  }

  /** The streams by which clients listen. */
  get listeners(): readonly ReadonlySet<string>[] {
    return [...this.#listeners.keys()];
  }

  /** Resolves when a client listens to this: a URI, or `list`. It listens by none of the streams `besides`. */
  heardBy(what: string, besides: readonly ReadonlySet<string>[] = []): Promise<void> {
    return this.effects.until(() =>
      [...this.#listeners].some(
        ([heard, sid]) =>
          !besides.includes(heard) &&
          (heard.has(what) || this.#sessions.get(sid ?? "")?.subscribed.has(what)),
      ),
    );
  }

  toolsChanged(): void {
    this.#modern.notify.toolsChanged();
    for (const { server } of this.#sessions.values()) server.sendToolListChanged();
  }

  promptsChanged(): void {
    this.#modern.notify.promptsChanged();
    for (const { server } of this.#sessions.values()) server.sendPromptListChanged();
  }

  resourceUpdated(uri: string): void {
    this.#modern.notify.resourceUpdated(uri);
    for (const { server, subscribed } of this.#sessions.values()) {
      if (subscribed.has(uri)) void server.server.sendResourceUpdated({ uri });
    }
  }

  async #serve(request: Request): Promise<Response> {
    const body = request.method === "POST" ? await request.clone().text() : "";
    this.requests.push({ method: request.method, headers: request.headers, body });
    const refused =
      hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
      originValidationResponse(request, localhostAllowedOrigins());
    if (refused) return refused;
    const response = await (this.era === "modern"
      ? this.#modern.fetch(request)
      : this.#serveLegacy(request, body));
    const heard = heardOn(request, body);
    if (heard && response.ok) {
      this.#listeners.set(heard, request.headers.get("mcp-session-id"));
      request.signal.addEventListener("abort", () => this.#listeners.delete(heard));
      this.effects.changed();
    }
    return response;
  }

  async #serveLegacy(request: Request, body: string): Promise<Response> {
    const sid = request.headers.get("mcp-session-id");
    if (sid !== null) {
      const session = this.#sessions.get(sid);
      return session ? session.transport.handleRequest(request) : refusal(404, "Session not found");
    }
    // A server that knows nothing of 2026-07-28 sees a request without a session.
    if (!body.includes('"method":"initialize"'))
      return refusal(400, "No valid session ID provided");
    const subscribed = new Set<string>();
    const server = this.#build(subscribed);
    const transport: WebStandardStreamableHTTPServerTransport =
      new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: () => `era-${crypto.randomUUID()}`,
        eventStore: new MemoryEventStore(),
        retryInterval: 50,
        onsessioninitialized: (id) =>
          void this.#sessions.set(id, { transport, server, subscribed }),
        onsessionclosed: (id) => void this.#sessions.delete(id),
      });
    await server.connect(transport);
    return transport.handleRequest(request);
  }

  #build(subscribed: Set<string>): McpServer {
    const server = new McpServer(
      { name: `${this.era}-only`, version: "1.0.0" },
      {
        capabilities: {
          logging: {},
          completions: {},
          tools: { listChanged: true },
          prompts: { listChanged: true },
          resources: { subscribe: true, listChanged: true },
        },
        instructions: `speaks ${this.era}`,
        requestState: { verify: (state, ctx) => this.#codec.verify(state, ctx) },
      },
    );
    registerBasics(server);
    registerInputRequired(server, this.#codec);
    registerEraTools(server, { era: this.era, effects: this.effects, codec: this.#codec });
    if (this.era === "legacy") {
      registerSessionEra(server);
      registerReconnection(server);
      server.server.setRequestHandler("resources/subscribe", ({ params }) => {
        subscribed.add(params.uri);
        this.effects.changed();
        return {};
      });
      server.server.setRequestHandler("resources/unsubscribe", ({ params }) => {
        subscribed.delete(params.uri);
        return {};
      });
    } else {
      registerModernAsking(server);
    }
    this.#registerTriggers(server);
    server.server.setRequestHandler("prompts/list", ({ params }) => {
      const from = Number(params?.cursor ?? 0);
      const next = from + PAGE < PROMPTS.length ? { nextCursor: String(from + PAGE) } : {};
      return { prompts: PROMPTS.slice(from, from + PAGE), ...next };
    });
    return server;
  }

  #registerTriggers(server: McpServer): void {
    const triggers = {
      test_trigger_tool_change: () => this.toolsChanged(),
      test_trigger_prompt_change: () => this.promptsChanged(),
    };
    for (const [name, trigger] of Object.entries(triggers)) {
      server.registerTool(name, { description: name }, () => {
        trigger();
        return text("triggered");
      });
    }
  }
}

const prompt = (name: string, ...args: string[]) => ({
  name,
  description: name,
  arguments: args.map((one) => ({ name: one, required: true })),
});
/** The SDK's own list has no pages. */
export const PROMPTS = [
  prompt("test_simple_prompt"),
  prompt("test_prompt_with_arguments", "arg1", "arg2"),
  prompt("test_prompt_with_embedded_resource", "resourceUri"),
  prompt("test_prompt_with_image"),
  prompt("test_input_required_result_prompt"),
];

/** The changes that the stream of this request carries, if it is one that lasts. */
function heardOn(request: Request, body: string): ReadonlySet<string> | undefined {
  if (request.method === "GET") return new Set(["list"]);
  if (!body.includes('"subscriptions/listen"')) return undefined;
  const { params } = JSON.parse(body) as {
    params: { notifications: { toolsListChanged?: boolean; resourceSubscriptions?: string[] } };
  };
  const { toolsListChanged, resourceSubscriptions = [] } = params.notifications;
  return new Set([...resourceSubscriptions, ...(toolsListChanged ? ["list"] : [])]);
}

function refusal(status: number, message: string): Response {
  const error = { code: status === 404 ? -32001 : -32000, message };
  return Response.json({ jsonrpc: "2.0", error, id: null }, { status });
}
