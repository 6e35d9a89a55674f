/** A Worker with MCP servers of its own in the sessions' objects, good and bad ones. */
import { McpServer } from "@modelcontextprotocol/server";
import { McpServer as McpServerV1 } from "@modelcontextprotocol/sdk/server/mcp.js";
import * as z from "zod";
import { createHoldfast, type ServerSession } from "../../../src/entries/worker.ts";

interface Env {
  readonly SESSIONS: DurableObjectNamespace;
  readonly DIRECTORY: DurableObjectNamespace;
  readonly GREETING?: string;
}

const says = (text: unknown) => ({
  content: [
    { type: "text" as const, text: typeof text === "string" ? text : JSON.stringify(text) },
  ],
});
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const NOTHING = z.object({});
const URI = "counter://value";
const TEXT = { type: "object", properties: { text: { type: "string" } } } as const;

function tools(session: ServerSession, { GREETING = "no greeting" }: Env): McpServer {
  const { state } = session;
  const lives = (state.get<number>("lives") ?? 0) + 1;
  state.put("lives", lives);
  const capabilities = { logging: {}, resources: { subscribe: true } };
  const mcp = new McpServer({ name: "own", version: "1" }, { capabilities });
  const followed = new Set<string>();
  mcp.server.setRequestHandler("resources/subscribe", ({ params }) => {
    followed.add(params.uri);
    return {};
  });
  mcp.server.setRequestHandler("resources/unsubscribe", ({ params }) => {
    followed.delete(params.uri);
    return {};
  });
  const count = () => state.get<number>("count") ?? 0;
  const add = async (by: number) => {
    state.put("count", count() + by);
    if (followed.has(URI)) await mcp.server.sendResourceUpdated({ uri: URI });
    return count();
  };
  mcp.registerResource("counter", URI, {}, () => ({
    contents: [{ uri: URI, text: String(count()) }],
  }));
  mcp.registerTool("add", { inputSchema: z.object({ by: z.number() }) }, async ({ by }) =>
    says(await add(by)),
  );
  session.onWake(async (at) => {
    if (at % 2 === 1) throw new Error("an odd time");
    await add(100);
    await session.publish({ event: "woken", data: { late: Date.now() >= at } });
  });
  mcp.registerTool("wake", { inputSchema: z.object({ at: z.number() }) }, ({ at }) => {
    session.wake(at);
    return says("will do");
  });
  mcp.registerTool("slow", { inputSchema: z.object({ ms: z.number() }) }, async ({ ms }, ctx) => {
    const runs = (state.get<number>("runs") ?? 0) + 1;
    state.put("runs", runs);
    for (const step of [1, 2, 3]) {
      await ctx.mcpReq.notify({
        method: "notifications/progress",
        params: { progressToken: ctx.mcpReq._meta?.progressToken ?? "none", progress: step },
      });
      await sleep(ms / 3);
    }
    const { aborted } = ctx.mcpReq.signal;
    // After the end of the session nothing may be stored.
    state.put("aborted", aborted);
    return says(`slow ${runs}`);
  });
  mcp.registerTool("silent", { inputSchema: z.object({ ms: z.number() }) }, async ({ ms }) => {
    await sleep(ms);
    return says("at last");
  });
  mcp.registerTool("ask", { inputSchema: NOTHING }, async (_args, ctx) => {
    const { action, content } = await ctx.mcpReq.elicitInput({
      message: "Sure?",
      requestedSchema: TEXT,
    });
    return says({ action, content });
  });
  mcp.registerTool("sample", { inputSchema: NOTHING }, async (_args, ctx) => {
    const { content } = await ctx.mcpReq.requestSampling({
      messages: [{ role: "user", content: { type: "text", text: "hello" } }],
      maxTokens: 10,
    });
    const { roots } = await mcp.server.listRoots();
    return says({ content, roots });
  });
  mcp.registerTool("whoami", { inputSchema: NOTHING }, (_args, ctx) =>
    says({
      id: session.id,
      sessionId: ctx.sessionId,
      subject: session.subject,
      metadata: Object.keys(session.metadata),
      capabilities: mcp.server.getClientCapabilities(),
      client: mcp.server.getClientVersion(),
      lives,
      GREETING,
      state: [...state.list()],
    }),
  );
  mcp.registerTool("fill", { inputSchema: z.object({ bytes: z.number() }) }, ({ bytes }) => {
    state.put("fill", "x".repeat(bytes));
    return says("filled");
  });
  mcp.registerTool(
    "publish",
    { inputSchema: z.object({ event: z.unknown() }) },
    async ({ event }) => says(await session.publish(event as { data: unknown })),
  );
  mcp.registerTool("fail", { inputSchema: NOTHING }, () => {
    throw new Error("a tool's own words");
  });
  mcp.registerTool("unwritable", { inputSchema: NOTHING }, () => ({
    ...says("x"),
    _meta: { big: 1n },
  }));
  mcp.registerTool("close", { inputSchema: NOTHING }, async () => {
    await mcp.close();
    return says("never");
  });
  return mcp;
}

/** Of the SDK's first version. */
function v1({ state }: ServerSession): McpServerV1 {
  const mcp = new McpServerV1({ name: "own-v1", version: "1" });
  mcp.registerTool("roots", {}, async () => {
    const { roots } = await mcp.server.listRoots();
    state.put("roots", roots);
    return says(roots);
  });
  return mcp;
}

let starts = 0;

const holdfast = createHoldfast<Env>({
  upstreams: {
    default: { server: tools },
    v1: { server: v1 },
    hasty: { server: tools, callSeconds: 1 },
    throws: {
      server: () => {
        throw new Error("no server today");
      },
    },
    // Fails at each second start.
    fickle: {
      server: (session, env) => {
        session.state.put("left", "behind");
        if (starts++ % 2 === 0) throw new Error("not yet");
        return tools(session, env);
      },
    },
  },
});

export class SessionObject extends holdfast.SessionObject {}
export class DirectoryObject extends holdfast.DirectoryObject {}

export default holdfast;
