/** The two lists of docs/mcp.md, "What passes through": the headers of a request that reach an upstream, and those of an answer that reach a client. */
import { expect, it } from "vitest";
import { INITIALIZE, post, readerOf, toolCall } from "../../support/mcp/client.ts";
import { roughBehindGateway } from "../../support/mcp/rough-gateway.ts";
import { event, notice, resultOf, type Asked } from "../../support/mcp/rough-server.ts";

const TRACE = {
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  tracestate: "vendor=value",
};

/** The page that `EVERY` comes from. */
const PAGE = { ALLOWED_ORIGINS: "http://localhost:3000" };

/** Headers that a client, a browser or a proxy of this machine may send: without AUTH no other address is served. */
const EVERY = {
  ...TRACE,
  authorization: "Bearer mine",
  "x-upstream-authorization": "Bearer upstream",
  "proxy-authorization": "Basic secret",
  cookie: "session=secret",
  origin: "http://localhost:3000",
  referer: "http://localhost:3000/page",
  "x-forwarded-for": "127.0.0.1",
  "x-real-ip": "127.0.0.1",
  "cf-connecting-ip": "127.0.0.1",
  "x-request-id": "r-1",
  baggage: "user=me",
  "accept-language": "de",
  "cache-control": "no-cache",
  "if-none-match": '"x"',
  "idempotency-key": "k",
  "mcp-method": "tools/call",
  "mcp-name": "x",
  "mcp-param-region": "eu",
  "x-api-key": "secret",
  "user-agent": "client/1.0",
};

/** Of the connection between the gateway and the upstream, and not of the gateway's making. */
const OF_THE_CONNECTION = ["host", "connection", "content-length", "accept-encoding"];

const namesIn = ({ headers }: Asked) =>
  Object.keys(headers)
    .filter((name) => !OF_THE_CONNECTION.includes(name))
    .toSorted();

const GATEWAYS = ["accept", "user-agent"];
const POSTS = [...GATEWAYS, "content-type"];
const SESSION = ["mcp-protocol-version", "mcp-session-id"];

it.each([
  [false, []],
  [true, ["authorization"]],
  ["X-Upstream-Authorization", ["authorization"]],
])(
  "with forwardAuthorization %s these headers reach an upstream, and no others",
  async (forwardAuthorization, credential) => {
    const { url, server } = await roughBehindGateway(
      (asked, { sid }) => {
        if (asked.sid !== undefined && asked.sid !== sid) asked.answer(404);
        else if (asked.verb === "GET") asked.stream(event(notice("heard")));
        else return false;
        return true;
      },
      { upstream: { forwardAuthorization }, env: PAGE },
    );
    const opened = await post(url, INITIALIZE, EVERY);
    await opened.text();
    const mine = { ...EVERY, "mcp-session-id": opened.headers.get("mcp-session-id") ?? "" };
    const say = async (body: object) => (await post(url, body, mine)).text();
    await say({ jsonrpc: "2.0", method: "notifications/initialized" });
    await say({ jsonrpc: "2.0", id: 1, method: "logging/setLevel", params: { level: "info" } });
    const followed = await fetch(url, { headers: { ...mine, accept: "text/event-stream" } });
    const reader = readerOf(followed);
    await reader.until(/heard/);
    await reader.leave();
    server.sid = "rough-2";
    await say(toolCall(2, "x"));
    await fetch(url, { method: "DELETE", headers: mine });
    await server.asked("DELETE");
    const client = [...Object.keys(TRACE), ...credential];
    const session = [...POSTS, ...SESSION, ...client].toSorted();
    const initialize = [...POSTS, ...client].toSorted();
    const bodiless = [...GATEWAYS, ...SESSION, ...client].toSorted();
    const expected: Record<string, string[]> = { initialize, GET: bodiless, DELETE: bodiless };
    for (const asked of server.requests) {
      const { method } = asked;
      expect([method, namesIn(asked)]).toEqual([method, expected[method] ?? session]);
    }
    // The session was recovered on the way, so what the gateway sends by itself is among them.
    expect([server.count("initialize"), server.count("logging/setLevel")]).toEqual([2, 2]);
    expect(server.count("ping")).toBe(1);
    const credentials = new Set(server.requests.map(({ headers }) => headers["authorization"]));
    const own = forwardAuthorization === true ? "Bearer mine" : "Bearer upstream";
    expect([...credentials]).toEqual([credential.length === 0 ? undefined : own]);
  },
);

it("and in the stateless revision", async () => {
  const { url, server } = await roughBehindGateway(undefined, { env: PAGE });
  const version = "2026-07-28";
  const params = { name: "x", _meta: { "io.modelcontextprotocol/protocolVersion": version } };
  const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params };
  const own = { "mcp-protocol-version": version, "mcp-session-id": "s", "last-event-id": "1" };
  await (await post(url, body, { ...EVERY, ...own })).text();
  const revision = ["mcp-method", "mcp-name", "mcp-param-region", "mcp-protocol-version"];
  const [asked] = server.requests;
  expect(namesIn(asked as Asked)).toEqual(
    [...POSTS, ...Object.keys(TRACE), ...revision].toSorted(),
  );
});

/** Headers that a server, a framework or a proxy may answer with. */
const ANSWERED = {
  "mcp-session-id": "another",
  "set-cookie": "session=secret",
  server: "rough/1",
  "x-powered-by": "Express",
  "www-authenticate": "Bearer x",
  "retry-after": "7",
  allow: "POST",
  etag: '"x"',
  location: "/elsewhere",
  link: "</x>; rel=next",
  vary: "Origin",
  "access-control-allow-origin": "*",
  "cache-control": "max-age=60",
  "mcp-protocol-version": "2025-03-26",
};

/** Of every answer of the service's, and of the connection. */
const OF_THE_SERVICE = [
  "content-length",
  "content-security-policy",
  "referrer-policy",
  "x-content-type-options",
  "x-frame-options",
];

it.each<[status: number, kept: string[]]>([
  [200, []],
  [400, []],
  [500, []],
  [401, ["retry-after", "www-authenticate"]],
  [403, ["retry-after", "www-authenticate"]],
  [429, ["retry-after", "www-authenticate"]],
  [503, ["retry-after", "www-authenticate"]],
])("of an upstream's answer with %i these headers reach the client", async (status, kept) => {
  const { url } = await roughBehindGateway(
    (asked) => {
      if (asked.method !== "tools/call") return false;
      if (status === 200) asked.json(resultOf(asked.id), 200, ANSWERED);
      else asked.error(status, -32050, "No", asked.id, ANSWERED);
      return true;
    },
    { upstream: { forwardAuthorization: true } },
  );
  const opened = await post(url, INITIALIZE);
  const id = opened.headers.get("mcp-session-id") ?? "";
  expect(id).not.toBe("rough-1");
  const answer = await post(url, toolCall(1, "x"), { "mcp-session-id": id });
  await answer.text();
  const names = [...answer.headers.keys()].filter((name) => !OF_THE_SERVICE.includes(name));
  expect(names.toSorted()).toEqual(["cache-control", "content-type", ...kept].toSorted());
  expect(answer.headers.get("cache-control")).toBe("no-store");
});
