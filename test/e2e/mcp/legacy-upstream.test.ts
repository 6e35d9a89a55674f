/** An upstream that speaks only HTTP+SSE: another Holdfast's /sse is one. */
import { expect, it } from "vitest";
import {
  INITIALIZE,
  McpSession,
  post,
  statusOf,
  textOf,
  toolCall,
} from "../../support/mcp/client.ts";
import { fixtureBehindGateway, startGateway, startUpstream } from "../../support/mcp/gateway.ts";

it("serves a 2024 server to 2025 clients, and initializes it anew when its stream is lost", async () => {
  const inner = await fixtureBehindGateway();
  const { url } = await startGateway({
    default: { url: `${inner.service.url}/sse`, transport: "sse" },
  });
  const session = await McpSession.open(url);
  const { messages } = await session.call(toolCall(1, "slow", { ms: 400, steps: 2, tag: "l" }));
  expect(messages.map((m) => m.params?.data ?? textOf(m))).toEqual(["l1", "l2", "slow l"]);
  const both = await Promise.all(
    [2, 3].map((id) => session.call(toolCall(id, "test_simple_text"))),
  );
  expect(both.map((one) => one.messages[0]?.id)).toEqual([2, 3]);

  await inner.service.kill();
  const lost = await session.call(toolCall(4, "test_simple_text"));
  expect(lost.messages).toMatchObject([{ id: 4, error: { code: -32603 } }]);
  expect(lost.status).toBe(statusOf(502, lost));
  await inner.service.restart();
  const again = await session.call(toolCall(5, "test_simple_text"));
  expect([again.status, again.messages[0]?.id]).toEqual([200, 5]);
});

/**
 * A 2024 server that says so much and no more; `open` counts the streams that are held. The
 * gateway has as much patience as the upstream's `settings` say.
 */
async function sayingOnly(said: string, answer?: object, settings: object = {}) {
  const held = { open: 0 };
  let sink: ReadableStreamDefaultController<Uint8Array> | undefined;
  const encoder = new TextEncoder();
  const upstream = await startUpstream(async (request) => {
    if (request.method === "POST") {
      const { id } = (await request.json()) as { id?: unknown };
      const data = JSON.stringify({ jsonrpc: "2.0", id, result: answer });
      if (answer && id !== undefined) sink?.enqueue(encoder.encode(`data: ${data}\n\n`));
      return new Response(null, { status: 202 });
    }
    held.open++;
    request.signal.addEventListener("abort", () => held.open--);
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        sink = controller;
        controller.enqueue(encoder.encode(said));
      },
    });
    return new Response(stream, { headers: { "content-type": "text/event-stream" } });
  });
  const { url } = await startGateway({
    default: { url: upstream.url, transport: "sse", ...settings },
  });
  return { url, held };
}

const ENDPOINT = "event: endpoint\ndata: /messages\n\n";

it.each([
  ["says nowhere to POST", ": hello\n\n"],
  ["answers nothing", ENDPOINT],
])("lets go of a server that %s", async (_what, said) => {
  const { url, held } = await sayingOnly(said, undefined, { timeoutSeconds: 0.3 });
  expect((await post(url, INITIALIZE)).status).toBe(504);
  await expect.poll(() => held.open).toBe(0);
});

it("lets go of the server when the session is deleted", async () => {
  const agreed = { protocolVersion: "2024-11-05", capabilities: {}, serverInfo: { name: "x" } };
  const { url, held } = await sayingOnly(ENDPOINT, agreed);
  const session = await McpSession.open(url);
  expect(held.open).toBe(1);
  expect((await session.delete()).status).toBe(204);
  await expect.poll(() => held.open).toBe(0);
});
