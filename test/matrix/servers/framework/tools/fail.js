import { MCPTool } from "mcp-framework";

export default class extends MCPTool {
  name = "fail";
  description = "The tool fail";
  schema = {};

  async execute() {
    throw new Error("it failed");
  }
}
