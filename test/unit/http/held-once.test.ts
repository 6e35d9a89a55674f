/** While a session's object answers, nothing of a request's body is held but what the object was asked. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, expect, it } from "vitest";
import { createApp } from "../../../src/app.ts";
import { loadConfig } from "../../../src/config/service.ts";
import type { GatewayHost, GatewaySessions } from "../../../src/gateway/contract.ts";
import { bodies } from "../../../src/http/held-bytes.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const ID = "8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01";
const LARGE = "x".repeat(100_000);
const parse = JSON.parse;

afterEach(() => void (JSON.parse = parse));

it.each([
  ["POST", "/v1/sessions", { data: { LARGE } }],
  ["PUT", `/v1/sessions/${ID}`, { data: { LARGE } }],
  ["PATCH", `/v1/sessions/${ID}`, { data: { LARGE } }],
  ["POST", `/v1/sessions/${ID}/events`, [{ data: { LARGE } }]],
  ["POST", `/v1/sessions/${ID}/end`, { data: { LARGE } }],
  ["POST", "/mcp", { jsonrpc: "2.0", id: 1, method: "tools/call", params: { LARGE } }],
  ["POST", `/messages?session_id=${ID}`, { jsonrpc: "2.0", id: 1, method: "x", params: { LARGE } }],
])("%s %s", async (method, path, body) => {
  const parsed: WeakRef<object>[] = [];
  // A spy would keep what it returns.
  JSON.parse = (text: string): unknown => {
    const value = parse(text) as unknown;
    // The runner of the tests parses messages of its own.
    if (text.includes(LARGE)) remember(value, parsed);
    return value;
  };
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<never>();
  const sessions = new Proxy({} as GatewaySessions, {
    get: () => () => {
      asked.resolve();
      return answer.promise;
    },
  });
  const host = {
    as: () => sessions,
    documents: () => sessions,
    checks: {},
  } as unknown as GatewayHost;
  const upstreams = new Map([
    ["default", { name: "default", forwardAuthorization: false } as never],
  ]);
  const app = createApp(host, loadConfig({ LOG_LEVEL: "error" }), undefined, upstreams);
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-session-id": ID,
  };
  const response = app.request(path, { method, headers, body: JSON.stringify(body) });
  await asked.promise;
  expect(bodies.held).toBeGreaterThan(LARGE.length);
  // A WeakRef keeps its object until the turn in which it was made has ended.
  await new Promise((resolve) => void setImmediate(resolve));
  collect();
  expect(parsed.length).toBeGreaterThan(1);
  expect(parsed.filter((one) => one.deref() !== undefined).length).toBe(0);
  answer.reject(new Error("the host failed"));
  expect((await response).status).toBe(503);
  expect(bodies.held).toBe(0);
});

/** Every object and array in a value. */
function remember(value: unknown, refs: WeakRef<object>[]): void {
  if (typeof value !== "object" || value === null) return;
  refs.push(new WeakRef(value));
  for (const inner of Object.values(value)) remember(inner, refs);
}
