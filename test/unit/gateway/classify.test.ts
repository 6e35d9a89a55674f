import { expect, it } from "vitest";
import { classify, type Verdict } from "../../../src/gateway/classify.ts";

const request = (method: string, params?: object, id: unknown = 1) => ({
  jsonrpc: "2.0",
  id,
  method,
  ...(params && { params }),
});
const notification = (method: string, params?: object) => ({
  jsonrpc: "2.0",
  method,
  ...(params && { params }),
});
const CLAIM = { _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } };
const exchange = (pending: (string | number)[], more: object = {}) => ({
  kind: "exchange",
  batch: false,
  pending,
  cancels: [],
  ...more,
});

it.each<[what: string, body: unknown, version: string | undefined, verdict: object]>([
  ["a request", request("ping"), undefined, exchange([1])],
  ["id 0 is an id", request("ping", undefined, 0), undefined, exchange([0])],
  ["a string id", request("ping", undefined, "a"), "2025-06-18", exchange(["a"])],
  ["initialize", request("initialize"), undefined, { kind: "initialize", id: 1 }],
  ["a notification", notification("notifications/initialized"), "2025-11-25", exchange([])],
  ["a response", { jsonrpc: "2.0", id: 3, result: {} }, undefined, exchange([])],
  [
    "an error response",
    { jsonrpc: "2.0", id: 3, error: { code: 1, message: "" } },
    undefined,
    exchange([]),
  ],
  [
    "an error without id",
    { jsonrpc: "2.0", error: { code: 1, message: "" } },
    undefined,
    exchange([]),
  ],
  [
    "a cancellation",
    notification("notifications/cancelled", { requestId: 7 }),
    undefined,
    exchange([], { cancels: [7] }),
  ],
  [
    "the claim decides, whatever the header says",
    request("ping", CLAIM),
    "2025-11-25",
    { kind: "stateless", id: 1 },
  ],
  ["the claim without a header", request("ping", CLAIM), undefined, { kind: "stateless", id: 1 }],
  [
    "the claim on initialize",
    request("initialize", CLAIM),
    undefined,
    { kind: "stateless", id: 1 },
  ],
  [
    "a claim of a version yet to come",
    request("ping", { _meta: { "io.modelcontextprotocol/protocolVersion": "2099-01-01" } }),
    "2099-01-01",
    { kind: "stateless", id: 1 },
  ],
  [
    "a notification's header is enough",
    notification("notifications/cancelled"),
    "2026-07-28",
    { kind: "stateless" },
  ],
  [
    "a modern header without the claim",
    request("ping"),
    "2026-07-28",
    { kind: "refused", code: -32602, id: 1 },
  ],
  [
    "and on initialize",
    request("initialize"),
    "2026-07-28",
    { kind: "refused", code: -32602, id: 1 },
  ],
  [
    "a version that never was",
    request("ping"),
    "1999-01-01",
    { kind: "refused", code: -32600, id: 1 },
  ],
  ["a version that is none", request("ping"), "latest", { kind: "refused", code: -32600, id: 1 }],
  ["an empty version", request("ping"), "", { kind: "refused", code: -32600, id: 1 }],
  ["no JSON-RPC", { hello: 1 }, undefined, { kind: "refused", code: -32600 }],
  [
    "JSON-RPC 1",
    { jsonrpc: "1.0", id: 1, method: "ping" },
    undefined,
    { kind: "refused", code: -32600, id: 1 },
  ],
  ["a null id", request("ping", undefined, null), undefined, { kind: "refused", code: -32600 }],
  [
    "an object for an id",
    request("ping", undefined, {}),
    undefined,
    { kind: "refused", code: -32600 },
  ],
  [
    "a result without an id",
    { jsonrpc: "2.0", result: {} },
    undefined,
    { kind: "refused", code: -32600 },
  ],
  ["a number", 5, undefined, { kind: "refused", code: -32600 }],
  ["null", null, undefined, { kind: "refused", code: -32600 }],
  [
    "a batch",
    [request("ping"), notification("notifications/x"), request("ping", undefined, "b")],
    "2025-03-26",
    exchange([1, "b"], { batch: true }),
  ],
  ["a batch without a version", [request("ping")], undefined, exchange([1], { batch: true })],
  [
    "a batch where there are none",
    [request("ping")],
    "2025-06-18",
    { kind: "refused", code: -32600 },
  ],
  ["an empty batch", [], undefined, { kind: "refused", code: -32600 }],
  ["initialize in a batch", [request("initialize")], undefined, { kind: "refused", code: -32600 }],
  ["a claim in a batch", [request("ping", CLAIM)], undefined, { kind: "refused", code: -32600 }],
  ["nonsense in a batch", [1], undefined, { kind: "refused", code: -32600 }],
])("%s", (_what, body, version, verdict) => {
  const { message: _message, ...rest } = classify(body, version) as Verdict & { message?: string };
  expect(rest).toEqual(verdict);
});
