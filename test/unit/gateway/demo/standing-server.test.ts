import { McpServer, type JSONRPCRequest } from "@modelcontextprotocol/server";
import { expect, it } from "vitest";
import * as z from "zod";
import { StandingServer } from "../../../../src/gateway/demo/standing-server.ts";
import type { Answer } from "../../../../src/gateway/upstream/upstream.ts";
import { responseOf } from "../../../support/mcp/answer.ts";

/** A server whose slow tool waits until the test lets it go, or it is cancelled. */
function serverWithTools() {
  const gates = new Map<string, () => void>();
  const cancelled: string[] = [];
  const server = new McpServer({ name: "test", version: "1" }, { capabilities: { logging: {} } });
  const inputSchema = z.object({ text: z.string() });
  const says = (text: string) => ({ content: [{ type: "text" as const, text }] });
  server.registerTool("echo", { inputSchema }, ({ text }) => says(text));
  server.registerTool("slow", { inputSchema }, async ({ text }, ctx) => {
    if (text.startsWith("told")) {
      await ctx.mcpReq.notify({
        method: "notifications/message",
        params: { level: "info", data: 1 },
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
  server.registerTool("tell", { inputSchema }, async ({ text }, ctx) => {
    for (const n of [1, 2]) {
      await ctx.mcpReq.notify({
        method: "notifications/message",
        params: { level: "info", data: `${text} ${n}` },
      });
    }
    return says(text);
  });
  return { standing: new StandingServer(server), gates, cancelled };
}

const ask = (id: string | number, name: string, text: string): JSONRPCRequest => ({
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
const jsonOf = (answer: Answer): Promise<unknown> => responseOf(answer).json();
const untilAll = async (ready: () => boolean) => {
  while (!ready()) await new Promise((resolve) => setImmediate(resolve));
};

it("answers a call as JSON, with the client's own id", async () => {
  const { standing } = serverWithTools();
  for (const id of ["one", 7]) {
    const answer = await standing.call(ask(id, "echo", "grüße"), undefined);
    expect(JSON.parse(answer as string)).toMatchObject(result(id, "grüße"));
  }
});

it("keeps calls apart whose clients use the same id", async () => {
  const { standing, gates } = serverWithTools();
  const texts = ["a", "b", "c"];
  const calls = texts.map((text) => standing.call(ask(1, "slow", text), undefined));
  await untilAll(() => gates.size === 3);
  for (const text of texts.toReversed()) gates.get(text)?.();
  for (const [n, call] of calls.entries()) {
    expect(await jsonOf(await call)).toMatchObject(result(1, texts[n]!));
  }
});

it("sends what a call tells on that call's stream alone, before its result", async () => {
  const { standing } = serverWithTools();
  const responses = await Promise.all(
    ["a", "b"].map((text) => standing.call(ask(1, "tell", text), undefined)),
  );
  for (const [n, text] of ["a", "b"].entries()) {
    const response = responseOf(responses[n]!);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const messages = (await response.text())
      .trim()
      .split("\n\n")
      .map((frame) => JSON.parse(frame.replace(/^data: /, "")) as Record<string, unknown>);
    expect(messages).toMatchObject([
      { method: "notifications/message", params: { data: `${text} 1` } },
      { method: "notifications/message", params: { data: `${text} 2` } },
      result(1, text),
    ]);
  }
});

it("cancels a call that is aborted, and no other", async () => {
  const { standing, gates, cancelled } = serverWithTools();
  const abort = new AbortController();
  void standing.call(ask(1, "slow", "given up"), abort.signal);
  const other = standing.call(ask(1, "slow", "kept"), new AbortController().signal);
  await untilAll(() => gates.size === 2);
  abort.abort();
  await untilAll(() => cancelled.length > 0);
  gates.get("kept")?.();
  expect(await jsonOf(await other)).toMatchObject(result(1, "kept"));
  expect(cancelled).toEqual(["given up"]);
});

it("does not begin a call that was given up before", async () => {
  const { standing, gates } = serverWithTools();
  await expect(standing.call(ask(1, "slow", "never"), AbortSignal.abort())).rejects.toThrow();
  const next = await standing.call(ask(1, "echo", "b"), undefined);
  expect(await jsonOf(next)).toMatchObject(result(1, "b"));
  expect(gates.size).toBe(0);
});

it("cancels a call whose stream is left", async () => {
  const { standing, cancelled, gates } = serverWithTools();
  const response = responseOf(await standing.call(ask(1, "slow", "told and left"), undefined));
  await untilAll(() => gates.size === 1);
  await response.body?.cancel();
  await untilAll(() => cancelled.length > 0);
  expect(cancelled).toEqual(["told and left"]);
});

it("answers what cannot be done with the client's own id", async () => {
  const { standing } = serverWithTools();
  const unknown = await standing.call(ask("x", "nothing", "a"), undefined);
  expect(await jsonOf(unknown)).toMatchObject({ id: "x", error: { code: -32602 } });
  const bad = await standing.call({ jsonrpc: "2.0", id: "y", method: "tools/call" }, undefined);
  expect(await jsonOf(bad)).toMatchObject({ id: "y", error: { code: expect.any(Number) } });
});
