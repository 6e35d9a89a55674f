import { MCPTool } from "mcp-framework";
import { count } from "../../tools.mjs";
import { z } from "../zod.js";

export default class extends MCPTool {
  name = "count";
  description = "The tool count";
  schema = {
    steps: { type: z.number(), description: "how many" },
    ms: { type: z.number(), description: "how long" },
  };

  async execute(args) {
    return count(args, (progress, total) => this.reportProgress(progress, total));
  }
}
