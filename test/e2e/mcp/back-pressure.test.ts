/** Limits, outages and errors of the upstream's: their status, their headers, their words. */
import { expect, it } from "vitest";
import {
  INITIALIZE,
  McpSession,
  post,
  readerOf,
  toolCall,
  wholeAnswer,
} from "../../support/mcp/client.ts";
import { roughBehindGateway, roughUpstreams, startRough } from "../../support/mcp/rough-gateway.ts";
import { event, notice, resultOf, type Asked } from "../../support/mcp/rough-server.ts";

const roughUpstream = roughUpstreams();

const WAIT = { "retry-after": "7" };

const REFUSALS: readonly [what: string, status: number, refuse: (asked: Asked) => void][] = [
  ["429 as text", 429, (asked) => asked.answer(429, "Too many requests", WAIT)],
  ["429 without a word", 429, (asked) => asked.answer(429, "", WAIT)],
  ["429 as JSON-RPC", 429, (asked) => asked.error(429, -32000, "Slow down", asked.id, WAIT)],
  [
    "503 as a page",
    503,
    (asked) => asked.answer(503, "<h1>Later</h1>", { "content-type": "text/html", ...WAIT }),
  ],
  ["503 as JSON-RPC", 503, (asked) => asked.error(503, -32000, "Later", "null", WAIT)],
];

it.each(REFUSALS)(
  "%s to a call keeps its status and when to come back",
  async (_what, status, refuse) => {
    const { url, server } = await roughUpstream((asked) => {
      if (asked.method !== "tools/call") return false;
      refuse(asked);
      return true;
    });
    const session = await McpSession.open(url);
    const response = await session.post(toolCall(1, "x"));
    const { messages } = await wholeAnswer(response);
    expect([response.status, response.headers.get("retry-after")]).toEqual([status, "7"]);
    expect(messages).toMatchObject([{ id: 1, error: {} }]);
    expect([server.count("tools/call"), server.count("initialize")]).toEqual([1, 1]);
  },
);

it.each(REFUSALS)("%s to initialize does too", async (_what, status, refuse) => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "initialize") return false;
    refuse(asked);
    return true;
  });
  const response = await post(url, INITIALIZE);
  expect([response.status, response.headers.get("retry-after")]).toEqual([status, "7"]);
  expect(response.headers.has("mcp-session-id")).toBe(false);
  expect(await response.json()).toMatchObject({ id: "init", error: {} });
});

it("429 to a notification does too", async () => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "notifications/x") return false;
    asked.answer(429, "", WAIT);
    return true;
  });
  const session = await McpSession.open(url);
  const response = await session.post({ jsonrpc: "2.0", method: "notifications/x" });
  expect([response.status, response.headers.get("retry-after")]).toEqual([429, "7"]);
});

it("a 503 page of the stateless revision keeps its status, and not its page", async () => {
  const { url } = await roughUpstream((asked) => {
    asked.answer(503, "<h1>secret-page</h1>", { "content-type": "text/html", ...WAIT });
    return true;
  });
  const meta = { _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } };
  const body = { jsonrpc: "2.0", id: 1, method: "tools/list", params: meta };
  const response = await post(url, body, { "mcp-protocol-version": "2026-07-28" });
  expect([response.status, response.headers.get("retry-after")]).toEqual([503, "7"]);
  expect(await response.text()).not.toContain("secret");
});

it.each([400, 500, 503])(
  "a stream with %i of the stateless revision is no page",
  async (status) => {
    const { url } = await roughUpstream((asked) => {
      const error = `{"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "No"}}`;
      asked.answer(status, event(error), { "content-type": "text/event-stream" });
      return true;
    });
    const meta = { _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } };
    const body = { jsonrpc: "2.0", id: 1, method: "tools/list", params: meta };
    const response = await post(url, body, { "mcp-protocol-version": "2026-07-28" });
    expect([response.status, await response.text()]).toEqual([
      status,
      expect.stringContaining('"message": "No"'),
    ]);
  },
);

it.each([400, 404, 500, 502])(
  "a JSON-RPC error with %i reaches the client with its words, as a 200",
  async (status) => {
    const { url, server } = await roughUpstream((asked) => {
      if (asked.method !== "tools/call") return false;
      asked.error(status, -32050, "The disk is full");
      return true;
    });
    const session = await McpSession.open(url);
    const answer = await session.call(toolCall(1, "x"));
    const error = { code: -32050, message: "The disk is full" };
    expect([answer.status, answer.messages]).toEqual([200, [{ jsonrpc: "2.0", id: 1, error }]]);
    expect(server.count("tools/call")).toBe(1);
  },
);

it.each([301, 302, 307, 308])(
  "%i to another origin is a 502 whatever its body, and the log names it",
  async (status) => {
    const other = await startRough();
    const { url, service } = await roughBehindGateway((asked) => {
      if (asked.method !== "tools/call") return false;
      asked.error(status, -32000, "secret-", asked.id, { location: other.url });
      return true;
    });
    const session = await McpSession.open(url);
    const answer = await session.call(toolCall(1, "x"));
    expect([answer.status, answer.messages]).toMatchObject([
      502,
      [{ id: 1, error: { code: -32603 } }],
    ]);
    expect(answer.text).not.toContain("secret-");
    expect(other.requests).toEqual([]);
    const line = await service.logged((one) => one.event === "upstream.failed");
    expect(line["status"]).toBe(status);
  },
);

it.each([307, 308])("%i within the same origin is followed, with the message", async (status) => {
  const { url, server } = await roughUpstream((asked) => {
    if (asked.path !== "/mcp") return false;
    asked.answer(status, "", { location: "/mcp/" });
    return true;
  });
  const session = await McpSession.open(url);
  const answer = await session.call(toolCall(1, "x"));
  expect([answer.status, answer.messages]).toMatchObject([200, [{ id: 1, result: {} }]]);
  expect(server.all("tools/call").map(({ path }) => path)).toEqual(["/mcp", "/mcp/"]);
});

it("a redirect that leads to itself ends", async () => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.answer(308, "", { location: "/mcp" });
    return true;
  });
  const answer = await (await McpSession.open(url)).call(toolCall(1, "x"));
  expect([answer.status, answer.messages]).toMatchObject([
    502,
    [{ id: 1, error: { code: -32603 } }],
  ]);
});

it.each([500, 418])("the log names the status of a page: %i", async (status) => {
  const { url, service } = await roughBehindGateway((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.answer(status, "<h1>secret-page</h1>", { "content-type": "text/html" });
    return true;
  });
  await (await McpSession.open(url)).call(toolCall(1, "x"));
  const line = await service.logged((one) => one.event === "upstream.failed");
  expect(line["status"]).toBe(status);
  expect(JSON.stringify(line)).not.toContain("secret-page");
});

it("429 to the initialize of a recovery does too, and the session goes on", async () => {
  let limited = false;
  const { url, server } = await roughUpstream((asked) => {
    if (asked.method === "initialize" && limited) {
      asked.answer(429, "", WAIT);
      return true;
    }
    if (asked.verb !== "POST" || asked.sid === undefined || asked.sid === server.sid) return false;
    asked.answer(404);
    return true;
  });
  const session = await McpSession.open(url);
  server.sid = "rough-2";
  limited = true;
  const response = await session.post(toolCall(1, "x"));
  expect([response.status, response.headers.get("retry-after")]).toEqual([429, "7"]);
  expect(await response.json()).toMatchObject({ id: 1, error: { code: -32603 } });
  limited = false;
  expect((await session.call(toolCall(2, "x"))).status).toBe(200);
});

it("a call that goes on saying something holds its session, followed or not", async () => {
  const { url, server } = await roughBehindGateway(
    (asked) => {
      if (asked.method !== "tools/call") return false;
      asked.stream();
      let said = 0;
      const timer = setInterval(() => {
        if (++said < 12) return asked.write(event(notice(said)));
        clearInterval(timer);
        asked.end(event(resultOf(asked.id)));
      }, 200);
      return true;
    },
    { env: { SESSION_TTL_SECONDS: "1" } },
  );
  const session = await McpSession.open(url);
  const reader = readerOf(await session.post(toolCall(1, "x")));
  const [priming] = await reader.take(2);
  await reader.leave();
  const call = await server.asked("tools/call");
  await call.closed;
  const resumed = await session.follow(priming?.id);
  await resumed.rest();
  expect(resumed.text).toContain('"result"');
});

it("a call that says nothing but comments, and that nobody follows, holds no session beyond its time", async () => {
  const { url, server } = await roughBehindGateway(
    (asked) => {
      if (asked.method !== "tools/call") return false;
      asked.stream(": comment\n\n");
      const timer = setInterval(() => asked.write(": comment\n\n"), 50);
      void asked.closed.then(() => clearInterval(timer));
      return true;
    },
    { env: { SESSION_TTL_SECONDS: "1" } },
  );
  const session = await McpSession.open(url);
  const reader = readerOf(await session.post(toolCall(1, "x")));
  await reader.take(1);
  const upstream = await server.asked("tools/call");
  await reader.leave();
  await expect(upstream.closed).resolves.toEqual([]);
  await expect(server.asked("DELETE")).resolves.toMatchObject({ method: "DELETE" });
});
