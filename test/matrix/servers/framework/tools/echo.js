import { MCPTool } from "mcp-framework";
import { z } from "../zod.js";

export default class extends MCPTool {
  name = "echo";
  description = "The tool echo";
  schema = { text: { type: z.string(), description: "what" } };

  async execute({ text }) {
    return text;
  }
}
