/** The service ends in the middle of calls: nobody is left waiting. */
import { expect, it } from "vitest";
import { McpSession, messagesOf, textOf, toolCall } from "../../support/mcp/client.ts";
import { fixtureBehindGateway, withoutEventIds } from "../../support/mcp/gateway.ts";
import { lastEventIdIn } from "../../support/sse-reader.ts";

it("goes on with a call that a killed process left behind, and loses or repeats no message", async () => {
  const { service, url } = await fixtureBehindGateway();
  const session = await McpSession.open(url);
  const reader = await session.stream(toolCall("mine", "slow", { ms: 1500, steps: 15, tag: "t" }));
  const begun = await reader.take(3);
  await service.kill();
  await expect(reader.rest()).rejects.toThrow();
  await service.restart();

  const resumed = await session.follow(begun.at(-1)?.id);
  const messages = messagesOf([...begun, ...(await resumed.rest())]);
  const data = messages.flatMap(({ params }) => (params ? [params.data] : []));
  expect(data).toEqual(Array.from({ length: 15 }, (_, n) => `t${n + 1}`));
  expect(messages.map(textOf).at(-1)).toBe("slow t");
});

it("ends a call that cannot be resumed with an error on its stream, and the session goes on", async () => {
  const { service, url } = await fixtureBehindGateway({}, withoutEventIds);
  const session = await McpSession.open(url);
  const reader = await session.stream(
    toolCall("mine", "slow", { ms: 30_000, steps: 300, tag: "t" }),
  );
  const seen = (await reader.take(3)).at(-1)?.id;
  await service.kill();
  await expect(reader.rest()).rejects.toThrow();
  await service.restart();

  const resumed = await session.follow(seen);
  const messages = messagesOf(await resumed.rest());
  // Messages that were sent and not seen come first; the last one is the answer to the call.
  expect(messages.at(-1)).toEqual({
    jsonrpc: "2.0",
    id: "mine",
    error: { code: -32603, message: "upstream exchange was interrupted" },
  });
  expect(messages.slice(0, -1).every(({ method }) => method === "notifications/message")).toBe(
    true,
  );
  const { messages: next } = await session.call(toolCall(2, "test_simple_text"));
  expect(textOf(next[0])).toContain("simple text");
  // The client gets the error once: a second resumption at the end brings nothing.
  const again = await session.follow(lastEventIdIn(resumed.text));
  expect(messagesOf(await again.rest())).toEqual([]);
});

it("fails a call that was killed before it had begun to be answered", async () => {
  const { service, url } = await fixtureBehindGateway();
  const session = await McpSession.open(url);
  const failed = expect(session.post(toolCall(1, "slow", { ms: 30_000 }))).rejects.toThrow();
  await service.kill();
  await failed;
  await service.restart();
  expect((await session.call(toolCall(2, "test_simple_text"))).status).toBe(200);
});
