/** The call of a tool, as the Worker hands it to the object of a task. */
import type { TaskAsk } from "../../../src/gateway/tasks/contract.ts";

const META = "io.modelcontextprotocol/";

interface Asked {
  readonly upstream: string;
  /** Arguments of the tool `do`. */
  readonly args: object;
  /** The client's capabilities beside tasks. */
  readonly capabilities?: object;
  readonly owner: string;
  /** Absent: the server keeps no sessions. */
  readonly principal?: string;
}

export function callAsk({ upstream, args, capabilities, owner, principal }: Asked): TaskAsk {
  const meta = {
    [`${META}protocolVersion`]: "2026-07-28",
    [`${META}clientInfo`]: { name: "t", version: "1" },
    [`${META}clientCapabilities`]: { ...capabilities, extensions: { [`${META}tasks`]: {} } },
  };
  const params = { name: "do", arguments: args, _meta: meta };
  return {
    kind: "call",
    upstream,
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params }),
    id: "1",
    tool: "do",
    headers: {
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "tools/call",
      "mcp-name": "do",
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
    },
    owner,
    ...(principal !== undefined && { principal }),
  };
}
