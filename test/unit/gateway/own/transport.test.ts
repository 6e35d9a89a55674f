import { McpServer } from "@modelcontextprotocol/server";
import { expect, it } from "vitest";
import * as z from "zod";
import { OwnTransport } from "../../../../src/gateway/own/transport.ts";
import { messagesIn } from "../../../../src/gateway/json-rpc.ts";
import type { Answer } from "../../../../src/gateway/upstream/upstream.ts";
import { responseOf } from "../../../support/mcp/answer.ts";

interface Rpc {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

/** A server whose slow tool waits until the test lets it go, or it is cancelled. */
async function serverWithTools(isShared = false) {
  const gates = new Map<string, () => void>();
  const cancelled: string[] = [];
  const unasked: string[] = [];
  const server = new McpServer({ name: "test", version: "1" }, { capabilities: { logging: {} } });
  const inputSchema = z.object({ text: z.string() });
  const says = (text: string) => ({ content: [{ type: "text" as const, text }] });
  server.registerTool("echo", { inputSchema }, ({ text }) => says(text));
  server.registerTool("slow", { inputSchema }, async ({ text }, ctx) => {
    if (text.startsWith("told")) {
      await ctx.mcpReq.notify({
        method: "notifications/message",
        params: { level: "info", data: text },
      });
    }
    await new Promise<void>((resolve) => {
      gates.set(text, resolve);
      ctx.mcpReq.signal.addEventListener("abort", () => {
        cancelled.push(text);
        resolve();
      });
    });
    return says(text);
  });
  const transport = new OwnTransport("id", (text) => unasked.push(text), isShared);
  await server.connect(transport);
  const post = (message: object, signal?: AbortSignal) => {
    const text = JSON.stringify(message);
    const isBatch = Array.isArray(message);
    return transport.post(messagesIn(text), { isBatch, signal });
  };
  return { server, transport, post, gates, cancelled, unasked };
}

const ask = (id: string | number, name: string, text: string) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name, arguments: { text } },
});
const result = (id: string | number, text: string) => ({
  jsonrpc: "2.0",
  id,
  result: { content: [{ type: "text", text }] },
});
const messagesOf = async (answer: Answer): Promise<Rpc[]> =>
  [...(await responseOf(answer).text()).matchAll(/^data: (.*)$/gm)].map(
    ([, data = ""]) => JSON.parse(data) as Rpc,
  );
const untilAll = async (ready: () => boolean) => {
  while (!ready()) await new Promise((resolve) => setImmediate(resolve));
};

it("answers a call as JSON, with the client's own id as it was written", async () => {
  const { post, transport } = await serverWithTools();
  for (const id of ["one", 7, 1.5]) {
    expect(JSON.parse((await post(ask(id, "echo", "grüße"))) as string)).toMatchObject(
      result(id, "grüße"),
    );
  }
  const large = JSON.stringify(ask(0, "echo", "a")).replace('"id":0', '"id":9007199254740993');
  expect(await transport.post(messagesIn(large))).toContain('"id":9007199254740993,');
  const unknown = (await post(ask("x", "nothing", "a"))) as string;
  expect(JSON.parse(unknown)).toMatchObject({ id: "x", error: { code: -32602 } });
});

it.each<[string, object, number | undefined]>([
  ["a number for parameters", { params: -1.5 }, -32602],
  ["null for parameters", { params: null }, -32602],
  ["an array for parameters", { params: [1] }, -32602],
  ["a text for _meta", { params: { _meta: "x" } }, -32602],
  ["an object for a progress token", { params: { _meta: { progressToken: {} } } }, -32602],
  ["a fraction for a progress token", { params: { _meta: { progressToken: 1.5 } } }, -32602],
  [
    "a task without an id",
    { params: { _meta: { "io.modelcontextprotocol/related-task": {} } } },
    -32602,
  ],
  ["a member of its own", { extra: 1 }, undefined],
  ["a token and a key of its own", { params: { _meta: { progressToken: 7, own: [] } } }, undefined],
])("answers a request with %s", async (_, members, code) => {
  const { post } = await serverWithTools();
  const answer = await post({ jsonrpc: "2.0", id: 1, method: "ping", ...members });
  const { id, error } = JSON.parse(answer as string) as Rpc & { error?: { code: number } };
  expect([id, error?.code]).toEqual([1, code]);
});

it("keeps calls apart whose client uses one id twice", async () => {
  const { post, gates } = await serverWithTools();
  const texts = ["a", "told b", "c"];
  const calls = texts.map((text) => post(ask(1, "slow", text)));
  await untilAll(() => gates.size === 3);
  for (const text of texts.toReversed()) gates.get(text)?.();
  const [a, b, c] = await Promise.all(calls);
  expect(JSON.parse(a as string)).toMatchObject(result(1, "a"));
  expect(await messagesOf(b!)).toMatchObject([
    { method: "notifications/message", params: { data: "told b" } },
    result(1, "told b"),
  ]);
  expect(JSON.parse(c as string)).toMatchObject(result(1, "c"));
});

it("answers a batch whole, or as a stream from its first other message on", async () => {
  const { post, gates } = await serverWithTools();
  const batch = await post([ask(1, "echo", "a"), ask(2, "echo", "b")]);
  expect(JSON.parse(batch as string)).toMatchObject([result(1, "a"), result(2, "b")]);
  const streamed = post([ask(1, "echo", "a"), ask(2, "slow", "told")]);
  await untilAll(() => gates.size === 1);
  gates.get("told")?.();
  expect(await messagesOf(await streamed)).toHaveLength(3);
});

it("cancels a call that is aborted, whose stream is left, or that the client cancels, and no other", async () => {
  const { post, gates, cancelled } = await serverWithTools();
  const abort = new AbortController();
  void post(ask(1, "slow", "aborted"), abort.signal);
  const left = responseOf(await post(ask("1", "slow", "told and left")));
  void post(ask("2", "slow", "cancelled"));
  // The server knows this one by the number 4.
  const kept = post(ask("4", "slow", "kept"));
  await untilAll(() => gates.size === 4);
  abort.abort();
  await left.body?.cancel();
  for (const requestId of ["2", 4]) {
    await post({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId } });
  }
  await untilAll(() => cancelled.length === 3);
  gates.get("kept")?.();
  expect(JSON.parse((await kept) as string)).toMatchObject(result("4", "kept"));
  expect(cancelled.toSorted()).toEqual(["aborted", "cancelled", "told and left"]);
});

it("gives a question to a call under way, and one outside of any call to the client's own stream", async () => {
  const { server, post, gates, unasked } = await serverWithTools();
  const call = post(ask(1, "slow", "asks"));
  await untilAll(() => gates.size === 1);
  const pong = server.server.ping();
  const answer = responseOf(await call);
  gates.get("asks")?.();
  const [question, ...rest] = await messagesOf(answer);
  expect([question?.method, rest]).toMatchObject(["ping", [result(1, "asks")]]);
  expect(unasked).toEqual([]);
  await post({ jsonrpc: "2.0", id: question?.id, result: {} });
  await pong;

  const outside = server.server.ping();
  await untilAll(() => unasked.length === 1);
  const { id } = JSON.parse(unasked[0]!) as Rpc;
  // An answer of another life, by the number alone, is nobody's.
  for (const other of [1, "1", String(id).replace(/^./, (first) => (first === "0" ? "1" : "0"))]) {
    await post({ jsonrpc: "2.0", id: other, error: { code: 1, message: "of another life" } });
  }
  await post({ jsonrpc: "2.0", id, result: {} });
  await outside;
  await server.server.sendLoggingMessage({ level: "info", data: "unasked" });
  expect(unasked).toHaveLength(2);
});

it("gives a question that names no call to none where many clients share the session", async () => {
  const { server, post, gates, unasked } = await serverWithTools(true);
  const call = post(ask(1, "slow", "asks"));
  await untilAll(() => gates.size === 1);
  void server.server.ping().catch(() => undefined);
  await untilAll(() => unasked.length === 1);
  gates.get("asks")?.();
  expect(await responseOf(await call).json()).toMatchObject(result(1, "asks"));
});

it("swallows what is said while an earlier life is repeated, but no question", async () => {
  const { server, transport, gates, unasked } = await serverWithTools();
  const repeating = transport.repeat(messagesIn(JSON.stringify(ask(1, "slow", "told"))));
  await untilAll(() => gates.size === 1);
  void server.server.ping().catch(() => undefined);
  gates.get("told")?.();
  await repeating;
  expect(unasked.map((text) => (JSON.parse(text) as Rpc).method)).toEqual(["ping"]);
  await transport.close();
});

it("answers an answer that cannot be written, and ends its calls when it is closed", async () => {
  const { server, post, gates, transport } = await serverWithTools();
  server.registerTool("odd", {}, () => ({ content: [], _meta: { big: 1n } }));
  const odd = (await post({ ...ask(1, "odd", ""), params: { name: "odd" } })) as string;
  expect(JSON.parse(odd)).toMatchObject({ id: 1, error: { code: -32603 } });
  const call = expect(post(ask(1, "slow", "a"))).rejects.toThrow("closed");
  const streamed = responseOf(await post(ask(2, "slow", "told")));
  await untilAll(() => gates.size === 2);
  await server.close();
  await call;
  expect(await streamed.text()).not.toContain('"id":2');
  expect(transport.isClosed).toBe(true);
});
