/**
 * An MCP server that lives with its session: a counter of which each client has its own. It outlives the
 * object's memory, tells who has subscribed to it, asks before it is reset, and can be woken to count later.
 */
import { McpServer } from "@modelcontextprotocol/server";
import { createHoldfast, type ServerSession } from "holdfast/worker";
import * as z from "zod";

interface Env {
  readonly SESSIONS: DurableObjectNamespace;
  readonly DIRECTORY: DurableObjectNamespace;
}

const COUNTER = "counter://value";

/** Called once for each life of the session's object. Values that must outlive that life belong in `state`. */
function counter({ state, publish, wake, onWake }: ServerSession): McpServer {
  const mcp = new McpServer(
    { name: "counter", version: "1.0.0" },
    { capabilities: { resources: { subscribe: true } } },
  );
  const value = () => state.get<number>("value") ?? 0;

  async function set(next: number): Promise<void> {
    state.put("value", next);
    if (subscribed) await mcp.server.sendResourceUpdated({ uri: COUNTER });
    // The session's own stream, for a page or a log: GET /v1/sessions/{id}/events.
    await publish({ event: "value", data: next });
  }

  mcp.registerResource("value", COUNTER, { mimeType: "text/plain" }, () => ({
    contents: [{ uri: COUNTER, text: String(value()) }],
  }));

  // In a later life of the object the client's subscription is repeated.
  let subscribed = false;
  mcp.server.setRequestHandler("resources/subscribe", () => {
    subscribed = true;
    return {};
  });
  mcp.server.setRequestHandler("resources/unsubscribe", () => {
    subscribed = false;
    return {};
  });

  mcp.registerTool(
    "add",
    { description: "Adds to the counter.", inputSchema: z.object({ by: z.number().default(1) }) },
    async ({ by }) => {
      await set(value() + by);
      return says(`The counter is at ${value()}.`);
    },
  );

  mcp.registerTool(
    "reset",
    { description: "Sets the counter to 0, if the user agrees." },
    async (ctx) => {
      const answer = await ctx.mcpReq.elicitInput({
        message: `Set the counter from ${value()} to 0?`,
        requestedSchema: { type: "object", properties: {} },
      });
      if (answer.action !== "accept") return says("The counter stays.");
      await set(0);
      return says("The counter is at 0.");
    },
  );

  onWake(() => set(value() + 1));
  mcp.registerTool(
    "add_later",
    {
      description: "Adds 1 to the counter after some seconds, whether or not the client is there.",
      inputSchema: z.object({ seconds: z.number().min(1).max(3600) }),
    },
    ({ seconds }) => {
      wake(Date.now() + seconds * 1000);
      return says(`The counter goes up in ${seconds} s.`);
    },
  );
  return mcp;
}

function says(text: string) {
  return { content: [{ type: "text" as const, text }] };
}

const holdfast = createHoldfast<Env>({ upstreams: { default: { server: counter } } });

export class SessionObject extends holdfast.SessionObject {}
export class DirectoryObject extends holdfast.DirectoryObject {}

export default holdfast;
