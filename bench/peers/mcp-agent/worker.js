/**
 * The tools of Holdfast's demo server (src/gateway/demo/demo.ts), served as McpAgent
 * serves them: the server runs in the session's own object. JavaScript, as what it
 * imports is installed with the benchmark only, and the type check runs without.
 */
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { McpAgent } from "agents/mcp";
import * as z from "zod";

const LONGEST_RUN_SECONDS = 300;

const none = () => ({ wakes: 0, requests: 0, rowsRead: 0, rowsWritten: 0, alarmsSet: 0 });
let tally = none();
let cursors = [];

/** Counts what the object asks of its storage, as bench/counting/worker.ts does for Holdfast's. */
function counted(ctx) {
  const { storage } = ctx;
  const before = (of, name, count) => {
    const real = of[name].bind(of);
    of[name] = (...args) => (count(), real(...args));
  };
  for (const of of [storage, storage.kv]) {
    before(of, "get", () => tally.rowsRead++);
    before(of, "put", () => tally.rowsWritten++);
  }
  before(storage, "setAlarm", () => tally.alarmsSet++);
  const exec = storage.sql.exec.bind(storage.sql);
  storage.sql.exec = (...args) => {
    const cursor = exec(...args);
    cursors.push(cursor);
    return cursor;
  };
  tally.wakes++;
  return ctx;
}

/** Counts the calls to the objects; the messages on their sockets and their alarms are counted below. */
const counting = (namespace) =>
  new Proxy(namespace, {
    get(of, name) {
      const value = of[name];
      if (typeof value !== "function") return value;
      if (!String(name).startsWith("get")) return value.bind(of);
      return (...args) => stubOf(value.apply(of, args));
    },
  });

const stubOf = (stub) =>
  new Proxy(stub, {
    get(of, name) {
      const value = of[name];
      if (typeof value !== "function" || name === "then") return value;
      return (...args) => (tally.requests++, of[name](...args));
    },
  });

export class DemoAgent extends McpAgent {
  constructor(ctx, env) {
    super(counted(ctx), env);
  }

  webSocketMessage(...args) {
    tally.requests++;
    return super.webSocketMessage(...args);
  }

  alarm(...args) {
    tally.requests++;
    return super.alarm(...args);
  }

  server = new McpServer(
    { name: "holdfast-demo", version: "1.0.0" },
    { capabilities: { logging: {} } },
  );

  async init() {
    this.server.registerTool(
      "echo",
      {
        description: "Answers with the text that it was given, at once.",
        inputSchema: { text: z.string() },
      },
      ({ text }) => says(text),
    );
    this.server.registerTool(
      "count",
      {
        description:
          "Counts to `steps` with a progress notification for each step. Drop the connection in between and come back: nothing is lost.",
        inputSchema: {
          steps: z.number().int().min(1).max(1000).default(10),
          seconds: z.number().min(0).max(LONGEST_RUN_SECONDS).default(5),
        },
      },
      async ({ steps, seconds }, extra) => {
        const progressToken = extra._meta?.progressToken;
        for (let step = 1; step <= steps; step++) {
          await new Promise((resolve) => setTimeout(resolve, (seconds * 1000) / steps));
          if (progressToken === undefined) continue;
          await extra.sendNotification({
            method: "notifications/progress",
            params: { progressToken, progress: step, total: steps },
          });
        }
        return says(`counted to ${steps}`);
      },
    );
    this.server.registerTool(
      "notify",
      {
        description: "Sends `messages` log notifications before it answers.",
        inputSchema: { messages: z.number().int().min(1).max(100).default(3) },
      },
      async ({ messages }, extra) => {
        for (let i = 1; i <= messages; i++) {
          await extra.sendNotification({
            method: "notifications/message",
            params: { level: "info", logger: "demo", data: `message ${i} of ${messages}` },
          });
        }
        return says(`sent ${messages}`);
      },
    );
  }
}

function says(text) {
  return { content: [{ type: "text", text }] };
}

const agent = DemoAgent.serve("/mcp");

export default {
  fetch(request, env, ctx) {
    if (new URL(request.url).pathname !== "/counts") {
      return agent.fetch(request, { ...env, MCP_OBJECT: counting(env.MCP_OBJECT) }, ctx);
    }
    for (const { rowsRead, rowsWritten } of cursors) {
      tally.rowsRead += rowsRead;
      tally.rowsWritten += rowsWritten;
    }
    const answer = Response.json({ sessions: tally, directory: none() });
    [tally, cursors] = [none(), []];
    return answer;
  },
};
