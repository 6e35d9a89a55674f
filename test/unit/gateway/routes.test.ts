/** The gateway over sessions that fail: a client must not take that for a lost session, nor learn why. */
import { expect, it, vi } from "vitest";
import { createApp } from "../../../src/app.ts";
import { loadConfig } from "../../../src/config/service.ts";
import { UnavailableError } from "../../../src/core/errors.ts";
import type { GatewayHost, GatewaySessions } from "../../../src/gateway/contract.ts";
import { upstreamWith } from "../../support/mcp/upstream-with.ts";

const ID = "8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01";
const SECRET = "redis://user:hunter2@10.0.0.5";

const upstream = upstreamWith(() => Promise.reject(new Error("unreachable")));

function failingHost(failure: () => Error): GatewayHost {
  const fail = () => Promise.reject(failure());
  const sessions = new Proxy({} as GatewaySessions, { get: () => fail });
  return {
    as: () => sessions,
    documents: fail as never,
    list: fail,
    count: fail,
    revoke: fail,
    checks: {},
  };
}

const rpc = (method: string) => ({ jsonrpc: "2.0", id: 7, method, params: {} });

const CALLS = [
  ["initialize", "POST", "/mcp", rpc("initialize")],
  ["a call", "POST", "/mcp", rpc("tools/call")],
  ["a notification", "POST", "/mcp", { jsonrpc: "2.0", method: "notifications/x" }],
  ["a standalone stream", "GET", "/mcp", undefined],
  ["the end of a session", "DELETE", "/mcp", undefined],
  ["a legacy stream", "GET", "/sse", undefined],
  ["a legacy call", "POST", `/messages?session_id=${ID}`, rpc("tools/call")],
] as const;

it.each(
  CALLS.flatMap((call) => [
    [...call, () => new UnavailableError(undefined, { cause: new Error(SECRET) })] as const,
    [...call, () => new TypeError(SECRET)] as const,
  ]),
)("answers %s with 503 and its id (%s %s)", async (_what, method, path, body, failure) => {
  const lines: string[] = [];
  const spy = vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line));
  const upstreams = new Map([["default", upstream]]);
  const app = createApp(failingHost(failure), loadConfig({}), undefined, upstreams);
  const response = await app.request(path, {
    method,
    headers: {
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      "mcp-session-id": ID,
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  spy.mockRestore();
  const text = await response.text();
  expect([response.status, JSON.parse(text)]).toMatchObject([503, { error: { code: -32603 } }]);
  const id = (JSON.parse(text) as { id?: unknown }).id;
  expect(id).toBe(body && "id" in body ? 7 : undefined);
  expect(text).not.toContain("hunter2");
  expect(lines).not.toEqual([]);
});

const MODERN = { _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } };
const REFUSED = { jsonrpc: "2.0", id: 7, error: { code: -32000, message: "not you" } };

it.each([
  ["the stateless revision", { ...rpc("tools/list"), params: MODERN }],
  ["an initialize", rpc("initialize")],
  ["a call", rpc("tools/call")],
])("tells no client how to get in here where an upstream answers %s with 403", async (_, body) => {
  const json = { kind: "json", status: 403, body: JSON.stringify(REFUSED) };
  const sessions = {
    initialize: async () => ({ ...json, kind: "refused" }),
    exchange: async () => json,
  } as unknown as GatewaySessions;
  const host = { ...failingHost(() => new Error()), as: () => sessions };
  const send = async () => Response.json(REFUSED, { status: 403 });
  const refusing = { ...upstream, replicas: [{ url: "https://upstream.invalid/mcp", send }] };
  const upstreams = new Map([["default", refusing]]);
  const app = createApp(host, loadConfig({}), undefined, upstreams);
  const headers = { accept: "*/*", "content-type": "application/json", "mcp-session-id": ID };
  const request = { method: "POST", headers, body: JSON.stringify(body) };
  const response = await app.request("/mcp", request);
  expect([response.status, await response.json()]).toEqual([403, REFUSED]);
  expect(response.headers.get("www-authenticate")).toBeNull();
  // A refusal of the service's own, on the same path, says how to get in.
  const foreign = await app.request("http://elsewhere.example/mcp", request);
  expect(foreign.status).toBe(401);
  expect(foreign.headers.get("www-authenticate")).toBe('Bearer realm="holdfast"');
});

it.each([
  ["a batch of 101", Array.from({ length: 101 }, () => rpc("ping")), "is a batch of more than 100"],
  ["100,001 values", { ...rpc("x"), params: Array<number>(100_001).fill(0) }, "holds more than"],
])("refuses %s before it parses it", async (_what, body, problem) => {
  const app = createApp(
    failingHost(() => new Error("nothing is to be asked for")),
    loadConfig({}),
    undefined,
    new Map([["default", upstream]]),
  );
  const text = JSON.stringify(body);
  const parse = vi.spyOn(JSON, "parse");
  for (const path of ["/mcp", `/messages?session_id=${ID}`]) {
    const headers = { accept: "*/*", "content-type": "application/json", "mcp-session-id": ID };
    const response = await app.request(path, { method: "POST", headers, body: text });
    const said = await response.text();
    expect([response.status, said]).toEqual([400, expect.stringContaining(`The body ${problem}`)]);
    expect(said).toContain("-32600");
  }
  expect(parse.mock.calls.filter(([parsed]) => parsed === text)).toEqual([]);
  parse.mockRestore();
});

it("a batch of 100 is carried", async () => {
  const exchange = vi.fn(async () => ({ kind: "accepted" }));
  const host = { ...failingHost(() => new Error()), as: () => ({ exchange }) as never };
  const app = createApp(host, loadConfig({}), undefined, new Map([["default", upstream]]));
  const body = JSON.stringify(Array.from({ length: 100 }, (_, id) => ({ ...rpc("ping"), id })));
  const headers = { accept: "*/*", "content-type": "application/json", "mcp-session-id": ID };
  const response = await app.request("/mcp", { method: "POST", headers, body });
  expect(response.status).toBe(202);
  expect(exchange).toHaveBeenCalledOnce();
});
