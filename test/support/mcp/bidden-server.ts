/**
 * A server of either era that knows nothing of tasks. Its tool does as the arguments of the call say, and ends on
 * the test's word.
 */
import {
  createMcpHandler,
  inputRequired,
  ProtocolError,
  Server,
  WebStandardStreamableHTTPServerTransport,
  type EventStore,
  type ServerContext,
} from "@modelcontextprotocol/server";

/** The steps of a call, in this order. Each round asks two questions. */
export interface Bidding {
  readonly label: string;
  readonly progress?: number;
  readonly rounds?: number;
  /** Absent: it answers with a result. */
  readonly ends?: "error" | "never";
}

const SCHEMA = { type: "object" as const, properties: { name: { type: "string" as const } } };
const question = (message: string) => ({ message, requestedSchema: SCHEMA });

/** Labels of the calls that have come. */
export const begun = new Set<string>();
/** Labels of the calls that may go on. */
const released = new Set<string>();

/** Lets a call go on: it does nothing before that. */
export function letGo(label: string): void {
  released.add(label);
}

/** It asks again and again: in workerd nothing that belongs to one object may settle a promise of another. */
async function untilLetGo(label: string): Promise<void> {
  while (!released.has(label)) await new Promise((resolve) => setTimeout(resolve, 5));
}

export function biddenServer(asksInCall: boolean): Server {
  const server = new Server(
    { name: "bidden", version: "1" },
    { capabilities: { tools: {} }, requestState: { verify: () => undefined } },
  );
  server.setRequestHandler("tools/call", async ({ params }, ctx) => {
    const { label, progress = 0, rounds = 0, ends } = params.arguments as unknown as Bidding;
    const round = Number(ctx.mcpReq.requestState() ?? 0);
    begun.add(label);
    await untilLetGo(label);
    if (round === 0) await tell(ctx, progress);
    if (asksInCall) for (let n = 0; n < rounds; n++) await ask(ctx);
    else if (round < rounds) {
      const { elicit } = inputRequired;
      const inputRequests = { a: elicit(question("A?")), b: elicit(question("B?")) };
      return inputRequired({ inputRequests, requestState: String(round + 1) });
    }
    if (ends === "error") throw new ProtocolError(-32050, "it broke");
    if (ends === "never") await new Promise(() => undefined);
    return { content: [{ type: "text" as const, text: `did ${label}` }] };
  });
  return server;
}

async function tell(ctx: ServerContext, steps: number): Promise<void> {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return;
  for (let progress = 1; progress <= steps; progress++) {
    const params = { progressToken, progress, total: steps };
    await ctx.mcpReq.notify({ method: "notifications/progress", params });
  }
}

/** On the stream of the call. */
async function ask(ctx: ServerContext): Promise<void> {
  const asked = ["A?", "B?"].map((message) =>
    ctx.mcpReq.send({ method: "elicitation/create", params: question(message) }),
  );
  await Promise.all(asked);
}

/** The server of the stateless revision alone, as a `fetch`. */
export function modernFetch(): (request: Request) => Promise<Response> {
  const handler = createMcpHandler(() => biddenServer(false), { legacy: "reject" });
  return (request) => handler.fetch(request);
}

/** The server of the revisions with sessions alone, as a `fetch`. `events`: its streams have event ids. */
export function sessionFetch(events?: EventStore): (request: Request) => Promise<Response> {
  const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();
  return async (request) => {
    const sid = request.headers.get("mcp-session-id");
    const known = sid === null ? undefined : sessions.get(sid);
    if (known) return known.handleRequest(request);
    const transport: WebStandardStreamableHTTPServerTransport =
      new WebStandardStreamableHTTPServerTransport({
        sessionIdGenerator: () => crypto.randomUUID(),
        onsessioninitialized: (id) => void sessions.set(id, transport),
        ...(events && { eventStore: events }),
      });
    await biddenServer(true).connect(transport);
    return transport.handleRequest(request);
  };
}
