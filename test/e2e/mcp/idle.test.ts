/** An idle client of a standalone stream keeps nothing in memory but its bridge. Real time: the platform decides. */
import { expect, it } from "vitest";
import { McpSession, messagesOf, post, toolCall } from "../../support/mcp/client.ts";
import { fixtureBehindGateway } from "../../support/mcp/gateway.ts";

const SILENCE_SECONDS = 20;

it("lets the object sleep while a client listens, and delivers the upstream's next message", async () => {
  const { url, service, fixture } = await fixtureBehindGateway({
    LOG_LEVEL: "debug",
    KEEPALIVE_SECONDS: "1",
  });
  const session = await McpSession.open(url);
  const reader = await session.follow();
  await reader.until(new RegExp(`(: keep-alive\n){${SILENCE_SECONDS}}$`));
  const starts = () => service.lines.filter(({ event }) => event === "object.start").length;
  expect(starts()).toBe(1);
  expect(fixture.openStreams).toBe(1);
  // Straight to the upstream, past the gateway: only the upstream's stream can bring it.
  const sid = fixture.sessions[0]!;
  const announce = toolCall(1, "announce", { data: "wake up" });
  const answer = await post(fixture.url, announce, {
    "mcp-session-id": sid,
    "mcp-protocol-version": "2025-11-25",
  });
  await answer.text();
  const [, message] = await reader.take(2);
  expect(messagesOf([message!])[0]?.params?.data).toBe("wake up");
  expect(starts()).toBe(2);
  await reader.leave();
}, 60_000);
