/** An upstream that speaks only HTTP+SSE: another Holdfast's /sse is one. */
import { expect, it } from "vitest";
import { McpSession, textOf, toolCall } from "../../support/mcp/client.ts";
import { fixtureBehindGateway, startGateway } from "../../support/mcp/gateway.ts";

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
  expect((await session.call(toolCall(4, "test_simple_text"))).status).toBe(502);
  await inner.service.restart();
  const again = await session.call(toolCall(5, "test_simple_text"));
  expect([again.status, again.messages[0]?.id]).toEqual([200, 5]);
});
