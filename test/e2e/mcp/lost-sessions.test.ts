/** Which answers mean that the upstream's session is lost, and which answer this request. */
import { expect, it } from "vitest";
import { McpSession, toolCall } from "../../support/mcp/client.ts";
import { roughUpstreams } from "../../support/mcp/rough-gateway.ts";
import { event, type Asked } from "../../support/mcp/rough-server.ts";

const roughUpstream = roughUpstreams();

/** A stream that says this error about nothing, and ends. */
function streamError(asked: Asked, code: number, message: string): void {
  asked.stream();
  asked.end(event(JSON.stringify({ jsonrpc: "2.0", id: null, error: { code, message } })));
}

const errorText = ({ id }: Asked, code: number, message: string) =>
  `{"jsonrpc": "2.0", "id": ${id}, "error": ${JSON.stringify({ code, message })}}`;

const HTML_TYPE = { "content-type": "text/html; charset=utf-8" };
const SSE_TYPE = { "content-type": "text/event-stream" };
const JSON_TYPE = { "content-type": "application/json" };

/** A call of a tool to a server that refuses it in these words, and the answer of the gateway. */
async function refusedCall(refuse: (asked: Asked) => void) {
  const { url, server } = await roughUpstream((asked) => {
    if (asked.method !== "tools/call") return false;
    refuse(asked);
    return true;
  });
  const session = await McpSession.open(url);
  return { server, answer: await session.call(toolCall(1, "x")) };
}

/** A server that restarts when the tool `restart` is called, and refuses the old session in its own words. */
async function restarting(refuse: (asked: Asked) => void) {
  const rough = await roughUpstream((asked, server) => {
    if (asked.verb === "POST" && asked.sid !== undefined && asked.sid !== server.sid) {
      refuse(asked);
      return true;
    }
    return false;
  });
  const session = await McpSession.open(rough.url);
  await session.call(toolCall(1, "before"));
  rough.server.sid = "rough-2";
  return { ...rough, session };
}

/** Calls that were taken, and not refused for their session. */
const executed = (requests: readonly Asked[]) =>
  requests.filter(({ method, sid }) => method === "tools/call" && sid === "rough-2").length;

it.each<[how: string, refuse: (asked: Asked) => void]>([
  ["404 without a word", (asked) => asked.answer(404)],
  ["404 as text", (asked) => asked.answer(404, "Session not found")],
  [
    "404 with an error about nothing",
    (asked) => asked.error(404, -32001, "Session not found", "null"),
  ],
  [
    "404 with an error that names the request",
    (asked) => asked.error(404, -32001, "Session not found"),
  ],
  ["400 as text, without a type", (asked) => asked.answer(400, "No valid session ID provided")],
  [
    "400 as plain text",
    (asked) => asked.answer(400, "Bad Request: unknown session", { "content-type": "text/plain" }),
  ],
  ["400 without a word", (asked) => asked.answer(400)],
  [
    "400 as a stream",
    (asked) => asked.answer(400, event(errorText(asked, -32000, "No such session")), SSE_TYPE),
  ],
  [
    "400 as JSON that is no JSON-RPC",
    (asked) => asked.json({ error: "Invalid or missing session ID" }, 400),
  ],
  ["400 -32000", (asked) => asked.error(400, -32000, "Invalid sessionId", "null")],
  [
    "400 -32000 with an id of its own",
    (asked) =>
      asked.error(400, -32000, "Bad Request: No valid session ID provided", '"server-error"'),
  ],
  ["400 -32001", (asked) => asked.error(400, -32001, "Session not found", "null")],
  ["400 -32600", (asked) => asked.error(400, -32600, "Missing session", "null")],
  [
    "400 -32602 without an id",
    (asked) => asked.error(400, -32602, "Received request before initialization was complete", ""),
  ],
  ["400 -32603", (asked) => asked.error(400, -32603, "Server not initialized", "null")],
  ["401", (asked) => asked.answer(401, '{"error": "Unauthorized"}', JSON_TYPE)],
  ["409", (asked) => asked.json({ error: "Session not initialized" }, 409)],
  ["410", (asked) => asked.answer(410, "Gone")],
  ["412 -32000", (asked) => asked.error(412, -32000, "No such session", "null")],
  ["422 as text", (asked) => asked.answer(422, "Unexpected message, expect initialize request")],
  ["422 that names the request", (asked) => asked.error(422, -32600, "Unknown session")],
  ["440 without a word", (asked) => asked.answer(440)],
  [
    "200 with an error about nothing",
    (asked) => asked.error(200, -32000, "Server not initialized", "null"),
  ],
  [
    "on a stream with an error about nothing",
    (asked) => streamError(asked, -32000, "Server not initialized"),
  ],
])("a session is recovered once where the server says %s", async (_how, refuse) => {
  const { session, server } = await restarting(refuse);
  const answers = await Promise.all([2, 3, 4].map((id) => session.call(toolCall(id, "after"))));
  expect(answers.map(({ status, messages }) => [status, messages[0]?.id])).toEqual([
    [200, 2],
    [200, 3],
    [200, 4],
  ]);
  expect(server.count("initialize")).toBe(2);
  expect(executed(server.requests)).toBe(3);
});

it.each<[what: string, refuse: (asked: Asked) => void, code: number, message: string]>([
  [
    "404 -32601, of a server that has no such method",
    (asked) => asked.error(404, -32601, "Method not found"),
    -32601,
    "Method not found",
  ],
  [
    "404 -32601 without a type",
    (asked) => asked.answer(404, errorText(asked, -32601, "Method not found")),
    -32601,
    "Method not found",
  ],
  [
    "400 -32602 as a page",
    (asked) => asked.answer(400, errorText(asked, -32602, "No such tool"), HTML_TYPE),
    -32602,
    "No such tool",
  ],
  ...[400, 404, 409, 500].map((status): [string, (asked: Asked) => void, number, string] => [
    `${status} -32602 as a stream`,
    (asked) => asked.answer(status, event(errorText(asked, -32602, "No such tool")), SSE_TYPE),
    -32602,
    "No such tool",
  ]),
  [
    "400 -32000 about a session of the tool's own",
    (asked) => asked.error(400, -32000, "Your checkout session has expired"),
    -32000,
    "Your checkout session has expired",
  ],
  [
    "400 -32602 about its parameters",
    (asked) => asked.error(400, -32602, "No session of that name"),
    -32602,
    "No session of that name",
  ],
  [
    "200 -32001, the tool's own",
    (asked) => asked.error(200, -32001, "Session not found"),
    -32001,
    "Session not found",
  ],
])("%s is the answer: once, and nothing is repeated", async (_what, refuse, code, message) => {
  const { server, answer } = await refusedCall(refuse);
  expect([answer.status, answer.messages]).toEqual([
    200,
    [{ jsonrpc: "2.0", id: 1, error: { code, message } }],
  ]);
  expect([server.count("tools/call"), server.count("initialize")]).toEqual([1, 1]);
  expect(server.all("DELETE")).toEqual([]);
});

it.each<[what: string, refuse: (asked: Asked) => void]>([
  ["400 as text", (asked) => asked.answer(400, "Malformed arguments")],
  [
    "400 with an error about nothing",
    (asked) => asked.error(400, -32602, "Malformed arguments", "null"),
  ],
  [
    "a stream with an error about nothing",
    (asked) => streamError(asked, -32602, "Malformed arguments"),
  ],
  [
    "404 as a page",
    (asked) => asked.answer(404, "<h1>Not found</h1>", { "content-type": "text/html" }),
  ],
])(
  "%s of a session that lives is settled by asking, and the call is not repeated",
  async (_what, refuse) => {
    const { server, answer } = await refusedCall(refuse);
    expect(answer.messages).toMatchObject([{ id: 1, error: {} }]);
    expect([server.count("tools/call"), server.count("ping"), server.count("initialize")]).toEqual([
      1, 1, 1,
    ]);
  },
);

it("a server that says the session is lost to all that it makes is initialized once for a call", async () => {
  const { url, server } = await roughUpstream((asked) => {
    if (asked.verb !== "POST" || asked.sid === undefined || asked.id === "") return false;
    asked.answer(400, "No valid session ID provided");
    return true;
  });
  const session = await McpSession.open(url);
  const answer = await session.call(toolCall(1, "x"));
  expect(answer.messages).toMatchObject([{ id: 1, error: {} }]);
  expect([server.count("initialize"), server.count("tools/call")]).toEqual([2, 2]);
});

it.each<[what: string, refuse: (asked: Asked) => void]>([
  ["404", (asked) => asked.answer(404)],
  ["400 as text", (asked) => asked.answer(400, "No valid session ID provided")],
])("a notification that is refused with %s is sent once more", async (_what, refuse) => {
  const { session, server } = await restarting(refuse);
  const response = await session.post({ jsonrpc: "2.0", method: "notifications/x" });
  expect(response.status).toBe(202);
  const sids = server.all("notifications/x").map(({ sid }) => sid);
  expect([sids, server.count("initialize")]).toEqual([["rough-1", "rough-2"], 2]);
});

it("the gateway never repeats a call after a message about it has come on a stream", async () => {
  const { url, server } = await roughUpstream((asked) => {
    if (asked.method === "ping") {
      asked.answer(404);
      return true;
    }
    if (asked.method !== "tools/call") return false;
    const begun = { jsonrpc: "2.0", method: "notifications/progress", params: { progress: 1 } };
    asked.stream(event(JSON.stringify(begun)));
    asked.end(event('{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"No session"}}'));
    return true;
  });
  const answer = await (await McpSession.open(url)).call(toolCall(1, "x"));
  expect(answer.messages.at(-1)).toMatchObject({ id: 1, error: {} });
  expect([server.count("tools/call"), server.count("initialize")]).toEqual([1, 1]);
});

it("a call whose stream was taken up again is not repeated either", async () => {
  const { url, server } = await roughUpstream((asked) => {
    if (asked.method === "ping") asked.answer(404);
    else if (asked.verb === "GET" && asked.headers["last-event-id"] !== undefined) {
      streamError(asked, -32000, "Server not initialized");
    } else if (asked.method === "tools/call") {
      asked.stream("retry: 20\nid: 1\ndata: \n\n");
      asked.end();
    } else return false;
    return true;
  });
  const answer = await (await McpSession.open(url)).call(toolCall(1, "x"));
  expect(answer.messages.at(-1)).toMatchObject({ id: 1, error: {} });
  expect([server.count("tools/call"), server.count("initialize")]).toEqual([1, 1]);
});
