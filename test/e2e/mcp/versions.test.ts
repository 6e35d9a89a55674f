/** The version that client and server agreed on counts from then on. */
import { expect, it } from "vitest";
import { INITIALIZE, McpSession, post, toolCall, wholeAnswer } from "../../support/mcp/client.ts";
import { roughUpstreams } from "../../support/mcp/rough-gateway.ts";
import { event, notice, resultOf } from "../../support/mcp/rough-server.ts";

const roughUpstream = roughUpstreams();

async function opened(url: string, protocolVersion: string, header?: string) {
  const body = { ...INITIALIZE, params: { ...INITIALIZE.params, protocolVersion } };
  const headers: Record<string, string> = {};
  if (header !== undefined) headers["mcp-protocol-version"] = header;
  const response = await post(url, body, headers);
  await response.text();
  return { status: response.status, sid: response.headers.get("mcp-session-id") ?? "" };
}

it.each(["2024-10-07", "2025-02-14", "2024-11-05"])(
  "%s, agreed on, is taken from then on",
  async (version) => {
    const { url, server } = await roughUpstream();
    const { sid } = await opened(url, version);
    const headers = { "mcp-session-id": sid, "mcp-protocol-version": version };
    const answer = await wholeAnswer(await post(url, toolCall(1, "x"), headers));
    expect([answer.status, answer.messages]).toMatchObject([200, [{ id: 1, result: {} }]]);
    expect(server.all("tools/call")[0]?.headers["mcp-protocol-version"]).toBe(version);
    const listening = await fetch(url, { headers: { accept: "text/event-stream", ...headers } });
    expect(listening.status).toBe(200);
    await listening.body?.cancel();
    expect((await fetch(url, { method: "DELETE", headers })).status).toBe(204);
  },
);

it("an unknown version that was not agreed on is refused in a session", async () => {
  const { url } = await roughUpstream();
  const { sid } = await opened(url, "2025-11-25");
  for (const version of ["2024-10-07", "1.0", "draft"]) {
    const headers = { "mcp-session-id": sid, "mcp-protocol-version": version };
    expect((await wholeAnswer(await post(url, toolCall(1, "x"), headers))).status).toBe(400);
  }
});

it("an unknown version is refused before any session is looked up", async () => {
  const { url } = await roughUpstream();
  const headers = { "mcp-session-id": crypto.randomUUID(), "mcp-protocol-version": "draft" };
  expect((await post(url, toolCall(1, "x"), headers)).status).toBe(400);
});

it.each(["2024-10-07", "1999-01-01", "DRAFT-2026-v1", "2026-07-28", "2025-06-18"])(
  "the header of an initialize is not looked at: %s",
  async (header) => {
    const { url, server } = await roughUpstream();
    const { status, sid } = await opened(url, "2025-11-25", header);
    expect([status, sid === ""]).toEqual([200, false]);
    expect(server.all("initialize")[0]?.headers["mcp-protocol-version"]).toBeUndefined();
  },
);

it.each(["2025-03-26", "2025-06-18", "2024-11-05"])(
  "a client whose header says %s in a session of 2025-11-25 is served in that",
  async (header) => {
    const { url, server } = await roughUpstream((asked) => {
      if (asked.method !== "tools/call") return false;
      // The SDK's servers refuse another version than the one that was agreed on.
      if (asked.headers["mcp-protocol-version"] !== "2025-11-25") asked.answer(400, "Bad version");
      else {
        asked.stream(event(notice(1)));
        asked.end(event(resultOf(asked.id)));
      }
      return true;
    });
    const session = await McpSession.open(url);
    const headers = { "mcp-protocol-version": header };
    const response = await session.post(toolCall(1, "x"), headers);
    const { text, messages } = await wholeAnswer(response);
    expect(messages.map(({ params, id }) => params?.data ?? id)).toEqual([1, 1]);
    // The priming event.
    expect(text).toMatch(/^(retry: \d+\n)?data: \nid: \S+\n\n/);
    const sent = server.requests.map((one) => one.headers["mcp-protocol-version"]);
    expect(sent.slice(1)).toEqual(sent.slice(1).map(() => "2025-11-25"));
  },
);

it("the upstream's standalone stream is asked for in the agreed version too", async () => {
  const { url, server } = await roughUpstream((asked) => {
    if (asked.verb !== "GET") return false;
    asked.stream();
    return true;
  });
  const session = await McpSession.open(url);
  const headers = { ...session.headers, accept: "text/event-stream" };
  const listening = await fetch(url, {
    headers: { ...headers, "mcp-protocol-version": "2025-03-26" },
  });
  const asked = await server.asked("GET");
  expect(asked.headers["mcp-protocol-version"]).toBe("2025-11-25");
  await listening.body?.cancel();
});
