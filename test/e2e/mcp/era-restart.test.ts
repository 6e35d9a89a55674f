/** The service is killed while a server of the revisions with sessions asks a client of 2026-07-28. */
import { expect, it } from "vitest";
import { EraServer } from "../../support/mcp/era-server.ts";
import { startGateway, withoutEventIds } from "../../support/mcp/gateway.ts";
import { McpSession, messagesOf, toolCall } from "../../support/mcp/client.ts";
import { accepting, ModernClient, saidBy } from "../../support/mcp/modern-client.ts";

it("goes on with the call where the server's stream can be resumed, and executes it once", async () => {
  const server = await EraServer.start("legacy");
  const { url, service } = await startGateway({ default: { url: server.url } });
  const client = new ModernClient(url);
  const first = await client.call("era_elicit_twice", { tag: "a" });
  await service.kill();
  await service.restart();
  const second = await client.call("era_elicit_twice", { tag: "a" }, accepting(first));
  expect(second.message.result?.resultType).toBe("input_required");
  await service.kill();
  await service.restart();
  const done = await client.call("era_elicit_twice", { tag: "a" }, accepting(second));
  expect(saidBy(done)).toBe('[["accept","first"],["accept","second"]]');
  expect([server.effects.of("a"), server.sessions.length]).toEqual([1, 1]);
  // Each time from where the client was asked: what came before is not read again.
  const places = server.requests.flatMap(({ headers }) => headers.get("last-event-id") ?? []);
  expect([places.length, new Set(places).size]).toEqual([2, 2]);
  const again = await client.call("era_elicit_twice", { tag: "a" }, accepting(second));
  expect(again.message.error).toMatchObject({
    code: -32602,
    message: "requestState was used before",
  });
  expect(server.effects.of("a")).toBe(1);
}, 60_000);

it("answers with an error where the server's stream cannot be resumed", async () => {
  const server = await EraServer.start("legacy");
  const { url, service } = await startGateway({
    default: { url: await withoutEventIds(server.url) },
  });
  const client = new ModernClient(url);
  const asked = await client.call("era_elicit", { tag: "b" });
  expect(asked.message.result?.resultType).toBe("input_required");
  await service.kill();
  await service.restart();
  const { message } = await client.call("era_elicit", { tag: "b" }, accepting(asked));
  expect(message.error).toMatchObject({
    code: -32603,
    message: "upstream exchange was interrupted",
  });
  expect(server.effects.of("b")).toBe(0);
}, 60_000);

it("answers with an error where the server has forgotten its sessions", async () => {
  const server = await EraServer.start("legacy");
  const { url, service } = await startGateway({ default: { url: server.url } });
  const client = new ModernClient(url);
  const asked = await client.call("era_elicit", { tag: "c" });
  await service.kill();
  await server.stop();
  const other = await EraServer.start("legacy");
  service.configure({ UPSTREAMS: JSON.stringify({ default: { url: other.url } }) });
  await service.restart();
  const { message } = await client.call("era_elicit", { tag: "c" }, accepting(asked));
  expect(message.error?.code).toBe(-32603);
  expect(other.effects.of("c")).toBe(0);
}, 60_000);

it("goes on with a call of a client that has a session, too", async () => {
  const server = await EraServer.start("legacy");
  const { url, service } = await startGateway({ default: { url: server.url } });
  const session = await McpSession.open(url);
  const reader = await session.stream(toolCall("mine", "era_elicit", { tag: "d" }));
  const frames = await reader.take(2);
  const [ask] = messagesOf(frames);
  await service.kill();
  await service.restart();
  const result = { action: "accept", content: { name: "first" } };
  const following = await session.follow(frames.at(-1)?.id);
  await session.post({ jsonrpc: "2.0", id: ask?.id, result });
  const messages = messagesOf(await following.rest());
  expect(messages).toMatchObject([
    { id: "mine", result: { content: [{ text: '["accept","first"]' }] } },
  ]);
  expect(server.effects.of("d")).toBe(1);
}, 60_000);
