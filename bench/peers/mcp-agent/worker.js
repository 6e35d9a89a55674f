/**
 * The tools of Holdfast's demo server (src/gateway/demo/demo.ts), served as McpAgent
 * serves them: the server runs in the session's own object. JavaScript, as what it
 * imports is installed with the benchmark only, and the type check runs without.
 */
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { McpAgent } from "agents/mcp";
import * as z from "zod";

const LONGEST_RUN_SECONDS = 300;

export class DemoAgent extends McpAgent {
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

export default DemoAgent.serve("/mcp");
