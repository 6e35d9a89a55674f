/** A service binding as an upstream: two Workers in one workerd, and no network between them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { build } from "esbuild";
import { expect, it, onTestFinished } from "vitest";
import { McpSession, messagesOf, textOf, toolCall } from "../../support/mcp/client.ts";
import { Service } from "../../support/service.ts";

async function startBound(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-bound-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const outfile = join(dir, "bound.js");
  await build({
    entryPoints: [join(import.meta.dirname, "../../support/mcp/bound-worker.ts")],
    outfile,
    bundle: true,
    format: "esm",
    conditions: ["workerd"],
    logLevel: "warning",
  });
  const upstreams = { default: { binding: "MCP_WORKER" } };
  const service = await Service.start(
    { UPSTREAMS: JSON.stringify(upstreams) },
    { services: { MCP_WORKER: outfile } },
  );
  return `${service.url}/mcp`;
}

it("carries calls, streams and the upstream's session over the binding", async () => {
  const url = await startBound();
  const session = await McpSession.open(url);
  const quick = await session.call(toolCall(1, "echo", { text: "over a binding" }));
  expect([quick.status, textOf(quick.messages[0])]).toEqual([200, "over a binding"]);

  const count = toolCall(2, "count", { steps: 3, seconds: 0.6 });
  const body = {
    ...count,
    params: { ...(count as { params: object }).params, _meta: { progressToken: "p" } },
  };
  const reader = await session.stream(body);
  const taken = await reader.take(2);
  await reader.leave();
  const resumed = await session.follow(taken.at(-1)?.id);
  const messages = messagesOf(await resumed.rest());
  expect(messages.map((message) => message.method ?? textOf(message))).toEqual([
    "notifications/progress",
    "notifications/progress",
    "counted to 3",
  ]);

  // The server forgets its sessions, this one too; the next call gets a new one.
  await session.call(toolCall(3, "echo", { text: "forget all sessions" }));
  expect((await session.call(toolCall(4, "echo", { text: "again" }))).status).toBe(200);
  expect((await session.delete()).status).toBe(204);
});

it.each([
  ["legacy", { mode: "legacy" }, "2025-11-25"],
  ["pinned to 2026-07-28", { mode: { pin: "2026-07-28" } }, "2026-07-28"],
] as const)(
  "serves the official client over the binding, %s",
  async (_name, versionNegotiation, version) => {
    const url = await startBound();
    const client = new Client({ name: "t", version: "1" }, { versionNegotiation });
    await client.connect(new StreamableHTTPClientTransport(new URL(url)));
    onTestFinished(() => client.close());
    expect(client.getNegotiatedProtocolVersion()).toBe(version);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual([
      "echo",
      "count",
      "notify",
    ]);
    const result = await client.callTool({ name: "notify", arguments: { messages: 2 } });
    expect(JSON.stringify(result)).toContain("sent 2");
  },
);
