/** The official client in its legacy mode uses a server of 2026-07-28 alone. */
import {
  Client,
  SSEClientTransport,
  StreamableHTTPClientTransport,
  type ClientOptions,
} from "@modelcontextprotocol/client";
import { expect, it } from "vitest";
import { McpSession, post, readerOf, wholeAnswer } from "../../support/mcp/client.ts";
import { ModernServer } from "../../support/mcp/era-modern-server.ts";
import { startGateway } from "../../support/mcp/gateway.ts";
import { atEnd, beside, shared } from "../../support/scope.ts";

const ALL: NonNullable<ClientOptions["capabilities"]> = {
  elicitation: { form: {} },
  sampling: {},
  roots: {},
};

async function start() {
  const server = await ModernServer.start();
  const gateway = await startGateway({ default: { url: server.url } });
  return { server, ...gateway };
}

const started = shared(start);

type Asked = { readonly method: string; readonly params: Readonly<Record<string, unknown>> };

async function connect(
  transport: StreamableHTTPClientTransport | SSEClientTransport,
  capabilities = ALL,
) {
  const options = { capabilities, versionNegotiation: { mode: "legacy" as const } };
  const client = new Client({ name: "legacy", version: "1" }, options);
  const asked: Asked[] = [];
  if (capabilities.elicitation) {
    client.setRequestHandler("elicitation/create", ({ method, params }) => {
      asked.push({ method, params: { ...params } });
      return { action: "accept", content: { name: `n${asked.length}` } };
    });
  }
  if (capabilities.sampling) {
    client.setRequestHandler("sampling/createMessage", ({ method, params }) => {
      asked.push({ method, params: { ...params } });
      return { role: "assistant", model: "m", content: { type: "text", text: "Paris" } };
    });
  }
  if (capabilities.roots) {
    client.setRequestHandler("roots/list", () => ({ roots: [{ uri: "file:///r", name: "r" }] }));
  }
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  atEnd(() => client.close());
  return { client, asked };
}

const streamable = (url: string) => new StreamableHTTPClientTransport(new URL(url));
const call = (name: string, args: Record<string, unknown>) => ({ name, arguments: args });
const said = (result: unknown): string =>
  (result as { content: { text: string }[] }).content[0]?.text ?? "";

it.concurrent(
  "connects, lists, reads, gets, completes, pings and fails as with a server of its own era",
  beside(async () => {
    const { url } = await started();
    const { client } = await connect(streamable(url));
    expect(client.getServerVersion()).toMatchObject({ name: "modern-only", version: "3.0.0" });
    expect(client.getInstructions()).toBe("Speak slowly");
    expect(client.getServerCapabilities()).toMatchObject({ resources: { subscribe: true } });
    const { tools, ...rest } = await client.listTools();
    expect(tools.map(({ name }) => name)).toContain("ask");
    expect(rest).not.toHaveProperty("resultType");
    expect(rest).not.toHaveProperty("_meta");
    const { contents } = await client.readResource({ uri: "test://static" });
    expect(contents).toMatchObject([{ text: "static" }]);
    const prompt = await client.getPrompt({ name: "greet", arguments: { name: "Ada" } });
    expect(prompt.messages[0]?.content).toMatchObject({ text: "Hello Ada" });
    await client.ping();
    const failed = await client.callTool(call("fail", { tag: "t" }));
    expect([failed.isError, said(failed)]).toEqual([true, "t failed"]);
    await expect(client.getPrompt({ name: "none" })).rejects.toThrow(/none/);
    expect(said(await client.callTool(call("echo", { tag: "né\n" })))).toBe("né\n");
  }),
);

it.concurrent(
  "carries progress, and the answers to elicitation, sampling and roots over many rounds",
  beside(async () => {
    const { url, server } = await started();
    const { client, asked } = await connect(streamable(url));
    const seen: number[] = [];
    await client.callTool(call("progress", { tag: "p" }), {
      onprogress: ({ progress }) => seen.push(progress),
    });
    expect(seen).toEqual([1, 2, 3]);
    const three = await client.callTool(call("ask", { tag: "three", rounds: 3 }));
    expect(said(three).match(/"name":"n\d"/g)).toEqual([
      '"name":"n1"',
      '"name":"n2"',
      '"name":"n3"',
    ]);
    expect(asked.map(({ params }) => params["message"])).toEqual(["Name 1?", "Name 2?", "Name 3?"]);
    const all = JSON.parse(said(await client.callTool(call("askAll", { tag: "all" })))) as unknown;
    expect(all).toMatchObject({
      name: { action: "accept", content: { name: "n4" } },
      capital: { content: { text: "Paris" } },
      roots: { roots: [{ uri: "file:///r" }] },
    });
    expect(said(await client.callTool(call("busy", { tag: "busy", rounds: 2 })))).toBe("after 2");
    expect(server.done.filter((tag) => ["three", "all", "busy"].includes(tag))).toHaveLength(3);
    // Each round is a request of its own.
    const rounds = server.sent("tools/call").filter(({ body }) => tagOf(body.params) === "three");
    expect(new Set(rounds.map(({ body }) => body.id)).size).toBe(4);
  }),
);

function tagOf(params: Readonly<Record<string, unknown>> | undefined): unknown {
  return (params?.["arguments"] as { tag?: unknown } | undefined)?.tag;
}

it.concurrent(
  "describes the client in each request, with its log level",
  beside(async () => {
    const { url, server } = await started();
    const { client } = await connect(streamable(url));
    const logged: unknown[] = [];
    client.setNotificationHandler("notifications/message", ({ params }) => {
      logged.push(params.data);
    });
    await client.callTool(call("log", { tag: "quiet" }));
    await client.setLoggingLevel("error");
    await client.callTool(call("log", { tag: "loud" }));
    expect(logged).toEqual(["loud error"]);
    const { headers, body } = server
      .sent("tools/call")
      .find((one) => tagOf(one.body.params) === "loud")!;
    expect(headers.get("mcp-protocol-version")).toBe("2026-07-28");
    expect(headers.get("mcp-method")).toBe("tools/call");
    expect(headers.get("mcp-name")).toBe("log");
    expect(headers.has("mcp-session-id")).toBe(false);
    expect(body.params?.["_meta"]).toMatchObject({
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientInfo": { name: "legacy", version: "1" },
      "io.modelcontextprotocol/clientCapabilities": { elicitation: { form: {} } },
      "io.modelcontextprotocol/logLevel": "error",
    });
  }),
);

it.concurrent(
  "repeats parameters in headers, which it learns from the list of tools",
  beside(async () => {
    const { url, server } = await started();
    const { client } = await connect(streamable(url));
    expect(said(await client.callTool(call("regional", { region: "eu-ü" })))).toBe("eu-ü");
    expect(server.done.filter((tag) => tag === "eu-ü")).toHaveLength(1);
    const refused = server.sent("tools/call").length;
    await client.callTool(call("regional", { region: "eu-2" }));
    // Known now: nothing is refused first.
    expect(
      server.sent("tools/call").filter(({ headers }) => headers.get("mcp-param-region") === "eu-2"),
    ).toHaveLength(1);
    expect(refused).toBeGreaterThan(0);
  }),
);

it.concurrent(
  "aborts the request of a call that the client cancels",
  beside(async () => {
    const { url, server } = await started();
    const { client } = await connect(streamable(url));
    const abort = new AbortController();
    const failed = expect(
      client.callTool(call("wait", { tag: "gone" }), {
        signal: abort.signal,
        onprogress: () => abort.abort(),
      }),
    ).rejects.toThrow();
    await failed;
    await server.until(() => server.aborted.includes("gone"));
  }),
);

it.concurrent(
  "tells of changes of lists, and of resources that the client has subscribed to",
  beside(async () => {
    const { url, server } = await start();
    const { client } = await connect(streamable(url));
    const heard: unknown[] = [];
    const news = Promise.withResolvers<void>();
    client.setNotificationHandler("notifications/tools/list_changed", () => {
      heard.push("tools");
    });
    client.setNotificationHandler("notifications/resources/updated", ({ params }) => {
      heard.push(params);
      news.resolve();
    });
    await server.until(() => server.sent("subscriptions/listen").length > 0);
    await client.subscribeResource({ uri: "test://static" });
    server.toolsChanged();
    server.resourceUpdated("test://other");
    server.resourceUpdated("test://static");
    await news.promise;
    expect(heard).toEqual(["tools", { uri: "test://static" }]);
    await client.unsubscribeResource({ uri: "test://static" });
    const filters = server
      .sent("subscriptions/listen")
      .map(({ body }) => body.params?.["notifications"] as Record<string, unknown> | undefined);
    expect(filters.map((filter) => filter?.["resourceSubscriptions"])).toEqual([
      undefined,
      ["test://static"],
      undefined,
    ]);
  }),
);

it.concurrent(
  "answers a call that asks for what the client cannot do, and does not ask",
  beside(async () => {
    const { url, server } = await started();
    const { client, asked } = await connect(streamable(url), {});
    await expect(client.callTool(call("ask", { tag: "never", rounds: 1 }))).rejects.toThrow(
      expect.objectContaining({ code: -32021 }),
    );
    expect(asked).toEqual([]);
    expect(server.done).not.toContain("never");
  }),
);

it.concurrent(
  "ends a call with the client's own error to what it was asked",
  beside(async () => {
    const { url, server } = await started();
    const { client } = await connect(streamable(url));
    client.setRequestHandler("elicitation/create", () => {
      throw new Error("nobody is here");
    });
    await expect(client.callTool(call("ask", { tag: "nobody", rounds: 1 }))).rejects.toThrow(
      /nobody is here/,
    );
    client.setRequestHandler("elicitation/create", () => ({ action: "decline" }));
    const declined = await client.callTool(call("ask", { tag: "declined", rounds: 1 }));
    expect(said(declined)).toContain('"action":"decline"');
    expect(server.done).not.toContain("nobody");
  }),
);

it.concurrent(
  "serves clients of HTTP+SSE",
  beside(async () => {
    const { service } = await started();
    const { client, asked } = await connect(new SSEClientTransport(new URL(`${service.url}/sse`)));
    expect((await client.listTools()).tools.length).toBeGreaterThan(5);
    expect(said(await client.callTool(call("echo", { tag: "sse" })))).toBe("sse");
    expect(said(await client.callTool(call("ask", { tag: "sse-ask", rounds: 2 })))).toContain("n2");
    expect(asked).toHaveLength(2);
  }),
);

it.concurrent(
  "takes a batch apart, whose calls may ask",
  beside(async () => {
    const { url, server } = await started();
    const params = {
      protocolVersion: "2025-03-26",
      capabilities: { elicitation: {} },
      clientInfo: { name: "batch", version: "1" },
    };
    const made = await post(url, { jsonrpc: "2.0", id: 0, method: "initialize", params });
    const sid = made.headers.get("mcp-session-id") ?? "";
    expect(await made.json()).toMatchObject({ result: { protocolVersion: "2025-03-26" } });
    const ask = (id: number, tag: string, rounds = 1) => ({
      jsonrpc: "2.0",
      id,
      method: "tools/call",
      params: call(rounds > 0 ? "ask" : "echo", { tag, rounds }),
    });
    const plain = await wholeAnswer(
      await post(url, [ask(1, "b1", 0), { jsonrpc: "2.0", id: 2, method: "ping" }], {
        "mcp-session-id": sid,
      }),
    );
    expect(plain.messages.map(({ id }) => id).toSorted()).toEqual([1, 2]);
    const response = await post(url, [ask(3, "b3"), ask(4, "b4", 0), ask(5, "b5")], {
      "mcp-session-id": sid,
    });
    const reader = readerOf(response);
    await reader.until(/"id":4\b/);
    await reader.until(/holdfast-ask[\s\S]*holdfast-ask/);
    const ids = [...reader.text.matchAll(/"id":"(holdfast-ask-[^"]+)"/g)].map(([, id]) => id);
    for (const id of ids.toReversed()) {
      const result = { action: "accept", content: { name: id } };
      const taken = await post(url, { jsonrpc: "2.0", id, result }, { "mcp-session-id": sid });
      expect(taken.status).toBe(202);
    }
    await reader.rest();
    for (const id of [3, 5]) expect(reader.text).toMatch(new RegExp(`"id":${id}\\b`));
    expect(server.done.filter((tag) => ["b1", "b3", "b4", "b5"].includes(tag))).toHaveLength(4);
  }),
);

it.concurrent(
  "refuses what a server that keeps sessions would refuse",
  beside(async () => {
    const { url } = await started();
    const session = await McpSession.open(url);
    const level = { jsonrpc: "2.0", id: 1, method: "logging/setLevel", params: { level: "loud" } };
    expect((await session.call(level)).messages).toMatchObject([
      { id: 1, error: { code: -32602 } },
    ]);
    const unknown = { jsonrpc: "2.0", id: 2, method: "no/such" };
    expect((await session.call(unknown)).messages).toMatchObject([
      { id: 2, error: { code: -32601 } },
    ]);
    expect((await session.delete()).status).toBe(204);
    expect((await session.post(unknown)).status).toBe(404);
  }),
);
