/** Tests which callers may use a session, and how it ends. */
import { expect, it } from "vitest";
import {
  INITIALIZE,
  McpSession,
  messagesOf,
  post,
  textOf,
  toolCall,
} from "../../support/mcp/client.ts";
import { fixtureBehindGateway, startFixture, startGateway } from "../../support/mcp/gateway.ts";
import { openLegacy } from "../../support/mcp/legacy-client.ts";

const NOT_FOUND = { error: { code: -32001, message: "Session not found" }, jsonrpc: "2.0" };

it("gives out an id of its own making, and never the upstream's", async () => {
  const { url, fixture } = await fixtureBehindGateway();
  const chosen = crypto.randomUUID();
  const response = await post(url, INITIALIZE, { "mcp-session-id": chosen });
  const id = response.headers.get("mcp-session-id");
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(id).not.toBe(chosen);
  expect(fixture.sessions).not.toContain(id);
  expect(fixture.requests[0]?.headers.has("mcp-session-id")).toBe(false);
  expect([...response.headers.values()].join()).not.toContain("fixture-");
});

it("shows the session in /v1, where an operator can end it, and with it the upstream's", async () => {
  const { url, service, fixture } = await fixtureBehindGateway();
  const session = await McpSession.open(url);
  const { json } = await service.send<{ type: string; metadata: Record<string, string> }>(
    "GET",
    `/v1/sessions/${session.id}`,
  );
  expect(json).toMatchObject({
    type: "mcp",
    metadata: {
      backend_url: fixture.url,
      backend_sid: fixture.sessions[0],
      init_body: JSON.stringify(INITIALIZE),
      upstream: "default",
      protocol_version: "2025-11-25",
      client_info: JSON.stringify(INITIALIZE.params.clientInfo),
    },
  });
  const reader = await session.follow();
  await service.send("DELETE", `/v1/sessions/${session.id}`);
  expect(messagesOf(await reader.rest())).toEqual([]);
  await expect.poll(() => fixture.sessions).toEqual([]);
  expect(await (await session.post(toolCall(3, "x"))).json()).toEqual({ ...NOT_FOUND, id: 3 });
});

it("DELETE ends the session at once: the next POST finds nothing, and calls under way get an error", async () => {
  const { url, fixture } = await fixtureBehindGateway();
  const session = await McpSession.open(url);
  const reader = await session.stream(toolCall(1, "slow", { ms: 30_000 }));
  await reader.take(1);
  expect((await session.delete()).status).toBe(204);
  const after = await session.post(toolCall(0, "test_simple_text"));
  expect([after.status, await after.json()]).toEqual([404, { ...NOT_FOUND, id: 0 }]);
  expect(messagesOf(await reader.rest())).toMatchObject([{ id: 1, error: { code: -32001 } }]);
  expect((await session.delete()).status).toBe(404);
  await expect.poll(() => fixture.sessions).toEqual([]);
});

it("expiry ends an idle session and its upstream's; a call in flight keeps it alive", async () => {
  const { url, fixture } = await fixtureBehindGateway({ SESSION_TTL_SECONDS: "3" });
  const session = await McpSession.open(url);
  const { messages } = await session.call(toolCall(1, "slow", { ms: 4000 }));
  expect(messages.map(textOf)).toEqual(["slow "]);
  expect((await session.call(toolCall(2, "test_simple_text"))).status).toBe(200);
  await expect.poll(() => fixture.sessions).toEqual([]);
  const after = await session.post(toolCall("late", "test_simple_text"));
  expect([after.status, await after.json()]).toEqual([404, { ...NOT_FOUND, id: "late" }]);
});

it("answers as if there were no session to an id that is guessed, malformed, of another type or of another upstream", async () => {
  const fixture = await startFixture();
  const { url, service } = await startGateway({
    default: { url: fixture.url },
    other: { url: fixture.url },
  });
  const session = await McpSession.open(url);
  const plain = await service.make({ type: "mcp" });
  const legacy = await openLegacy(service.url);
  const upstreamSid = fixture.sessions[0]!;
  const before = fixture.requests.length;
  const foreign = [
    [url, crypto.randomUUID()],
    [url, "x".repeat(5000)],
    [url, "not-a-uuid"],
    [url, session.id.toUpperCase()],
    [url, `{${session.id}}`],
    [url, upstreamSid],
    [url, plain.id],
    [url, legacy.id],
    [`${url}/other`, session.id],
  ] as const;
  for (const [at, id] of foreign) {
    const headers = { "mcp-session-id": id };
    const response = await post(at, toolCall(4, "test_simple_text"), headers);
    expect([response.status, await response.json()]).toEqual([404, { ...NOT_FOUND, id: 4 }]);
    for (const method of ["GET", "DELETE"]) {
      const init = { method, headers: { ...headers, accept: "text/event-stream" } };
      expect((await fetch(at, init)).status).toBe(404);
    }
  }
  expect(
    (
      await fetch(`${service.url}/messages?session_id=${session.id}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(toolCall(4, "test_simple_text")),
      })
    ).status,
  ).toBe(404);
  expect(fixture.requests).toHaveLength(before);
  expect((await session.call(toolCall(5, "test_simple_text"))).status).toBe(200);
  await legacy.reader.leave();
});

it("keeps two clients of one upstream apart, although their ids collide", async () => {
  const { url } = await fixtureBehindGateway();
  const sessions = await Promise.all(["a", "b"].map(() => McpSession.open(url)));
  const answers = await Promise.all(
    sessions.map((session, n) =>
      session.call(toolCall(1, "slow", { ms: 500, steps: 3, tag: `client${n}-` })),
    ),
  );
  for (const [n, { messages }] of answers.entries()) {
    const said = messages.map((m) => m.params?.data ?? textOf(m));
    const tag = `client${n}-`;
    expect(said).toEqual([`${tag}1`, `${tag}2`, `${tag}3`, `slow ${tag}`]);
  }
});
