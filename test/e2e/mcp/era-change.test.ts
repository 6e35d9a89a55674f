/** The era of an upstream: learnt from a refusal, noticed when it changes, and never concluded from an outage. */
import { expect, it } from "vitest";
import {
  INITIALIZE,
  McpSession,
  messagesOf,
  post,
  textOf,
  toolCall,
  wholeAnswer,
} from "../../support/mcp/client.ts";
import { ModernServer } from "../../support/mcp/era-modern-server.ts";
import { startGateway, startUpstream } from "../../support/mcp/gateway.ts";
import { listen, type FetchHandler } from "../../support/mcp/http.ts";
import { atEnd, beside } from "../../support/scope.ts";

const methodOf = (body: string): string | undefined =>
  (JSON.parse(body) as { method?: string }).method;

function refusal(status: number, code: number, message: string, id: unknown = null): Response {
  return Response.json({ jsonrpc: "2.0", id, error: { code, message } }, { status });
}

/** A server with sessions alone, as most are: it knows nothing of 2026-07-28. */
function legacyOnly(sid: string | undefined, calls: string[] = []): FetchHandler {
  return async (request) => {
    if (request.method !== "POST") return new Response(null, { status: 405 });
    const text = await request.text();
    const { id, method, params } = JSON.parse(text) as {
      id?: unknown;
      method?: string;
      params?: { name?: string; protocolVersion?: string };
    };
    const headers: Record<string, string> = sid === undefined ? {} : { "mcp-session-id": sid };
    const answer = (result: unknown) => Response.json({ jsonrpc: "2.0", id, result }, { headers });
    if (method === "initialize") {
      const serverInfo = { name: "legacy-only", version: "1" };
      return answer({ protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo });
    }
    const version = request.headers.get("mcp-protocol-version");
    if (version === "2026-07-28") {
      return refusal(400, -32000, "Bad Request: Unsupported protocol version: 2026-07-28");
    }
    if (sid !== undefined && request.headers.get("mcp-session-id") !== sid) {
      return refusal(404, -32001, "Session not found");
    }
    if (id === undefined) return new Response(null, { status: 202 });
    if (method === "ping") return answer({});
    calls.push(text);
    return answer({ content: [{ type: "text", text: `legacy ${params?.name}` }] });
  };
}

/** Serves on a port that another server had. */
async function onPort(port: number, handler: FetchHandler): Promise<void> {
  const listening = await listen(handler, port);
  atEnd(() => listening.close());
}

const echo = (id: number) => toolCall(id, "echo", { tag: `e${id}` });

it.concurrent.each([
  ["with session ids", "legacy-sid"],
  ["without session ids", undefined],
])(
  "a session goes on when a server with sessions (%s) becomes one without, and back",
  beside(async (_name: string, sid: string | undefined) => {
    const calls: string[] = [];
    const first = await listen(legacyOnly(sid, calls));
    const { url } = await startGateway({ default: { url: `${first.url}/mcp` } });
    const session = await McpSession.open(url);
    expect(textOf((await session.call(echo(1))).messages[0])).toBe("legacy echo");
    await first.close();
    const modern = await ModernServer.start(first.port);
    expect(textOf((await session.call(echo(2))).messages[0])).toBe("e2");
    expect(textOf((await session.call(echo(3))).messages[0])).toBe("e3");
    expect(modern.done).toEqual(["e2", "e3"]);
    await modern.stop();
    await onPort(first.port, legacyOnly(sid, calls));
    expect(textOf((await session.call(echo(4))).messages[0])).toBe("legacy echo");
    expect(calls).toHaveLength(2);
    // The gateway's memory of the last server leads nobody astray.
    const other = await McpSession.open(url);
    expect(textOf((await other.call(echo(5))).messages[0])).toBe("legacy echo");
  }),
);

it.concurrent(
  "a call that waits for its client ends with an error where its server is replaced by one with sessions",
  beside(async () => {
    const calls: string[] = [];
    const modern = await ModernServer.start();
    const { url } = await startGateway({ default: { url: modern.url } });
    const session = await McpSession.open(url);
    const reader = await session.stream(toolCall(1, "ask", { tag: "t", rounds: 1 }));
    await reader.until(/holdfast-ask/);
    const id = /"id":"(holdfast-ask-[^"]+)"/.exec(reader.text)?.[1];
    await modern.stop();
    await onPort(modern.port, legacyOnly("sid", calls));
    const result = { action: "accept", content: { name: "Ada" } };
    expect((await session.post({ jsonrpc: "2.0", id, result })).status).toBe(202);
    expect(messagesOf(await reader.rest()).at(-1)).toMatchObject({
      id: 1,
      error: { code: -32603 },
    });
    expect(calls).toEqual([]);
    expect(textOf((await session.call(echo(2))).messages[0])).toBe("legacy echo");
  }),
);

it.concurrent(
  "agrees on the version that the client asks for, where it knows that",
  beside(async () => {
    const modern = await ModernServer.start();
    const { url } = await startGateway({ default: { url: modern.url } });
    const answers = await Promise.all(
      ["2025-06-18", "2025-11-25", "1999-01-01"].map(async (one) => {
        const params = { ...INITIALIZE.params, protocolVersion: one };
        const answer = await wholeAnswer(await post(url, { ...INITIALIZE, params }));
        return answer.messages[0]?.result as { protocolVersion?: string } | undefined;
      }),
    );
    expect(answers.map((result) => result?.protocolVersion)).toEqual([
      "2025-06-18",
      "2025-11-25",
      "2025-11-25",
    ]);
  }),
);

it.concurrent.each([
  ["401", () => new Response(null, { status: 401 })],
  ["403", () => refusal(403, -32022, "no")],
  ["429", () => refusal(429, -32022, "slow down")],
  ["500", () => new Response("broken", { status: 500 })],
  ["503", () => refusal(503, -32022, "busy")],
])(
  "%s to initialize says nothing about the era",
  beside(async (_status: string, refuse: () => Response) => {
    const seen: (string | undefined)[] = [];
    const { url: upstream } = await startUpstream(async (request) => {
      seen.push(methodOf(await request.text()));
      return refuse();
    });
    const { url } = await startGateway({ default: { url: `${upstream}/mcp` } });
    expect((await post(url, INITIALIZE)).status).not.toBe(200);
    expect((await post(url, INITIALIZE)).status).not.toBe(200);
    expect(seen).toEqual(["initialize", "initialize"]);
  }),
);

it.concurrent(
  "a refusal that shows the stateless era is the client's, where server/discover does not show it",
  beside(async () => {
    const seen: (string | undefined)[] = [];
    const { url: upstream } = await startUpstream(async (request) => {
      const text = await request.text();
      seen.push(methodOf(text));
      return refusal(400, -32022, "not this one", (JSON.parse(text) as { id: unknown }).id);
    });
    const { url } = await startGateway({ default: { url: `${upstream}/mcp` } });
    const answer = await wholeAnswer(await post(url, INITIALIZE));
    expect(answer.messages).toMatchObject([{ id: "init", error: { code: -32022 } }]);
    expect(seen).toEqual(["initialize", "server/discover"]);
  }),
);

it.concurrent(
  "asks a server that is known to be modern nothing of the other era, and one that is known to be legacy neither",
  beside(async () => {
    const modern = await ModernServer.start();
    const { service } = await startGateway({
      default: { url: modern.url },
      said: { url: modern.url, era: "modern" },
      legacy: { url: modern.url, era: "legacy" },
    });
    const said = await McpSession.open(`${service.url}/mcp/said`);
    expect(textOf((await said.call(echo(1))).messages[0])).toBe("e1");
    expect(modern.sent("initialize")).toHaveLength(0);
    await McpSession.open(`${service.url}/mcp`);
    await McpSession.open(`${service.url}/mcp`);
    // Learnt from the first one.
    expect(modern.sent("initialize")).toHaveLength(1);
    const refused = await post(`${service.url}/mcp/legacy`, INITIALIZE);
    expect((await wholeAnswer(refused)).messages).toMatchObject([{ error: { code: -32022 } }]);
    expect(modern.sent("server/discover")).toHaveLength(3);
  }),
);

it.concurrent(
  "a session moves to another stateless replica where its own is gone, also with a call that waits",
  beside(async () => {
    const [first, second] = [await ModernServer.start(), await ModernServer.start()];
    const { url } = await startGateway({ default: { replicas: [first.url, second.url] } });
    const session = await McpSession.open(url);
    const reader = await session.stream(toolCall(1, "ask", { tag: "moved", rounds: 1 }));
    await reader.until(/holdfast-ask/);
    const id = /"id":"(holdfast-ask-[^"]+)"/.exec(reader.text)?.[1];
    await first.stop();
    expect((await session.call({ jsonrpc: "2.0", id: 2, method: "tools/list" })).status).toBe(200);
    expect(textOf((await session.call(echo(3))).messages[0])).toBe("e3");
    const result = { action: "accept", content: { name: "Ada" } };
    expect((await session.post({ jsonrpc: "2.0", id, result })).status).toBe(202);
    expect(textOf(messagesOf(await reader.rest()).at(-1))).toContain("Ada");
    expect(first.done).toEqual([]);
    expect(second.done).toEqual(["e3", "moved"]);
  }),
);
