/** The benchmark's upstream: sessions, JSON answers, and no work at all. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const server = createServer((request, response) => {
  let text = "";
  request.setEncoding("utf8");
  request.on("data", (chunk: string) => (text += chunk));
  request.on("end", () => {
    if (request.method !== "POST") return void response.writeHead(405).end();
    const { id, method } = JSON.parse(text) as { id?: number; method: string };
    if (id === undefined) return void response.writeHead(202).end();
    const result =
      method === "initialize"
        ? {
            protocolVersion: "2025-11-25",
            capabilities: { tools: {} },
            serverInfo: { name: "bench", version: "1" },
          }
        : { content: [{ type: "text", text: "ok" }] };
    response.writeHead(200, {
      "content-type": "application/json",
      ...(method === "initialize" && { "mcp-session-id": crypto.randomUUID() }),
    });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result }));
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  process.send?.(`http://127.0.0.1:${port}/mcp`);
});
