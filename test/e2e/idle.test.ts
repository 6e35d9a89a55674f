/**
 * An idle connection keeps nothing but its bridge. Real time: the platform decides when an object
 * sleeps. The tests do nothing but wait, so they wait beside each other.
 */
import { describe, expect, it } from "vitest";
import { McpSession, messagesOf, post, toolCall } from "../support/mcp/client.ts";
import { fixtureBehindGateway } from "../support/mcp/gateway.ts";
import { beside } from "../support/scope.ts";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

const startsOf = (service: Service) =>
  service.lines.filter(({ event }) => event === "object.start");

/** Keep-alives arrive by the bridge's own timer, so so many of them and nothing between are so many seconds of silence. */
const silence = (seconds: number) => new RegExp(`(: keep-alive\n){${seconds}}$`);

describe.concurrent("an idle connection", () => {
  it(
    "lets the object sleep under a silent stream, and wakes it for the next publish on the same connection",
    { timeout: 90_000 },
    beside(async () => {
      const service = await Service.start({ LOG_LEVEL: "debug", KEEPALIVE_SECONDS: "1" });
      const { id } = await service.make();
      const { body } = await service.fetch(`/v1/sessions/${id}/events`);
      const reader = new SseReader(body!);
      await service.publish(id, { data: "before" });
      await reader.take(1);
      expect(startsOf(service)).toHaveLength(1);

      await reader.until(silence(40));
      expect(startsOf(service)).toHaveLength(1);

      const { json } = await service.publish(id, { data: "after" });
      expect(json.writers).toBe(1);
      expect((await reader.take(1)).map(({ data }) => data)).toEqual(["after"]);
      // The object had been asleep: the publish had to start it anew, and it found its writer.
      expect(startsOf(service)).toHaveLength(2);
      expect(startsOf(service)[1]).toMatchObject({ writers: 1 });
      await reader.leave();
    }),
  );

  it(
    "lets the object sleep while a request waits for events",
    { timeout: 60_000 },
    beside(async () => {
      const service = await Service.start({ LOG_LEVEL: "debug" });
      const { id } = await service.make();
      const { json } = await service.publish(id, { data: "a" });
      const read = async (query: string) => {
        const response = await service.fetch(`/v1/sessions/${id}/events?after=${json.id}${query}`, {
          headers: { accept: "application/json" },
        });
        expect([response.status, await response.json()]).toMatchObject([200, { events: [] }]);
      };
      expect(startsOf(service)).toHaveLength(1);
      await read("&wait=25");
      // The object was asleep when the time was up, so the look at the log that follows started it anew.
      await read("");
      expect(startsOf(service)).toHaveLength(2);
    }),
  );

  it(
    "lets the object sleep while an MCP client listens, and delivers the upstream's next message",
    { timeout: 60_000 },
    beside(async () => {
      const { url, service, fixture } = await fixtureBehindGateway({
        LOG_LEVEL: "debug",
        KEEPALIVE_SECONDS: "1",
      });
      const session = await McpSession.open(url);
      const reader = await session.follow();
      await reader.until(silence(20));
      expect(startsOf(service)).toHaveLength(1);
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
      expect(startsOf(service)).toHaveLength(2);
      await reader.leave();
    }),
  );
});
