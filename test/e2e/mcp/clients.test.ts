/** The official clients, through the gateway, on whole and on failing connections. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  Client as Client2,
  StreamableHTTPClientTransport as Http2,
} from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  LoggingMessageNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { describe, expect, it } from "vitest";
import { PROJECT } from "../../../scripts/bundle.ts";
import { fixtureBehindGateway } from "../../support/mcp/gateway.ts";
import { freshFetch } from "../../support/mcp/fresh-fetch.ts";
import { Relay } from "../../support/relay.ts";
import { atEnd, beside } from "../../support/scope.ts";
import { Service } from "../../support/service.ts";

const INFO = { name: "test", version: "1" };

async function connectV1(transport: StreamableHTTPClientTransport | SSEClientTransport) {
  const client = new Client(INFO, { capabilities: { sampling: {}, elicitation: {} } });
  const logged: unknown[] = [];
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
    logged.push(params.data);
  });
  // The SDK's own transports miss its Transport type by an optional property (exactOptionalPropertyTypes).
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  atEnd(() => client.close());
  return { client, logged };
}

const FAST = {
  reconnectionOptions: {
    initialReconnectionDelay: 20,
    maxReconnectionDelay: 100,
    reconnectionDelayGrowFactor: 1,
    maxRetries: 50,
  },
};

const slow = (tag: string, ms = 500) => ({ name: "slow", arguments: { ms, steps: 3, tag } });

it("v1 over Streamable HTTP: calls, progress, sampling and elicitation", async () => {
  const { url } = await fixtureBehindGateway();
  const { client, logged } = await connectV1(new StreamableHTTPClientTransport(new URL(url)));
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    role: "assistant",
    model: "m",
    content: { type: "text", text: "sampled" },
  }));
  client.setRequestHandler(ElicitRequestSchema, () => ({
    action: "accept",
    content: { username: "u", email: "e@example.com" },
  }));
  expect((await client.listTools()).tools.length).toBeGreaterThan(10);
  expect(JSON.stringify(await client.callTool(slow("v1-")))).toContain("slow v1-");
  expect(logged).toEqual(["v1-1", "v1-2", "v1-3"]);
  const sampled = await client.callTool({ name: "test_sampling", arguments: { prompt: "p" } });
  expect(JSON.stringify(sampled)).toContain("sampled");
  const elicited = await client.callTool({ name: "test_elicitation", arguments: { message: "m" } });
  expect(JSON.stringify(elicited)).toContain("accept");
  const progress: number[] = [];
  await client.callTool({ name: "test_tool_with_progress", arguments: {} }, undefined, {
    onprogress: (one) => progress.push(one.progress),
  });
  expect(progress).toEqual([0, 50, 100]);
});

it("v1 over legacy HTTP+SSE, to a server that knows only Streamable HTTP", async () => {
  const { service } = await fixtureBehindGateway();
  const { client, logged } = await connectV1(new SSEClientTransport(new URL(`${service.url}/sse`)));
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    role: "assistant",
    model: "m",
    content: { type: "text", text: "sampled" },
  }));
  expect(JSON.stringify(await client.callTool(slow("sse-")))).toContain("slow sse-");
  expect(logged).toEqual(["sse-1", "sse-2", "sse-3"]);
  const sampled = await client.callTool({ name: "test_sampling", arguments: { prompt: "p" } });
  expect(JSON.stringify(sampled)).toContain("sampled");
});

it.each([
  ["legacy", { mode: "legacy" }, "2025-11-25"],
  ["auto", { mode: "auto" }, "2026-07-28"],
  ["pinned to 2026-07-28", { mode: { pin: "2026-07-28" } }, "2026-07-28"],
] as const)("v2, %s", async (_name, versionNegotiation, version) => {
  const { url, fixture } = await fixtureBehindGateway();
  const client = new Client2(INFO, { versionNegotiation });
  await client.connect(new Http2(new URL(url)));
  atEnd(() => client.close());
  expect(client.getNegotiatedProtocolVersion()).toBe(version);
  expect((await client.listTools()).tools.length).toBeGreaterThan(10);
  expect(JSON.stringify(await client.callTool(slow("v2-")))).toContain("slow v2-");
  // The stateless revision makes no session, here or there.
  expect(fixture.sessions).toHaveLength(version === "2025-11-25" ? 1 : 0);
});

it("a client whose session has ended under it gets an error, starts anew and goes on", async () => {
  const { url, service, fixture } = await fixtureBehindGateway();
  const transport = new StreamableHTTPClientTransport(new URL(url), FAST);
  const { client } = await connectV1(transport);
  const { status } = await service.send("DELETE", `/v1/sessions/${transport.sessionId}`);
  expect(status).toBe(204);
  await expect.poll(() => fixture.sessions).toEqual([]);
  await expect(client.callTool(slow("late-", 10))).rejects.toThrow("Session not found");
  await client.close();
  const { client: next } = await connectV1(new StreamableHTTPClientTransport(new URL(url), FAST));
  expect(JSON.stringify(await next.callTool(slow("again-", 10)))).toContain("slow again-");
});

// These wait: for a client that comes back, and for programs to start.
describe.concurrent("beside each other", () => {
  it(
    "a relay that cuts the answer anywhere after its first id: each message arrives once",
    beside(async () => {
      const { url, service } = await fixtureBehindGateway();
      const relay = await Relay.to(service.port);
      let next = Infinity;
      let cut = 0;
      const transport = new StreamableHTTPClientTransport(
        new URL(url.replace(service.url, relay.url)),
        {
          ...FAST,
          fetch: async (target, init) => {
            const isCall = typeof init?.body === "string" && init.body.includes("tools/call");
            relay.cutAfter = isCall ? next : Infinity;
            if (isCall) cut++;
            return freshFetch(target, init).finally(() => {
              relay.cutAfter = Infinity;
            });
          },
        },
      );
      const { client, logged } = await connectV1(transport);
      // The head and the priming event take some 400 bytes, and each message some 170: in the
      // first message, between messages, in the last one, after it.
      for (next = 440; next < 1210; next += 85) {
        const tag = `cut${next}-`;
        const result = await client.callTool(slow(tag, 300));
        expect(JSON.stringify(result)).toContain(`slow ${tag}`);
        const mine = logged.filter((data) => String(data).startsWith(tag));
        expect(mine).toEqual([`${tag}1`, `${tag}2`, `${tag}3`]);
      }
      expect(cut).toBe(10);
    }),
    60_000,
  );

  it(
    "the client of docs/mcp.md, to the letter, is served by an unconfigured service",
    beside(async () => {
      const service = await Service.start();
      const page = await readFile(join(PROJECT, "docs", "mcp.md"), "utf8");
      const [, program = ""] = /```js\n(import \{ Client[^]*?)```/.exec(page) ?? [];
      expect(program.trim().split("\n").length).toBeLessThanOrEqual(10);
      // Inside the project, where the program finds the SDK as in one that installed it.
      const dir = await mkdtemp(join(PROJECT, ".holdfast", "page-"));
      atEnd(() => rm(dir, { recursive: true, force: true }));
      const file = join(dir, "client.js");
      await writeFile(file, program.replace("http://localhost:8787", service.url));
      const { stdout } = await promisify(execFile)(process.execPath, [file]);
      expect(stdout.split("\n").slice(0, 5)).toEqual([1, 2, 3, 4, 5].map((n) => `${n} of 5`));
      expect(stdout).toContain("counted to 5");
    }),
    60_000,
  );

  it(
    "the Inspector's command line, against the demo server of an unconfigured service",
    beside(async () => {
      const service = await Service.start();
      const inspector = join(PROJECT, "node_modules", ".bin", "mcp-inspector");
      const run = async (...args: string[]) => {
        const { stdout } = await promisify(execFile)(inspector, [
          "--cli",
          `${service.url}/mcp`,
          "--transport",
          "http",
          ...args,
        ]);
        return stdout;
      };
      expect(await run("--method", "tools/list")).toContain('"echo"');
      const args = ["--method", "tools/call", "--tool-name", "echo", "--tool-arg", "text=hello"];
      expect(await run(...args)).toContain("hello");
    }),
    60_000,
  );
});
