/** HTTP+SSE of 2024-11-05, on the same sessions. */
import { expect, it } from "vitest";
import { INITIALIZE, messagesOf, textOf, toolCall } from "../../support/mcp/client.ts";
import { fixtureBehindGateway } from "../../support/mcp/gateway.ts";
import { openLegacy } from "../../support/mcp/legacy-client.ts";

it("answers on the stream what is posted, and shows a session of type sse", async () => {
  const { service } = await fixtureBehindGateway();
  const { id, reader, post } = await openLegacy(service.url);
  const { json } = await service.send<{ type: string }>("GET", `/v1/sessions/${id}`);
  expect(json.type).toBe("sse");
  expect((await post(INITIALIZE)).status).toBe(202);
  expect(messagesOf(await reader.take(1))).toMatchObject([{ id: "init", result: {} }]);
  expect((await post({ jsonrpc: "2.0", method: "notifications/initialized" })).status).toBe(202);
  await post(toolCall(1, "slow", { ms: 100, steps: 1, tag: "s" }));
  const messages = messagesOf(await reader.take(2));
  expect(messages.map((m) => m.params?.data ?? textOf(m))).toEqual(["s1", "slow s"]);
  await reader.leave();
});

it("works for a client that came back after a drop and does not initialize again", async () => {
  const { service, fixture } = await fixtureBehindGateway();
  const { reader, post } = await openLegacy(service.url);
  await Promise.all([1, 2, 3].map((id) => post(toolCall(id, "test_simple_text"))));
  const messages = messagesOf(await reader.take(3));
  expect(messages.map(({ id }) => id).toSorted()).toEqual([1, 2, 3]);
  expect(fixture.initializes).toBe(1);
  await reader.leave();
});

it("takes a batch from a client that agreed on no version that has none, whatever the gateway agreed on", async () => {
  const { service } = await fixtureBehindGateway();
  const { id, reader, post } = await openLegacy(service.url);
  await post(toolCall(1, "test_simple_text"));
  expect(messagesOf(await reader.take(1))).toMatchObject([{ id: 1, result: {} }]);
  const { json } = await service.send<{ metadata: Record<string, string> }>(
    "GET",
    `/v1/sessions/${id}`,
  );
  expect(json.metadata["protocol_version"]).toBe("2025-11-25");
  const batch = [2, 3].map((id) => toolCall(id, "test_simple_text"));
  expect((await post(batch)).status).toBe(202);
  const answers = messagesOf(await reader.take(2));
  expect(answers.map((answer) => [answer.id, textOf(answer)]).toSorted()).toEqual([
    [2, expect.any(String)],
    [3, expect.any(String)],
  ]);
  await post(INITIALIZE);
  await reader.take(1);
  const refused = await post(batch);
  expect([refused.status, await refused.text()]).toEqual([
    400,
    expect.stringContaining("2025-11-25 has no batches"),
  ]);
  await reader.leave();
});

it("ends the upstream session that it had when a client initializes again", async () => {
  const { service, fixture } = await fixtureBehindGateway();
  const { reader, post } = await openLegacy(service.url);
  await post(INITIALIZE);
  await reader.take(1);
  const [first] = fixture.sessions;
  await post({ ...INITIALIZE, id: "again" });
  expect(messagesOf(await reader.take(1))).toMatchObject([{ id: "again", result: {} }]);
  await expect.poll(() => fixture.sessions).toHaveLength(1);
  expect(fixture.sessions).not.toContain(first);
  await reader.leave();
});

it("says so where the session has no room for the upstream's, and leaves none behind", async () => {
  const { service, fixture } = await fixtureBehindGateway();
  const { id, reader, post } = await openLegacy(service.url);
  const metadata = Object.fromEntries(Array.from({ length: 255 }, (_, n) => [`key${n}`, "full"]));
  expect((await service.send("PATCH", `/v1/sessions/${id}`, { metadata })).status).toBe(200);
  await post(toolCall(1, "test_simple_text"));
  expect(messagesOf(await reader.take(1))).toMatchObject([{ id: 1, error: { code: -32603 } }]);
  expect(fixture.initializes).toBe(1);
  await expect.poll(() => fixture.sessions).toEqual([]);
  await reader.leave();
});

it("refuses what it must", async () => {
  const { service } = await fixtureBehindGateway({ BODY_MAX_BYTES: "1000" });
  const { id, reader } = await openLegacy(service.url);
  const send = async (query: string, body: string) => {
    const response = await service.fetch(`/messages${query}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    return [response.status, await response.text()];
  };
  const ping = JSON.stringify({ jsonrpc: "2.0", id: 9, method: "ping" });
  expect((await send("", ping))[0]).toBe(400);
  expect(await send(`?session_id=${crypto.randomUUID()}`, ping)).toEqual([
    404,
    '{"error":{"code":-32001,"message":"Session not found"},"id":9,"jsonrpc":"2.0"}',
  ]);
  expect((await send(`?session_id=${id}`, "{"))[0]).toBe(400);
  expect((await send(`?session_id=${id}`, `"${"x".repeat(2000)}"`))[0]).toBe(413);
  await reader.leave();
});
